"""A scrape of any worker tells of all, no counter ever goes back, and a worker that hangs or is gone stops none."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.server import exchange
from gateway.server.exchange import MetricsExchange, open_run_folder
from gateway.telemetry import Metrics, render
from tests.gateway.usage_rows import NOW_NS, make_row

Samples = dict[str, Decimal]


def parse(metrics: Metrics) -> Samples:
    """What a scrape shows, but for the versions."""
    lines = [line for line in render(metrics).decode().splitlines() if not re.match("#|watchllm_build", line)]
    return {name: Decimal(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def make_metrics(calls: int = 0, pending: int = 0, fallbacks: int = 0, ready: int = 1) -> Metrics:
    """A worker's numbers."""
    gauges = {
        "watchllm_ledger_pending_rows": lambda: pending,
        "watchllm_cache_fallbacks_total": lambda: fallbacks,
        "watchllm_cache_index_ready": lambda: ready,
    }
    metrics = Metrics(version="1", gauges=gauges)
    for _ in range(calls):
        count(metrics)
    return metrics


def count(metrics: Metrics, **fields: int) -> None:
    """Count a call and its try."""
    metrics.observe_call(make_row(NOW_NS, **fields))
    metrics.observe_attempt("openai", "ok")


@asynccontextmanager
async def joined(
    folder: Path, *workers: Metrics, first: int = 0, count: int = 2
) -> AsyncIterator[list[MetricsExchange]]:
    """Workers of one folder, numbered from ``first`` on."""
    async with AsyncExitStack() as stack:
        made = [MetricsExchange(folder, first + number, max(count, len(workers))) for number in range(len(workers))]
        for worker, metrics in zip(made, workers, strict=True):
            await worker.join(metrics)
            stack.push_async_callback(worker.leave)
        yield made


async def scrape(metrics: Metrics) -> Samples:
    """Ask one worker."""
    assert metrics.gather is not None
    return parse(await metrics.gather())


async def test_whoever_is_asked_tells_of_all(tmp_path: Path) -> None:
    """As one process would that had done it all: counters, histograms, tokens and money, to the last digit."""
    whole, workers = make_metrics(), [make_metrics(), make_metrics(), make_metrics()]
    for number in range(12):
        fields = {"latency_ms": 40 * number, "cost_pusd": 10**20 + number, "audio_input_tokens": number % 2}
        fields["http_status"] = 200 if number % 4 else 502
        count(whole, **fields)
        count(workers[number % 3], **fields)
    async with joined(tmp_path, *workers):
        for worker in workers:
            assert await scrape(worker) == parse(whole)


async def test_gauges_add_up_unless_each_worker_knows_of_all(tmp_path: Path) -> None:
    """What waits adds up; a target that is spared is spared once; the index is ready where it is ready everywhere."""
    first, second = make_metrics(pending=2, fallbacks=3), make_metrics(pending=5, fallbacks=4, ready=0)
    first.requests_in_flight, second.requests_in_flight, first.holds_open = 2, 1, 1
    first.verdicts["same"], second.verdicts["same"], second.verdicts["none"] = 2, 3, 1
    first.breaker_open, second.breaker_open = {"openai": 2, "groq": 1}, {"openai": 1}
    async with joined(tmp_path, first, second):
        shown = await scrape(second)
    assert [shown[f"watchllm_{name}"] for name in ("ledger_pending_rows", "requests_in_flight", "holds_open")] == [
        7,
        3,
        1,
    ]
    assert shown["watchllm_cache_fallbacks_total"] == 7
    assert shown["watchllm_cache_index_ready"] == 0
    told = [shown[f'watchllm_cache_verdicts_total{{verdict="{name}"}}'] for name in ("same", "different", "none")]
    assert told == [5, 0, 1]
    assert [shown[f'watchllm_breaker_open{{provider="{name}"}}'] for name in ("openai", "groq")] == [2, 1]


async def test_a_worker_that_ended_is_still_counted(tmp_path: Path) -> None:
    """Without its gauges; and the one that replaces it goes on where it ended."""
    first, second = make_metrics(3), make_metrics(4, pending=5, fallbacks=2)
    async with joined(tmp_path, first):
        async with joined(tmp_path, second, first=1):
            before = await scrape(first)
        gone = await scrape(first)
        assert (gone["watchllm_ledger_pending_rows"], before["watchllm_ledger_pending_rows"]) == (0, 5)
        assert {name: value for name, value in gone.items() if "pending" not in name} == {
            name: value for name, value in before.items() if "pending" not in name
        }
        successor = make_metrics(fallbacks=1)
        async with joined(tmp_path, successor, first=1):
            count(successor)
            after = await scrape(successor)
    name = 'watchllm_requests_total{endpoint="chat/completions",provider="openai",status="200"}'
    assert (before[name], after[name], after["watchllm_cache_fallbacks_total"]) == (7, 8, 3)


async def test_what_was_told_is_never_lost_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    """It is written before it is told, so no sum goes back whoever dies when."""
    first, second = make_metrics(1), make_metrics(1)
    async with joined(tmp_path, first, second) as (_, other):
        count(second)
        told = await scrape(first)
        # Killed: its socket refuses, and nothing is written any more.
        assert other._server is not None
        other._server.close()
        other.save = lambda: b""  # type: ignore[method-assign]
        assert await scrape(first) == told


async def test_a_worker_that_hangs_is_told_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scrape waits half a second for it, no longer; its gauges are as it wrote them."""
    monkeypatch.setattr(exchange, "ASK_TIMEOUT_S", 0.05)
    first, second = make_metrics(1), make_metrics(2, pending=3)
    async with joined(tmp_path, first, second) as (_, other):
        other.save()
        count(second)

        async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await told.wait()
            writer.close()
            await writer.wait_closed()
            closed.set()

        told, closed = asyncio.Event(), asyncio.Event()

        assert other._server is not None
        other._server.close()
        (tmp_path / "1.sock").unlink(missing_ok=True)
        stuck = await asyncio.start_unix_server(hang, tmp_path / "1.sock")
        shown = await scrape(first)
        told.set()
        await closed.wait()
        stuck.close()
    name = 'watchllm_requests_total{endpoint="chat/completions",provider="openai",status="200"}'
    assert (shown[name], shown["watchllm_ledger_pending_rows"]) == (3, 3)


@pytest.mark.parametrize("written", [b"", b"{}", b"[1"])
async def test_a_file_that_is_broken_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, written: bytes
) -> None:
    """Of another worker, and of a predecessor; the log tells."""
    (tmp_path / "1.json").write_bytes(written)
    first, second = make_metrics(1), make_metrics(2)
    async with joined(tmp_path, first):
        assert await scrape(first) == parse(make_metrics(1))
        async with joined(tmp_path, second, first=1):
            assert await scrape(second) == parse(make_metrics(3))
    assert "metrics of worker 1 cannot be read" in caplog.text


async def test_a_folder_that_takes_nothing_stops_no_scrape(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells it once."""
    first = make_metrics(1)
    async with joined(tmp_path, first) as (worker,):
        worker._folder = tmp_path / "gone"
        for _ in range(2):
            assert await scrape(first) == parse(make_metrics(1))
    assert caplog.text.count("metrics of worker 0 cannot be written") == 1


async def test_the_numbers_are_written_now_and_then(tmp_path: Path) -> None:
    """Every five seconds, so that a worker that is killed takes little with it."""
    metrics = make_metrics(1)
    async with joined(tmp_path, metrics) as (worker,):
        seen: list[bool] = []
        for now_s in (100.0, 104.9, 105.0):
            (tmp_path / "0.json").unlink(missing_ok=True)
            worker.save_if_due(now_s)
            seen.append((tmp_path / "0.json").exists())
    assert seen == [True, False, True]


def test_the_folder_of_a_run_is_its_users_alone_and_goes_with_it() -> None:
    """What lies in it goes too."""
    with open_run_folder() as folder:
        assert folder is not None
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "0.json").write_bytes(b"{}")
    assert not folder.exists()


async def test_without_a_place_each_worker_tells_of_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway starts all the same, and the log tells it."""

    def refuse(**_: object) -> None:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    metrics = make_metrics(1)
    with open_run_folder() as folder:
        worker = MetricsExchange(folder, 0, 2)
        await worker.join(metrics)
        worker.save_if_due(100.0)
        await worker.leave()
    assert (folder, metrics.gather) == (None, None)
    assert "shows its own metrics alone" in caplog.text


async def test_a_folder_with_too_long_a_name_leaves_the_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A socket's name has 107 bytes; counters are told all the same."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    first, second = make_metrics(1), make_metrics(2)
    async with joined(folder, first, second) as (_, other):
        other.save()
        shown = await scrape(first)
    assert shown['watchllm_requests_total{endpoint="chat/completions",provider="openai",status="200"}'] == 3
    assert "worker 1 gives its metrics by its file alone" in caplog.text
