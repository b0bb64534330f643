"""A collector hears of every call and of the metrics; one that is away, slow or refuses delays no call."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from running import Request, Upstream, always, json_reply, running, upstream

from gateway.otlp import exporter as module
from gateway.otlp.encoding import Resource
from gateway.otlp.exporter import Exporter
from gateway.telemetry import Metrics
from providers.transport.origin import parse_base_url
from tests.gateway.usage_rows import NOW_NS, make_row

RESOURCE = Resource(version="1", instance_id="i", started_ns=1)
TAKEN = json_reply({})
NEVER_S = 999.0


@asynccontextmanager
async def exporting(
    url: str, spans_s: float = 0.01, metrics_s: float = NEVER_S, **more: Any
) -> AsyncIterator[tuple[Metrics, Exporter]]:
    """A registry whose calls are told."""
    metrics = Metrics(version="1")
    made = Exporter(metrics, RESOURCE, parse_base_url(url), lambda: NOW_NS, intervals_s=(spans_s, metrics_s), **more)
    await made.start()
    try:
        yield metrics, made
    finally:
        await made.close()


def spans_of(collector: Upstream) -> list[str]:
    """The ids of the calls that it was told of."""
    found: list[str] = []
    for request in collector.requests:
        if request.path.endswith("/traces"):
            spans = request.json()["resourceSpans"][0]["scopeSpans"][0]["spans"]
            found += [span["traceId"] for span in spans]
    return found


async def until(condition: Any) -> None:
    """Wait, not for ever."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_calls_and_metrics_are_told_below_the_address() -> None:
    """As JSON; the numbers are saved before they are told."""
    saved: list[None] = []
    async with upstream(always(TAKEN)) as collector:
        async with exporting(f"{collector.url}/", metrics_s=0.01, save=lambda: saved.append(None)) as (metrics, _):
            metrics.observe_call(make_row(NOW_NS))
            await until(lambda: {each.path for each in collector.requests} == {"/v1/v1/traces", "/v1/v1/metrics"})
        assert {each.headers["content-type"] for each in collector.requests} == {"application/json"}
    assert saved


async def test_each_call_is_told_once_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full batch at once, the rest at the end."""
    monkeypatch.setattr(module, "BATCH", 4)
    async with upstream(always(TAKEN)) as collector:
        async with exporting(collector.url, NEVER_S) as (metrics, made):
            for number in range(4):
                metrics.observe_call(make_row(NOW_NS + number))
            await until(lambda: len(spans_of(collector)) == 4)
            metrics.observe_call(make_row(NOW_NS))
        assert (len(spans_of(collector)), len(set(spans_of(collector))), made.dropped) == (5, 5, 0)
        assert metrics.on_call is None


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_a_busy_collector_does_not_take_is_told_again(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells when it begins and when it ends, once each."""
    answers = [status, status, 200]

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(json_reply({}, answers.pop(0) if answers else 200))

    async with upstream(answer) as collector, exporting(collector.url) as (metrics, made):
        metrics.observe_call(make_row(NOW_NS))
        await until(lambda: len(collector.requests) >= 3 and not made._waiting)
        assert (len(set(spans_of(collector))), made.dropped) == (1, 0)
    assert [f"status {status}" in each.message for each in caplog.records if "collector" in each.message] == [
        True,
        False,
    ]


async def test_what_a_collector_refuses_is_dropped_and_counted() -> None:
    """Telling it again would not help."""
    async with upstream(always(json_reply({}, 400))) as collector, exporting(collector.url) as (metrics, made):
        metrics.observe_call(make_row(NOW_NS))
        await until(lambda: made.dropped == 1)
        assert not made._waiting


async def test_a_call_that_cannot_be_told_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is dropped and counted, the next one is told."""

    def fail(*_: object) -> bytes:
        raise ValueError("unforeseen")

    async with upstream(always(TAKEN)) as collector, exporting(collector.url) as (metrics, made):
        with monkeypatch.context() as patch:
            patch.setattr(module, "encode_spans", fail)
            metrics.observe_call(make_row(NOW_NS))
            await until(lambda: made.dropped == 1)
        metrics.observe_call(make_row(NOW_NS))
        await until(lambda: len(spans_of(collector)) == 1)


async def test_a_collector_that_is_away_loses_only_what_the_queue_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call waits for it, and the end is quick."""
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    async with exporting("http://127.0.0.1:9") as (metrics, made):
        for _ in range(5):
            metrics.observe_call(make_row(NOW_NS))
        await until(lambda: made._is_away)
        assert (len(made._waiting), made.dropped) == (3, 2)


async def test_a_collector_that_hangs_does_not_keep_the_gateway_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given two seconds then."""
    monkeypatch.setattr(module, "CLOSE_S", 0.05)

    async def hang(_: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with upstream(hang) as collector:
        async with exporting(collector.url) as (metrics, _):
            metrics.observe_call(make_row(NOW_NS))
            await until(lambda: collector.requests)
            begun_s = time.monotonic()
        assert time.monotonic() - begun_s < 5


async def test_a_gateway_tells_of_its_calls_and_nothing_of_their_words(tmp_path: Path) -> None:
    """The last ones as it ends; the reply's id is the trace's."""
    body = {"model": "gpt-4", "messages": [{"role": "user", "content": "canary-question"}]}
    async with upstream(always(TAKEN)) as collector:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url.removesuffix("/v1")}
        async with running(tmp_path, environ=environ) as gateway, gateway.client(gateway.test_key) as client:
            answer = await client.post("/v1/chat/completions", json=body, headers={"x-watchllm-tags": "canary-tag"})
            shown = (await client.get("/metrics")).text
        assert answer.status_code == 200
        assert "watchllm_spans_dropped_total 0" in shown
        assert {each.path for each in collector.requests} == {"/v1/traces", "/v1/metrics"}
        assert len(spans_of(collector)) == 1
        everything = b"".join(each.body for each in collector.requests)
        assert answer.headers["x-watchllm-request-id"].encode() in everything
        assert b"canary" not in everything
        metrics = json.loads(next(each.body for each in collector.requests if each.path == "/v1/metrics"))
        assert "watchllm_requests_total" in json.dumps(metrics)


def test_nothing_of_it_is_imported_without_a_collector() -> None:
    """A start that needs none pays for none."""
    program = "import sys, gateway.app; sys.exit(any(name.startswith('gateway.otlp') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
