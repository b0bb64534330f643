"""The client of an ASGI call: order, bounds, leaving and slowness, driven by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from fakes import turn

from gateway.config.settings import Server
from gateway.errors import Fault
from gateway.surfaces.proxy.asgi_client import MAX_QUEUED_BYTES, AsgiClient

HEAD = b"content-type: text/plain\r\nx-a: b: c\r\n"


class Peer:
    """The server's side of an ASGI call."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.sent: list[dict[str, Any]] = []
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        for message in messages:
            self.inbox.put_nowait(message)
        self.client = AsgiClient(cast("Any", self.inbox.get), cast("Any", self._send))

    async def _send(self, event: dict[str, Any]) -> None:
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.sent.append(event)

    @property
    def body(self) -> bytes:
        """Everything sent, joined."""
        return b"".join(event["body"] for event in self.sent if event["type"] == "http.response.body")

    def leave(self) -> None:
        """Close the connection."""
        self.inbox.put_nowait({"type": "http.disconnect"})


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    """A part of a request's body."""
    return {"type": "http.request", "body": body, "more_body": more}


async def answered(peer: Peer, work: Callable[[AsgiClient], Awaitable[None]]) -> Peer:
    """Answer by doing some work."""

    async def path() -> None:
        await work(peer.client)

    async with asyncio.timeout(5):
        await peer.client.answer(path())
    return peer


async def send_whole(client: AsgiClient) -> None:
    """Answer at once."""
    client.send(418, HEAD, b"tea")


async def send_stream(client: AsgiClient) -> None:
    """Answer in three parts."""
    client.start(HEAD)
    client.write(b"a")
    client.write(b"b")
    client.end(b"c")


async def test_a_whole_answer_is_a_head_and_a_body() -> None:
    """With its length; values with a colon stay whole."""
    peer = await answered(Peer(), send_whole)
    assert peer.sent == [
        {
            "type": "http.response.start",
            "status": 418,
            "headers": [(b"content-type", b"text/plain"), (b"x-a", b"b: c"), (b"content-length", b"3")],
        },
        {"type": "http.response.body", "body": b"tea", "more_body": False},
    ]


async def test_a_stream_is_a_head_and_parts_in_order() -> None:
    """The last one says that it is."""
    peer = await answered(Peer(), send_stream)
    assert [(event.get("status"), event.get("body"), event.get("more_body")) for event in peer.sent] == [
        (200, None, None),
        (None, b"a", True),
        (None, b"b", True),
        (None, b"c", False),
    ]


async def test_parts_leave_as_they_come() -> None:
    """A stream is not collected."""
    peer, gate = Peer(), asyncio.Event()

    async def work(client: AsgiClient) -> None:
        client.start(HEAD)
        client.write(b"a")
        await gate.wait()
        client.end(b"b")

    task = asyncio.get_running_loop().create_task(answered(peer, work))
    while not peer.body:
        await turn()
    assert (peer.body, task.done()) == (b"a", False)
    gate.set()
    await task
    assert peer.body == b"ab"


async def test_leaving_is_told_once() -> None:
    """So that the provider's stream can be closed."""
    peer, told = Peer(), asyncio.Event()
    times: list[int] = []

    async def work(client: AsgiClient) -> None:
        client.watch(lambda: (times.append(1), told.set())[0], lambda _: None)  # type: ignore[func-returns-value]
        client.start(HEAD)
        peer.leave()
        await told.wait()

    await answered(peer, work)
    assert (times, peer.client.is_gone) == ([1], True)


async def test_a_watcher_that_comes_late_is_told_at_once() -> None:
    """The client left before."""
    peer, told = Peer(), asyncio.Event()

    async def work(client: AsgiClient) -> None:
        peer.leave()
        while not client.is_gone:
            await turn()
        client.watch(told.set, lambda _: None)

    await answered(peer, work)
    assert told.is_set()


async def test_nothing_is_sent_to_a_client_that_left() -> None:
    """Writing does nothing then."""
    peer = Peer()

    async def work(client: AsgiClient) -> None:
        peer.leave()
        while not client.is_gone:
            await turn()
        await send_stream(client)

    await answered(peer, work)
    assert peer.sent == []


async def test_leaving_after_the_end_is_no_leaving() -> None:
    """The answer was whole; a disconnect then is how calls end."""
    peer = Peer()
    peer.gate.clear()

    async def work(client: AsgiClient) -> None:
        await send_whole(client)
        peer.leave()
        await turn()
        await turn()
        peer.gate.set()

    await answered(peer, work)
    assert (peer.client.is_gone, peer.body) == (False, b"tea")


async def test_a_slow_client_is_told() -> None:
    """What waits for it is bounded by holding the provider back."""
    peer = Peer()
    peer.gate.clear()
    pressures: list[bool] = []

    async def work(client: AsgiClient) -> None:
        client.watch(lambda: None, pressures.append)
        client.start(HEAD)
        client.write(b"x" * (MAX_QUEUED_BYTES + 1))
        assert pressures == [True]
        peer.gate.set()
        while pressures != [True, False]:
            await turn()
        client.end(b"y")

    await answered(peer, work)
    assert pressures == [True, False]


async def test_a_quick_client_is_never_slow() -> None:
    """Ordinary parts press nobody."""
    pressures: list[bool] = []

    async def work(client: AsgiClient) -> None:
        client.watch(lambda: None, pressures.append)
        await send_stream(client)

    await answered(Peer(), work)
    assert pressures == []


async def test_a_path_that_answers_nothing_ends_all_the_same() -> None:
    """No writer waits for a part that will not come."""

    async def work(client: AsgiClient) -> None:
        client.start(HEAD)

    peer = await answered(Peer(), work)
    assert peer.body == b""


async def test_a_server_whose_send_fails_means_that_the_client_left() -> None:
    """ASGI 2.4: send raises OSError once the client is gone; that is no fault of ours."""
    peer, told = Peer(), asyncio.Event()
    peer.failure = OSError("gone")

    async def work(client: AsgiClient) -> None:
        client.watch(told.set, lambda _: None)
        client.start(HEAD)
        client.write(b"a")
        await told.wait()

    await answered(peer, work)
    assert peer.client.is_gone


# --- the request's body ---


async def test_a_body_is_its_parts() -> None:
    """However they are cut."""
    peer = Peer(part(b"ab", more=True), part(b"", more=True), part(b"c"))
    assert await peer.client.read_body(Server()) == b"abc"


async def test_a_body_without_the_optional_keys_is_read() -> None:
    """The ASGI specification gives body and more_body defaults."""
    peer = Peer({"type": "http.request", "body": b"ab", "more_body": True}, {"type": "http.request"})
    assert await peer.client.read_body(Server()) == b"ab"


async def test_a_body_may_be_as_large_as_configured() -> None:
    """Not a byte less."""
    assert len(await Peer(part(b"x" * 1_024)).client.read_body(Server(max_body_bytes=1_024))) == 1_024


async def test_a_larger_body_is_413_before_it_is_read() -> None:
    """The rest is not waited for."""
    peer = Peer(part(b"x" * 1_025, more=True))
    with pytest.raises(Fault) as refused:
        await peer.client.read_body(Server(max_body_bytes=1_024))
    assert (refused.value.status, refused.value.code) == (413, "request_too_large")


async def test_a_slow_body_is_408() -> None:
    """[server] body_timeout_ms."""
    with pytest.raises(Fault) as refused:
        await Peer(part(b"x", more=True)).client.read_body(Server(body_timeout_ms=1))
    assert refused.value.status == 408


async def test_a_client_that_leaves_within_its_body_is_refused() -> None:
    """Nothing is called for half a request."""
    peer = Peer(part(b"x", more=True))
    peer.leave()
    with pytest.raises(Fault) as refused:
        await peer.client.read_body(Server())
    assert refused.value.status == 400
