"""SIGTERM: what runs may end, what is new is refused, and nothing is missing in the ledger."""

import asyncio
import signal
from pathlib import Path

import pytest
from faults.world import Gateway, gateway
from proof.load import Provider, ask, configure, is_right, journal_files, open_provider
from proof.raw_client import Heard, RawClient
from running import upstream
from waiting_clock import waiting_clock


async def stream_all(running: Gateway, provider: Provider, streams: int) -> list["asyncio.Task[Heard]"]:
    """Begin this many streams; on return each of them stands in its middle."""
    loop = asyncio.get_running_loop()
    clients = [RawClient(running.port) for _ in range(streams)]
    for number, client in enumerate(clients, 1):
        await ask(client, running.keys["api_key"], number, stream=True)
    answers = [loop.create_task(_hear_out(client)) for client in clients]
    async with asyncio.timeout(10):
        while provider.asked < streams or await running.gauge("watchllm_requests_in_flight") < streams:
            await asyncio.sleep(0.01)
    return answers


async def _hear_out(client: RawClient) -> Heard:
    heard = await client.answer()
    await client.leave()
    return heard


async def seconds_until_refused(port: int) -> float:
    """How long a connection can still be made; what is accepted must be closed without an answer."""
    async with asyncio.timeout(10), waiting_clock() as clock:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                return clock.seconds
            writer.close()
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("streams", [20, pytest.param(100, marks=pytest.mark.long)])
async def test_no_stream_is_cut_by_a_stop(tmp_path: Path, streams: int) -> None:
    """Every stream that runs comes to its [DONE] and its row, the exit code is 0, and the journal is empty."""
    provider = open_provider(is_gate_open=False)
    async with upstream(provider.answer) as listening, gateway(tmp_path, configure(listening.url)) as running:
        answers = await stream_all(running, provider, streams)
        running.process.send_signal(signal.SIGTERM)
        refused_s = await seconds_until_refused(running.port)
        provider.gate.set()
        heard = await asyncio.gather(*answers)
        code = await running.process.wait()
    rows = running.rows()
    assert [answer.is_done for answer in heard] == [True] * streams
    assert code == 0
    assert refused_s < 1
    assert sorted(row["request_id"] for row in rows) == sorted(answer.request_id for answer in heard)
    assert all(is_right(row) and row["status"] == "complete" for row in rows)
    assert journal_files(tmp_path) == []


async def test_a_stop_closes_connections_that_wait_for_nothing(tmp_path: Path) -> None:
    """A client that keeps an idle connection does not hold the process up."""
    provider = open_provider()
    async with upstream(provider.answer) as listening, gateway(tmp_path, configure(listening.url)) as running:
        client = RawClient(running.port)
        await ask(client, running.keys["api_key"], 1, stream=False)
        assert (await client.answer()).status == 200
        async with asyncio.timeout(5):
            assert await running.stop() == 0
        await client.leave()


async def test_a_stream_that_outlasts_the_drain_is_cut_and_has_its_row(tmp_path: Path) -> None:
    """When the drain time is over, what was delivered is an estimate in the ledger, and the exit code still 0."""
    provider = open_provider(is_gate_open=False)
    async with upstream(provider.answer) as listening:
        config = configure(listening.url, "[server]\ndrain_timeout_ms = 1_000\n")
        async with gateway(tmp_path, config) as running:
            answers = await stream_all(running, provider, 5)
            async with asyncio.timeout(10):
                code = await running.stop()
            heard = await asyncio.gather(*answers)
    rows = running.rows()
    assert code == 0
    assert not any(answer.is_done for answer in heard)
    assert sorted(row["session"] for row in rows) == [f"call-{number}" for number in range(1, 6)]
    assert all(row["is_estimated"] and row["output_tokens"] >= 1 and row["cost_pusd"] > 0 for row in rows)
    assert journal_files(tmp_path) == []
