"""Rooms 6 and 9: headers, figures and ends, exactly as interface.md lists them."""

import json
import re
from typing import Any

import pytest
from fakes import (
    DONE,
    STREAM,
    USAGE_CHUNK,
    Clock,
    FakeBackend,
    FakeClient,
    FakeExchange,
    answer_body,
    chunk,
    make_call,
    make_inbound,
    make_services,
    make_target,
    turn,
)
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.backends.in_process import HeaderList
from gateway.backends.relay import Relay
from gateway.errors import Fault
from gateway.ledger.row import UsageRow
from gateway.pipeline import record
from gateway.pipeline.flow import Gist, Inbound, Outcome, Target, gist_reader, header_text, read_gist
from gateway.pipeline.reply import finish, flow, refuse
from gateway.pipeline.services import Services
from gateway.pipeline.tries.journey import Journey, Upstream
from providers.chat import Answer, Usage
from providers.errors import ProviderError, Truncated

USAGE = Usage(input_tokens=15, output_tokens=10)
IDENTITY = {
    "x-watchllm-request-id": "r1",
    "x-request-id": "r1",
    "x-watchllm-cached": "false",
    "x-watchllm-cache": "bypass",
    "x-watchllm-provider": "openai",
    "x-watchllm-model": "m",
}
# The cache was not asked.
TOLD = b"x-watchllm-cached: false\r\nx-watchllm-cache: bypass\r\n"
FIGURES = {"cached": False, "cost-usd": "0.000035", "latency-ms": 100}


def upstream_of(relay: Relay | None = None, body: bytes | None = None, **fields: Any) -> Upstream:
    """An answer of openai/m, whole unless there is a relay; fields given win."""
    answer = None if relay is not None else Answer(body=body or answer_body(), usage=USAGE)
    usual: dict[str, Any] = {
        "target": make_target(FakeBackend()),
        "gist": Gist(b"", "", b""),
        "answer": answer,
        "relay": relay,
        "attempts": 1,
        "dropped": (),
        "first_byte_ns": 80_000_000,
        "waited_ns": 90_000_000,
    }
    return Upstream(**{**usual, **fields})


def row_of(inbound: Inbound, upstream: Upstream, services: Services) -> UsageRow:
    """The row of a complete call."""
    outcome = Outcome(
        status="complete", http_status=200, target=upstream.target, usage=USAGE, waited_ns=upstream.waited_ns
    )
    return record.compose(inbound, outcome, services)


def at_100_ms() -> Services:
    """Services 100 ms after the request came."""
    clock = Clock()
    clock.pass_ms(100)
    return make_services(ticks_ns=clock)


def finished(upstream: Upstream) -> FakeClient:
    """The client of a whole answer."""
    client, inbound = FakeClient(), make_inbound()
    services = at_100_ms()
    finish(Journey(inbound, client, services), upstream, TOLD, row_of(inbound, upstream, services))
    return client


async def streamed(*pieces: bytes, error: ProviderError | None = None, wants_usage: bool = False) -> FakeClient:
    """The client of a whole stream."""
    services, client = at_100_ms(), FakeClient()
    inbound = make_inbound(make_call(stream=True, wants_usage=wants_usage))
    exchange = FakeExchange(pieces, error=error)
    backend = FakeBackend()
    relay = Relay(backend.dialect.open_stream(inbound.call), exchange, services.loop, cancels=True)
    exchange.attach(relay)
    upstream = upstream_of(relay)
    journey = Journey(inbound, client, services)
    await flow(journey, upstream, TOLD)
    finish(journey, upstream, TOLD, row_of(inbound, upstream, services))
    return client


async def test_a_whole_answers_headers_are_exactly_the_documented_ones() -> None:
    """Identity, cache, target, cost, latency and the gateway's own share; nothing else."""
    assert finished(upstream_of()).headers == {
        "content-type": "application/json",
        **IDENTITY,
        "x-watchllm-cost-usd": "0.000035",
        "x-watchllm-latency-ms": "100",
        "x-watchllm-overhead-ms": "10.000",
    }


async def test_a_streams_headers_are_exactly_the_documented_ones() -> None:
    """The cost is the estimate from before the call, and says so."""
    headers = (await streamed(*STREAM)).headers
    estimate = headers.pop("x-watchllm-cost-usd")
    assert 0 < float(estimate) < 0.001
    assert headers == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "x-accel-buffering": "no",
        **IDENTITY,
        "x-watchllm-cost-basis": "estimate",
        "x-watchllm-latency-ms": "100",
        "x-watchllm-overhead-ms": "10.000",
    }


async def test_a_stream_without_a_price_has_no_cost_header() -> None:
    """0 would be a claim."""
    services, client = make_services(), FakeClient()
    inbound = make_inbound(make_call(stream=True))
    exchange = FakeExchange(STREAM)
    relay = Relay(FakeBackend().dialect.open_stream(inbound.call), exchange, services.loop, cancels=True)
    exchange.attach(relay)
    upstream = upstream_of(relay, target=make_target(FakeBackend(), model="unknown"))
    await flow(Journey(inbound, client, services), upstream, TOLD)
    assert "x-watchllm-cost-usd" not in client.headers


async def test_dropped_parameters_are_named() -> None:
    """The caller learns what the provider was not asked for."""
    assert finished(upstream_of(dropped=("seed", "logit_bias"))).headers["x-watchllm-dropped-params"] == (
        "seed, logit_bias"
    )


@pytest.mark.parametrize(
    "name",
    [
        b"x-request-id",
        b"retry-after",
        b"retry-after-ms",
        b"x-ratelimit-remaining-tokens",
        b"openai-processing-ms",
        b"anthropic-ratelimit-requests-limit",
    ],
)
async def test_the_providers_known_headers_pass_under_their_names(name: bytes) -> None:
    """Clients read them as they are."""
    gist = read_gist(HeaderList([(name, b"v")]))
    assert finished(upstream_of(gist=gist)).headers[name.decode()] == "v"


@pytest.mark.parametrize(
    ("values", "named"),
    [([], "r1"), ([b""], "r1"), ([b"theirs"], "theirs"), ([b"first", b"second"], "first")],
)
async def test_every_answer_has_one_name_for_its_request(values: list[bytes], named: str) -> None:
    """The provider's first, which the row keeps too; the gateway's own where it says none. A refusal as well."""
    headers = [(b"x-request-id", value) for value in values]
    whole, refused = finished(upstream_of(gist=read_gist(HeaderList(headers)))), FakeClient()
    refuse("r1", refused, Fault("provider_error", "No."), make_target(FakeBackend()), headers)
    for client in (whole, refused):
        assert re.findall(rb"(?im)^x-request-id: (.*)\r$", client.head) == [named.encode()]


@pytest.mark.parametrize(
    "name",
    [
        b"set-cookie",
        b"server",
        b"content-type",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"x-watchllm-cost-usd",
        b"www-authenticate",
        b"location",
        b"access-control-allow-origin",
    ],
)
def test_all_other_headers_of_a_provider_end_here(name: bytes) -> None:
    """Only what is on the list passes: no cookie, no framing, nothing that poses as the gateway's own."""
    assert read_gist(HeaderList([(name, b"v")])).passed == b""


@pytest.mark.parametrize("name", [b"x-request-id", b"request-id", b"x-generation-id", b"openai-processing-ms"])
def test_a_credential_that_a_provider_says_again_is_masked(name: bytes) -> None:
    """In the lines that pass, and in its own name for the request, which the call's row keeps."""
    gist = gist_reader(["c4n4ry-key", "c4n4ry two"])(HeaderList([(name, b"for c4n4ry-key, c4n4ry two")]))
    assert "c4n4ry" not in f"{gist}"
    assert "***, ***" in f"{gist}"
    assert gist_reader([]) is read_gist


async def test_the_figures_are_in_the_body_with_hyphens() -> None:
    """The documents' three members."""
    body = finished(upstream_of()).json
    assert {name: body[f"x-WatchLLM-{name}"] for name in FIGURES} == FIGURES


async def test_the_figures_are_in_the_body_with_underscores() -> None:
    """The same, for clients that read attributes."""
    body = finished(upstream_of()).json
    assert {name: body[f"x_WatchLLM_{name.replace('-', '_')}"] for name in FIGURES} == FIGURES


async def test_the_providers_bytes_stay_as_they_are() -> None:
    """The body is the provider's, with the figures before its last brace."""
    odd = b'{ "choices" : [1.50e3, "\\u00e9"], "id":"c" }'
    assert finished(upstream_of(body=odd)).data.startswith(odd.rstrip(b" }"))


@example(members={"WatchLLM": 0})
@given(members=st.dictionaries(st.text(max_size=10), st.integers() | st.text(max_size=10), max_size=4))
async def test_any_answer_stays_json_and_keeps_its_members(members: dict[str, Any]) -> None:
    """Splicing breaks no body; the names of the gateway's own figures are longer than any here."""
    body = finished(upstream_of(body=json.dumps(members).encode())).json
    assert {name: body[name] for name in members} == members


async def test_the_settled_figures_ride_with_the_finish_reason() -> None:
    """In both spellings, in the chunk that clients read last."""
    chunks = [json.loads(event) for event in (await streamed(*STREAM)).events[:-1]]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert {name: chunks[-1][f"x-WatchLLM-{name}"] for name in FIGURES} == FIGURES
    assert {name: chunks[-1][f"x_WatchLLM_{name.replace('-', '_')}"] for name in FIGURES} == FIGURES


async def test_a_stream_ends_with_done() -> None:
    """The last event, once."""
    assert (await streamed(*STREAM)).data.count(DONE) == 1


async def test_the_usage_chunk_is_left_out_where_nobody_asked() -> None:
    """Its empty choices break chunk.choices[0]."""
    assert b'"usage"' not in (await streamed(*STREAM)).data


async def test_the_usage_chunk_comes_last_where_it_was_asked_for() -> None:
    """stream_options.include_usage: as OpenAI sends it, after the finish_reason."""
    assert (await streamed(*STREAM, wants_usage=True)).data.endswith(USAGE_CHUNK + DONE)


async def test_a_stream_that_never_finished_its_answer_has_an_end_all_the_same() -> None:
    """[DONE] without a finish_reason is the provider's word."""
    assert (await streamed(chunk(), DONE)).data == chunk() + DONE


async def test_a_broken_stream_ends_with_an_error_event() -> None:
    """Clients take a stream that merely stops for a success."""
    event = json.loads((await streamed(chunk(), error=Truncated("cut"))).events[-1])
    assert (event["error"]["code"], event["error"]["type"]) == ("upstream_truncated", "provider_error")


async def test_an_error_event_of_the_provider_becomes_the_gateways() -> None:
    """One code for whatever went wrong over there, with the provider's words."""
    said = b'data: {"error":{"message":"overloaded","type":"server_error","code":"c"}}\n\n'
    event = json.loads((await streamed(chunk(), said)).events[-1])
    assert (event["error"]["code"], event["error"]["type"]) == ("upstream_error", "provider_error")
    assert event["error"]["message"] == "openai: overloaded"


async def test_a_broken_stream_has_no_done() -> None:
    """Nor a finish_reason."""
    client = await streamed(chunk(), error=Truncated("cut"))
    assert (b"[DONE]" in client.data, client.is_whole) == (False, True)


async def test_a_connection_that_breaks_behind_the_finish_reason_is_a_complete_answer() -> None:
    """Nothing that the client needs is missing."""
    assert (await streamed(chunk(), chunk(None, "stop"), error=Truncated("cut"))).events[-1] == "[DONE]"


async def test_a_running_stream_is_known_to_the_sweep() -> None:
    """Silent ones are kept alive with comments."""
    services, client = make_services(), FakeClient()
    inbound = make_inbound(make_call(stream=True))
    exchange = FakeExchange(STREAM, is_prompt=False)
    relay = Relay(FakeBackend().dialect.open_stream(inbound.call), exchange, services.loop, cancels=True)
    exchange.attach(relay)
    task = services.loop.create_task(flow(Journey(inbound, client, services), upstream_of(relay), TOLD))
    await turn()
    assert services.relays == {relay}
    exchange.play()
    await task
    assert services.relays == set()


async def test_a_stream_whose_call_is_cancelled_is_closed() -> None:
    """The process ends: no connection stays open, nothing is swept any more."""
    services = make_services()
    inbound = make_inbound(make_call(stream=True))
    exchange = FakeExchange(is_prompt=False)
    relay = Relay(FakeBackend().dialect.open_stream(inbound.call), exchange, services.loop, cancels=False)
    exchange.attach(relay)
    task = services.loop.create_task(flow(Journey(inbound, FakeClient(), services), upstream_of(relay), TOLD))
    await turn()
    task.cancel()
    await services.loop.create_task(_settled(task))
    assert (exchange.log, services.relays) == (["abort"], set())


async def _settled(task: Any) -> None:
    while not task.done():
        await turn()


def test_a_fault_is_openais_envelope() -> None:
    """message, type, param, code and details."""
    client = FakeClient()
    refuse("r1", client, Fault("invalid_model", "No.", param="model", details={"a": 1}))
    assert (client.status, client.json) == (
        400,
        {
            "error": {
                "message": "No.",
                "type": "invalid_request_error",
                "param": "model",
                "code": "invalid_model",
                "details": {"a": 1},
            }
        },
    )


def test_a_fault_has_its_headers() -> None:
    """The request's id, and what clients need to decide about a retry."""
    client = FakeClient()
    refuse("r1", client, Fault("rate_limit_exceeded", "No.", retry_after_ms=1_500, should_retry=False))
    assert client.headers == {
        "content-type": "application/json",
        "x-watchllm-request-id": "r1",
        "x-request-id": "r1",
        "retry-after": "2",
        "retry-after-ms": "1500",
        "x-should-retry": "false",
    }


def test_a_providers_fault_names_the_provider() -> None:
    """Where it happened."""
    client = FakeClient()
    refuse("r1", client, Fault("provider_error", "No."), make_target(FakeBackend()))
    assert client.headers["x-watchllm-provider"] == "openai"


@given(st.text(max_size=40))
def test_no_models_name_can_inject_a_header_into_a_fault(model: str) -> None:
    """CR and LF of a caller's text stay out of the head."""
    client = FakeClient()
    target = make_target(FakeBackend())
    lines = b"x-watchllm-model: %s\r\n" % header_text(model)
    named = Target(backend=target.backend, model=model, breaker=target.breaker, lines=lines)
    refuse("r1", client, Fault("invalid_model", model), named)
    assert [line.split(":")[0] for line in client.head.decode().split("\r\n")] == [
        "content-type",
        "x-watchllm-request-id",
        "x-request-id",
        "x-watchllm-model",
        "",
    ]
