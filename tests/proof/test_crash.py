"""Crashes: the gateway is killed under load at random moments, and every answer that a client has was charged once."""

import asyncio
import collections
import contextlib
import itertools
import os
import random
import signal
import statistics
import time
from pathlib import Path

import msgspec
import pytest
from faults.world import Gateway, gateway
from machine_speed import slowness
from proof.load import Callers, configure, is_answered, is_right, journal_files, open_provider
from proof.raw_client import Heard
from running import upstream

SEED = 20261122
KILLS = 50
CALLERS = 32
LIMIT_S = 2.0


class Answers(msgspec.Struct, kw_only=True):
    """What clients relied on, over all lives of the process."""

    # Request ids of whole answers, and the numbers of their calls.
    answered: dict[str, int]
    # Answers that were no answers, though nobody had killed anything.
    refused: list[Heard]
    # From a start to readiness: by the clock, less what other load took, and by the process's own work.
    starts_s: list[float]
    own_s: list[float]
    # How many times slower than the standard machine this one was, again and again between the lives.
    slowness: list[float]

    def take(self, number: int, heard: Heard) -> None:
        """Note one answer."""
        if is_answered(heard):
            self.answered[heard.request_id] = number
        elif heard.is_whole:
            self.refused.append(heard)


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_every_answer_outlives_fifty_kills(tmp_path: Path) -> None:
    """Each answer that a client has whole has exactly one row, no call has two, and no row a wrong cost."""
    moments = random.Random(SEED)  # noqa: S311 - a plan, no secret
    answers = Answers(answered={}, refused=[], starts_s=[], own_s=[], slowness=[])
    numbers = itertools.count(1)
    key = ""
    async with upstream(open_provider().answer) as listening:
        config = configure(listening.url)
        for kill in range(KILLS):
            if kill % 5 == 0:
                answers.slowness.append(slowness(tries=1))
            started = time.monotonic()
            async with gateway(tmp_path, config) as running:
                answers.starts_s.append(time.monotonic() - started - starved_s(running.process.pid))
                answers.own_s.append(cpu_seconds(running.process.pid))
                key = key or running.keys["api_key"]
                await _load_and_kill(running, Callers(running.port, key, numbers, answers.take), moments)
        async with gateway(tmp_path, config) as running:
            assert await running.stop() == 0
            rows = running.rows()
    names = collections.Counter(row["session"] for row in rows)
    charged = {row["request_id"] for row in rows}
    assert len(answers.answered) > 20 * KILLS, "the load proves too little"
    assert set(answers.answered) - charged == set(), f"seed {SEED}: answered and not charged"
    assert [name for name, n in names.items() if n > 1] == [], f"seed {SEED}: charged twice"
    assert [row for row in rows if not is_right(row)] == [], f"seed {SEED}: wrongly charged"
    # Beyond the answers there may be what was recorded in the moment of a kill.
    assert len(rows) - len(answers.answered) <= KILLS * CALLERS
    assert answers.refused == []
    assert journal_files(tmp_path) == []
    # The slowest life is compared with the slowest moment between two of them, and what is usual with what is usual.
    assert max(answers.own_s) < LIMIT_S * max(answers.slowness)
    assert statistics.median(answers.starts_s) < LIMIT_S * statistics.median(answers.slowness)


def starved_s(process_id: int) -> float:
    """How long a process waited for a processor that others had; 0 where the kernel does not tell."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{process_id}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    return 0.0


def cpu_seconds(process_id: int) -> float:
    """What a process has computed so far."""
    fields = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _load_and_kill(running: Gateway, callers: Callers, moments: random.Random) -> None:
    """Load the gateway for a while and kill it in full work."""
    loop = asyncio.get_running_loop()
    calling = loop.create_task(callers.run(CALLERS))
    await asyncio.sleep(moments.uniform(0.02, 1.2))
    await running.stop(signal.SIGKILL)
    callers.is_stopped = True
    with contextlib.suppress(ConnectionError):
        await calling
