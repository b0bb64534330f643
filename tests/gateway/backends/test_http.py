"""A provider's server as a backend: the bytes of its request heads, and when cancelling helps."""

from typing import Any, cast

import pytest
from fakes import make_call, plain_dialect

from gateway.backends.http import Address, HttpBackend
from providers.handoff import Waiter
from providers.transport.origin import Origin, Timeouts
from providers.transport.pool import Transport
from providers.wire import WireRequest

TIMEOUTS = Timeouts(connect_ms=1, first_byte_ms=2, idle_ms=3, total_ms=4)
REQUEST = WireRequest(path="chat/completions", body=b"{}")


class Wire:
    """A transport that keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.limit_bytes = 0

    async def fetch(self, *asked: Any, limit_bytes: int) -> str:
        """Keep the request."""
        self.asked.append(asked)
        self.limit_bytes = limit_bytes
        return "whole"

    def post(self, *asked: Any, limit_bytes: int) -> str:
        """Keep the request."""
        self.asked.append(asked)
        self.limit_bytes = limit_bytes
        return "on its way"

    async def open(self, *asked: Any) -> str:
        """Keep the request."""
        self.asked.append(asked)
        return "flowing"


def backend(wire: Wire | None = None, **fields: Any) -> HttpBackend:
    """A backend at https://api.example.com/v1; fields given win."""
    usual: dict[str, Any] = {
        "origin": Origin("https", "api.example.com", 443),
        "path_prefix": "/v1",
        "headers": {"authorization": "Bearer sk-1"},
        "timeouts": TIMEOUTS,
        "max_reply_bytes": 7,
        "cancel_stops_billing": True,
    }
    return HttpBackend("openai", plain_dialect(), cast("Transport", wire or Wire()), Address(**{**usual, **fields}))


async def head_of(request: WireRequest = REQUEST, **fields: Any) -> list[str]:
    """The lines of a request's head."""
    wire = Wire()
    await backend(wire, **fields).fetch(make_call(), request)
    head: bytes = wire.asked[0][1]
    assert head.endswith(b"\r\n")
    return head.decode().removesuffix("\r\n").split("\r\n")


async def test_the_operators_user_agent_is_the_only_one() -> None:
    """Some servers let in by it."""
    lines = await head_of(headers={"User-Agent": "ours/2"})
    assert [line for line in lines if line.lower().startswith("user-agent")] == ["User-Agent: ours/2"]


async def test_a_head_is_exactly_what_a_provider_needs() -> None:
    """The transport adds the length."""
    assert await head_of() == [
        "POST /v1/chat/completions HTTP/1.1",
        "host: api.example.com",
        "content-type: application/json",
        "accept-encoding: identity",
        "user-agent: watchllm/1.0",
        "authorization: Bearer sk-1",
    ]


async def test_a_dialects_headers_are_added() -> None:
    """Anthropic's version, for one."""
    request = WireRequest(path="messages", body=b"{}", headers=(("anthropic-version", "2023-06-01"),))
    assert (await head_of(request))[-1] == "anthropic-version: 2023-06-01"


async def test_a_dialects_headers_of_one_call_do_not_stay_for_the_next() -> None:
    """The head of a path is remembered without them."""
    wire = Wire()
    kept = backend(wire)
    for headers in ((("x-a", "1"),), ()):
        await kept.fetch(make_call(), WireRequest(path="messages", body=b"{}", headers=headers))
    assert b"x-a" not in wire.asked[1][1]


@pytest.mark.parametrize("prefix", ["/v1", "/v1/"])
async def test_a_prefix_makes_one_slash(prefix: str) -> None:
    """With or without one at its end."""
    assert (await head_of(path_prefix=prefix))[0] == "POST /v1/chat/completions HTTP/1.1"


async def test_no_prefix_is_the_root() -> None:
    """A server may answer at its root."""
    assert (await head_of(path_prefix=""))[0] == "POST /chat/completions HTTP/1.1"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (Origin("https", "a.b", 443), "a.b"),
        (Origin("http", "a.b", 80), "a.b"),
        (Origin("http", "a.b", 443), "a.b:443"),
        (Origin("https", "a.b", 8443), "a.b:8443"),
        (Origin("http", "::1", 8000), "[::1]:8000"),
        (Origin("http", "::1", 80), "[::1]"),
    ],
)
async def test_the_host_is_the_origins(origin: Origin, host: str) -> None:
    """With its port where that is not the scheme's, in brackets where it is IPv6."""
    assert (await head_of(origin=origin))[1] == f"host: {host}"


async def test_a_whole_answer_is_bounded() -> None:
    """[server] max_reply_bytes."""
    wire = Wire()
    await backend(wire).fetch(make_call(), REQUEST)
    assert wire.limit_bytes == 7


async def test_what_is_posted_is_what_is_fetched() -> None:
    """The same request with the same bounds, and who waits for it."""
    wire, waiter = Wire(), cast("Waiter", object())
    calling = backend(wire)
    await calling.fetch(make_call(), REQUEST)
    limit_bytes, wire.limit_bytes = wire.limit_bytes, 0
    posted: Any = calling.post(make_call(), REQUEST, waiter)
    assert (posted, wire.limit_bytes) == ("on its way", limit_bytes)
    assert wire.asked[1] == (*wire.asked[0], waiter)


async def test_a_stream_goes_the_same_way() -> None:
    """Origin, head, body and timeouts."""
    wire = Wire()
    await backend(wire).open(make_call(), REQUEST)
    origin, _, body, timeouts = wire.asked[0]
    assert (origin.host, body, timeouts) == ("api.example.com", b"{}", TIMEOUTS)


@pytest.mark.parametrize(
    ("stops", "models", "expected"),
    [
        (True, (), True),
        (False, (), False),
        (True, ("openai/",), True),
        (True, ("x/",), False),
        (False, ("openai/",), False),
    ],
)
def test_cancelling_stops_the_bill_where_the_row_says_so(stops: bool, models: tuple[str, ...], expected: bool) -> None:
    """For all models, or for those that begin so."""
    told = backend(cancel_stops_billing=stops, cancel_models=models)
    assert told.cancel_stops_billing("openai/gpt-4") is expected


@pytest.mark.parametrize("stops", [True, False])
def test_whole_calls_are_stopped_where_the_address_says_so(stops: bool) -> None:
    """Whatever streams do there; unsaid, they are not."""
    assert backend(cancel_stops_billing=not stops, cancel_stops_whole_calls=stops).cancel_stops_whole_calls is stops
    assert not backend().cancel_stops_whole_calls


def test_a_provider_is_not_free() -> None:
    """Its calls are priced."""
    assert backend().is_free is False
