"""What the cache must stand and takes long: traps asked with the real model, and what another's time could tell.

Nothing is asked where the pairs do not lie beside the project.
"""

import json
from bisect import bisect_right
from pathlib import Path

import pytest
from faults.cases import SHARED
from questions import settle
from running import Request, chat_reply, json_reply, openai_config, running, upstream

from tests.faults.test_bad_caches import World, about, world

__all__ = ["world"]
PAIRS = SHARED / "data" / "semantic" / "dev.jsonl"
SOURCES = ("fow", "syn")
BOUND = 0.05
CONFIG = f'[cache]\nmode = "semantic"\nmax_wrong_rate = {BOUND}\nsemantic_max_wait_ms = 10_000\n'
TIMED = 200
# Kolmogorov and Smirnov's critical value of two samples at 0.1 %: 1.95 · √(2 ÷ n).
CRITICAL = 1.95 * (2 / TIMED) ** 0.5


def read_traps(most: int) -> list[tuple[str, str]]:
    """Pairs that differ in a number, a name, a unit or a denial."""
    if not PAIRS.is_file():
        return []
    lines = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    found = [(line["a"], line["b"]) for line in lines if not line["same"] and line["source"].startswith(SOURCES)]
    return found[:most]


@pytest.mark.long
async def test_traps_are_served_within_the_bound(tmp_path: Path) -> None:
    """Two hundred pairs of which no answer may be shared: wrong answers stay within the bound (case cache-007)."""
    pairs = read_traps(200)
    said: dict[str, str] = {}

    async def answer(request: Request, writer: object) -> None:
        asked = request.json()["messages"][-1]["content"]
        said[asked] = f"Of {asked} this is said: {hash(asked)}."
        writer.write(json_reply(chat_reply(said[asked])))  # type: ignore[attr-defined]

    wrong = requests = 0
    async with upstream(answer) as provider:  # type: ignore[arg-type]
        async with running(tmp_path, openai_config(provider) + CONFIG) as gateway, gateway.client() as client:
            for pair in pairs:
                for text in pair:
                    body = {"model": "gpt-4", "messages": [{"role": "user", "content": text}]}
                    reply = await client.post("/v1/chat/completions", json=body)
                    requests += 1
                    content = reply.json()["choices"][0]["message"]["content"]
                    wrong += content != f"Of {text} this is said: {hash(text)}."
                    await settle(gateway)
    assert wrong <= BOUND * requests


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.asyncio(loop_scope="module")
async def test_time_tells_nothing_of_another_tenants_questions(world: World) -> None:
    """Bob's misses take as long where Ann asked the same before as where nobody did: by the gateway's own share.

    Both kinds are asked in turn, so that a neighbour's load falls on both alike, and in words of the same length.
    """
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(TIMED):
        await world.ask(about(f"known{number}"), "ann")
        for is_known in (number % 2 == 0, number % 2 != 0):
            messages = about(f"known{number}" if is_known else f"novel{number}")
            reply = await world.ask(messages, "bob", {"x-watchllm-cache": "read"})
            assert reply.headers["x-watchllm-cache"] == "miss"
            times[is_known].append(float(reply.headers["x-watchllm-overhead-ms"]))
    assert _distance(times[True], times[False]) < CRITICAL


def _distance(left: list[float], right: list[float]) -> float:
    """The largest distance of two samples' distributions."""
    first, second = sorted(left), sorted(right)
    return max(
        abs(bisect_right(first, value) / len(first) - bisect_right(second, value) / len(second))
        for value in (*first, *second)
    )
