"""Thousands of mixed calls, after which the ledger is the providers' own count."""

import asyncio
import contextlib
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from proof.calls import SANDBOX_PROMPTS, WORD, Wanted, configure, plan_calls
from proof.judging import Row, Seen, judge_all, read_bills, sum_reported, sum_rows, tally
from proof.metered_upstream import Books, open_books
from proof.raw_client import Heard, RawClient
from running import Running, Upstream, running, upstream

CALLERS = 32
SEED = 20261122
# Every kind of call must have come at least this often in a hundred.
RARE_PERCENT = 0.5
# What may run when every call is over: the upstream of the test, the sync that each interval begins, and what watches
# over a transaction, such as a look for changed keys.
NO_CALLS = {Upstream.handle.__qualname__, "Journal._sync_once", "_interrupted.<locals>.interrupt"}


class Proof(msgspec.Struct, kw_only=True):
    """All that a run left behind."""

    seen: list[Seen]
    rows: list[Row]
    holds_open: int
    in_flight: int
    relays: int
    tasks: set[str]
    upstream_open: int
    descriptors: int


@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(300)])])
async def test_the_ledger_is_the_providers_own_count(tmp_path: Path, count: int) -> None:
    """One row a call; exact in every bucket and to the picodollar where reported, else a flagged, bounded estimate."""
    proof = await run_calls(tmp_path, plan_calls(SEED, count))
    wrong = judge_all(proof.seen)
    assert not wrong, f"seed {SEED}, {len(wrong)} of {count} calls:\n" + "\n".join(wrong[:10])
    assert sum_rows(proof.rows) == sum_reported(proof.seen), f"seed {SEED}"
    assert len(proof.rows) == sum(len(call.rows) for call in proof.seen), "a row of no call"
    rare = {kind: n for kind, n in tally(proof.seen).items() if n < count * RARE_PERCENT / 100}
    assert not rare, f"the mix proves too little: {rare}"
    assert (proof.holds_open, proof.in_flight, proof.relays) == (0, 0, 0)
    assert proof.tasks == set()
    assert (proof.upstream_open, proof.descriptors) == (0, 0)


async def run_calls(folder: Path, calls: Sequence[Wanted]) -> Proof:
    """Make the calls, many at a time, and look at everything when they are over."""
    books = open_books(calls)
    before = count_descriptors()
    async with upstream(books.answer) as providers:
        async with running(folder, configure(providers.port)) as gateway:
            resting = name_tasks()
            heard = await make_calls(gateway, books, calls)
            await come_to_rest(gateway)
            metrics = gateway.gateway.services.metrics
            proof = Proof(
                seen=[],
                rows=read_rows(folder / "data" / "watchllm.db"),
                holds_open=metrics.holds_open,
                in_flight=metrics.requests_in_flight,
                relays=len(gateway.gateway.services.relays),
                tasks=name_tasks() - resting - NO_CALLS,
                upstream_open=-1,
                descriptors=-1,
            )
        proof.upstream_open = await count_open(providers)
    proof.descriptors = max(0, count_descriptors() - before)
    proof.seen = put_together(calls, heard, books, proof.rows)
    return proof


async def make_calls(gateway: Running, books: Books, calls: Sequence[Wanted]) -> dict[int, Heard]:
    """Share the calls among the callers."""
    heard: dict[int, Heard] = {}
    waiting = iter(calls)

    async def call_on() -> None:
        client = RawClient(gateway.port)
        for wanted in waiting:
            heard[wanted.number] = await make_call(gateway, client, books, wanted)
        await client.leave()

    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(call_on())
    return heard


async def make_call(gateway: Running, client: RawClient, books: Books, wanted: Wanted) -> Heard:
    """Make one call, and leave it where the plan says so."""
    path, body = request_of(wanted)
    key = gateway.test_key if wanted.is_sandbox else gateway.live_key
    await client.send(path, key, body, {"x-watchllm-session": wanted.name})
    if wanted.leaves == "after":
        heard = await client.answer(until=WORD.encode())
    elif wanted.leaves == "before":
        heard = await _answer_or_arrival(client, books, wanted)
    else:
        return await client.answer()
    if not heard.is_whole:
        await client.leave(rudely=wanted.leaves_rudely)
        books.left[wanted.number].set()
    return heard


async def _answer_or_arrival(client: RawClient, books: Books, wanted: Wanted) -> Heard:
    """Wait until the provider that will answer was reached; a call that none answers ends by itself."""
    loop = asyncio.get_running_loop()
    answer = loop.create_task(client.answer())
    arrival = loop.create_task(books.arrived[wanted.number].wait())
    await asyncio.wait((answer, arrival), return_when=asyncio.FIRST_COMPLETED)
    arrival.cancel()
    if answer.done():
        return answer.result()
    answer.cancel()
    await asyncio.wait((answer, arrival))
    return Heard()


def request_of(wanted: Wanted) -> tuple[str, dict[str, Any]]:
    """Path and body of a call; its name stands in its text, for the provider to see."""
    text = wanted.name + WORD * wanted.prompt_words
    if wanted.is_sandbox:
        assert wanted.endpoint in SANDBOX_PROMPTS, "a sandbox call names its prompt as its endpoint"
        prompt = text if wanted.endpoint == "echo" else f"sandbox:{wanted.endpoint} {text}"
        messages = [{"role": "user", "content": prompt}]
        return "/v1/chat/completions", {"model": wanted.model, "messages": messages, "stream": wanted.stream}
    asked: dict[str, dict[str, Any]] = {
        "embeddings": {"input": text},
        "completions": {"prompt": text},
        "chat/completions": {"messages": [{"role": "user", "content": text}]},
    }
    body = {"model": wanted.model, **asked[wanted.endpoint]}
    if wanted.stream:
        body["stream"] = True
    if wanted.wants_usage:
        body["stream_options"] = {"include_usage": True}
    return f"/v1/{wanted.endpoint}", body


async def come_to_rest(gateway: Running) -> None:
    """Wait until nothing runs any more and the database has every row."""
    metrics = gateway.gateway.services.metrics
    async with asyncio.timeout(10):
        while metrics.requests_in_flight or gateway.server.server_state.connections:
            await asyncio.sleep(0.005)
        await gateway.gateway.services.recorder.flush()


async def count_open(providers: Upstream) -> int:
    """Connections to the providers that outlive the gateway."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            while providers.open:
                await asyncio.sleep(0.005)
    return providers.open


def put_together(calls: Sequence[Wanted], heard: dict[int, Heard], books: Books, rows: Sequence[Row]) -> list[Seen]:
    """Each call with what the client heard, what the providers did and what the ledger has."""
    by_name: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_name[row["session"]].append(row)
    return [
        Seen(
            wanted=wanted,
            heard=heard[wanted.number],
            has_left=books.left[wanted.number].is_set(),
            bills=read_bills(books, wanted.number),
            rows=by_name[wanted.name],
        )
        for wanted in calls
    ]


def read_rows(path: Path) -> list[Row]:
    """Every row of the ledger's table."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM usage")]


def name_tasks() -> set[str]:
    """What runs in the loop, by the names of coroutines."""
    return set(_names())


def _names() -> Iterator[str]:
    for task in asyncio.all_tasks():
        yield getattr(task.get_coro(), "__qualname__", repr(task))


def count_descriptors() -> int:
    """Files and sockets that this process has open."""
    return len(os.listdir("/proc/self/fd"))
