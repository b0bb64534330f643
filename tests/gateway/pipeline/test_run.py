"""The whole path of a call: however it ends, there is one answer, one row, and no hold left."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, cast

import pytest
from fakes import (
    STREAM,
    TESTER,
    FakeBackend,
    FakeClient,
    FakeDirectory,
    FakeExchange,
    FakeRecorder,
    FakeTokenizers,
    chunk,
    make_call,
    make_inbound,
    make_services,
    make_table,
    rows_of,
    turn,
    whole,
)

from gateway.accounts.directory import KeyDirectory
from gateway.config.settings import Ledger, Retries, Settings
from gateway.errors import Fault
from gateway.ledger.recording.journal import JournalFull
from gateway.ledger.row import UsageRow
from gateway.pipeline.auth import Credentials
from gateway.pipeline.run import admit, run
from gateway.pipeline.services import Services
from providers.errors import Refused, Truncated, Unreachable, Unsupported

DOWN = Refused("down", upstream_status=503)


class Path:
    """One call through all rooms: its client, its services, and in which order what happened."""

    def __init__(
        self, *backends: Any, stream: bool = False, ledger: Ledger | None = None, tries: int | None = None, **parts: Any
    ) -> None:
        self.log: list[str] = []
        self.client = FakeClient(self.log)
        recorder = cast("Any", FakeRecorder(self.log))
        settings = Settings(retries=Retries(max_tries=tries or len(backends)), ledger=ledger or Ledger())
        self.services: Services = make_services(
            *backends, FakeBackend(whole(), name="sandbox", is_free=True), settings=settings, recorder=recorder, **parts
        )
        self.call = make_call(stream=stream)

    async def run(self, **fields: Any) -> "Path":
        """Go through to the end."""
        await run(make_inbound(self.call, **fields), self.client, self.services)
        return self

    async def begin(self, reached: Callable[[], object]) -> "asyncio.Task[Path]":
        """Go until something is so."""
        task = asyncio.get_running_loop().create_task(self.run())
        while not reached():
            await turn()
        return task

    @property
    def row(self) -> UsageRow:
        """The only row."""
        (row,) = rows_of(self.services)
        return row

    @property
    def ending(self) -> tuple[str, int, str]:
        """Status, HTTP status and error code of the only row."""
        return self.row.status, self.row.http_status, self.row.error_code


async def never() -> Any:
    """An answer that does not come."""
    await asyncio.get_running_loop().create_future()


class Strict:
    """A dialect that refuses everything."""

    endpoints = frozenset({"chat/completions"})

    def encode(self, call: object, model: str) -> Any:
        """Refuse."""
        raise Unsupported("no", param="seed")


ENDINGS: dict[str, tuple[Any, bool]] = {
    "whole": (whole(), False),
    "stream": (FakeExchange(STREAM), True),
    "refused": (Refused("no", upstream_status=400), False),
    "down": (DOWN, False),
    "unreachable": (Unreachable("reset", sent=True), True),
    "html": (whole(body=b"<html>"), False),
    "broken stream": (FakeExchange([chunk()], error=Truncated("cut")), True),
    "empty stream": (FakeExchange(), True),
    "unexpected": (RuntimeError("a bug"), False),
    "unexpected in a stream": (RuntimeError("a bug"), True),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_every_ending_leaves_one_row(ending: str) -> None:
    """Never none, never two."""
    step, stream = ENDINGS[ending]
    path = await Path(FakeBackend(step), stream=stream).run()
    assert len(rows_of(path.services)) == 1


@pytest.mark.parametrize("ending", ENDINGS)
async def test_every_ending_answers_the_client_once(ending: str) -> None:
    """Never with silence, never with two heads."""
    step, stream = ENDINGS[ending]
    path = await Path(FakeBackend(step), stream=stream).run()
    assert (path.client.answers, path.client.is_whole) == (1, True)


@pytest.mark.parametrize("ending", ENDINGS)
async def test_every_ending_releases_the_hold(ending: str) -> None:
    """The gauge is 0 at rest."""
    step, stream = ENDINGS[ending]
    path = await Path(FakeBackend(step), stream=stream).run()
    assert path.services.metrics.holds_open == 0


async def test_a_call_is_held_open_while_it_runs() -> None:
    """Until it has settled."""
    backend = FakeBackend(never)
    path = Path(backend)
    task = await path.begin(lambda: backend.requests)
    assert path.services.metrics.holds_open == 1
    task.cancel()
    await task
    assert path.services.metrics.holds_open == 0


async def test_a_whole_answer_is_complete() -> None:
    """200, metered and priced."""
    path = await Path(FakeBackend(whole())).run()
    assert (path.ending, path.row.total_tokens, path.row.cost_pusd) == (("complete", 200, ""), 25, 35_000_000)


async def test_a_whole_stream_is_complete() -> None:
    """The usage comes from the chunk that the client did not ask for."""
    path = await Path(FakeBackend(FakeExchange(STREAM)), stream=True).run()
    assert (path.ending, path.row.total_tokens, path.row.is_estimated) == (("complete", 200, ""), 25, False)


async def test_a_refused_call_is_failed_as_it_was_answered() -> None:
    """The row tells the status that the client got, and no tokens."""
    path = await Path(FakeBackend(Refused("no", upstream_status=422, upstream_code="odd"))).run()
    assert (path.ending, path.client.status, path.row.total_tokens) == (("failed", 422, "odd"), 422, 0)


async def test_a_stream_that_breaks_off_is_incomplete() -> None:
    """What was said is charged, as an estimate."""
    path = await Path(FakeBackend(FakeExchange([chunk("Hello")], error=Truncated("cut"))), stream=True).run()
    assert path.ending == ("incomplete", 200, "upstream_truncated")
    assert (path.row.output_tokens, path.row.is_estimated) == (5, True)


async def test_a_stream_that_breaks_behind_its_finish_is_complete() -> None:
    """The answer is whole; only the provider's goodbye is missing."""
    exchange = FakeExchange([chunk("Hello"), chunk(None, "stop")], error=Truncated("cut"))
    path = await Path(FakeBackend(exchange), stream=True).run()
    assert path.ending == ("complete", 200, "")


async def test_leaving_before_the_head_is_cancelled() -> None:
    """The prompt was sent, so it is charged as an estimate, and the row says 499."""
    backend = FakeBackend(never)
    path = Path(backend, stream=True)
    task = await path.begin(lambda: backend.requests)
    path.client.leave()
    await task
    assert path.ending == ("cancelled", 499, "")
    assert (path.row.input_tokens, path.row.output_tokens, path.row.is_estimated) == (1_000, 0, True)


async def test_leaving_before_the_head_names_who_was_asked() -> None:
    """After a fallback that is the second target, at the second try."""
    first, second = FakeBackend(DOWN, name="a"), FakeBackend(never, name="b")
    path = Path(first, second, stream=True)
    task = await path.begin(lambda: second.requests)
    path.client.leave()
    await task
    assert (path.row.provider, path.row.attempts) == ("b", 2)


async def test_leaving_during_a_stream_is_cancelled() -> None:
    """What was produced until then is charged; closing stops the rest."""
    exchange = FakeExchange(is_prompt=False)
    path = Path(FakeBackend(exchange), stream=True)
    task = await path.begin(lambda: exchange.sink)
    assert exchange.sink is not None
    exchange.sink.piece(chunk("Hello"))
    await turn()
    path.client.leave()
    await task
    assert path.ending == ("cancelled", 499, "")
    assert (path.row.output_tokens, path.row.is_estimated, exchange.log[-1]) == (5, True, "abort")


async def test_leaving_a_stream_that_is_billed_all_the_same_waits_for_its_usage() -> None:
    """The row has the provider's own figures."""
    exchange = FakeExchange(STREAM, is_prompt=False)
    path = Path(FakeBackend(exchange, cancels=False), stream=True)
    task = await path.begin(lambda: exchange.sink)
    path.client.leave()
    await turn()
    exchange.play()
    await task
    assert (path.ending, path.row.total_tokens, path.row.is_estimated) == (("cancelled", 499, ""), 25, False)


async def test_leaving_during_a_whole_call_is_charged_when_the_answer_comes() -> None:
    """No server cancels such a handler, and the provider bills it."""
    gate = asyncio.get_running_loop().create_future()

    async def later() -> Any:
        return await gate

    backend = FakeBackend(later)
    path = Path(backend)
    task = await path.begin(lambda: backend.requests)
    path.client.leave()
    gate.set_result(whole())
    await task
    assert (path.ending, path.row.total_tokens) == (("cancelled", 499, ""), 25)


async def test_a_process_that_ends_settles_its_calls() -> None:
    """Without a tokenizer, which takes time that there is not: a guess, flagged."""
    backend = FakeBackend(never)
    path = Path(backend)
    cast("FakeTokenizers", path.services.tokenizers).failure = AssertionError("counted all the same")
    task = await path.begin(lambda: backend.requests)
    task.cancel()
    await task
    assert path.ending == ("incomplete", 503, "maintenance")
    assert (path.row.is_estimated, path.row.input_tokens > 0) == (True, True)


async def test_a_process_that_ends_tells_its_clients() -> None:
    """503 maintenance, with a word on when to ask again."""
    backend = FakeBackend(never)
    path = Path(backend)
    task = await path.begin(lambda: backend.requests)
    task.cancel()
    await task
    assert (path.client.status, path.client.headers["retry-after"]) == (503, "1")


async def test_a_bug_is_answered_without_its_words() -> None:
    """500 server_error; what the exception says is for the log."""
    path = await Path(FakeBackend(RuntimeError("c4n4ry"))).run()
    assert (path.client.status, b"c4n4ry" in path.client.data) == (500, False)


async def test_a_bug_is_recorded_as_it_was_answered() -> None:
    """The row's status is what the client got, not that it left."""
    path = await Path(FakeBackend(RuntimeError("a bug"))).run()
    assert path.ending == ("incomplete", 500, "server_error")


async def test_a_bug_during_a_stream_does_not_break_the_framing() -> None:
    """A second head in the middle of a body would be read as part of it; an error event tells the client."""
    path = Path(FakeBackend(FakeExchange([chunk(), chunk(None, "stop")])), stream=True)
    cast("FakeTokenizers", path.services.tokenizers).failure = RuntimeError("a bug")
    await path.run()
    assert (path.client.answers, path.client.is_whole, b'"server_error"' in path.client.data) == (1, True, True)


async def test_a_bug_that_strikes_again_while_it_is_recorded_is_answered_all_the_same() -> None:
    """A client that hears nothing waits for ever."""

    class BrokenPrices:
        """A table whose row cannot be read."""

        def lookup(self, *_: object) -> None:
            """Fail."""
            raise ValueError("a bug")

    path = Path(FakeBackend(FakeExchange(STREAM)), stream=True, prices=BrokenPrices())
    with contextlib.suppress(ValueError):
        await path.run()
    assert (path.client.answers, path.client.status) == (1, 500)


async def test_a_wish_that_cannot_be_met_costs_nothing() -> None:
    """x-watchllm-cache: only; no provider is asked and no row is written."""
    backend = FakeBackend(whole())
    path = await Path(backend).run(cache="only")
    assert (path.client.status, backend.requests, rows_of(path.services)) == (504, [], [])


async def test_an_unknown_model_costs_nothing() -> None:
    """400, no row, no hold."""
    path = await Path(FakeBackend(whole()), routes=make_table(FakeBackend(whole()), aliases={})).run()
    assert (path.client.status, rows_of(path.services), path.services.metrics.holds_open) == (400, [], 0)


async def test_a_parameter_that_cannot_be_said_costs_nothing() -> None:
    """Nothing was sent, so there is no row."""
    path = await Path(FakeBackend(whole(), dialect=cast("Any", Strict()))).run()
    assert (path.client.status, path.client.json["error"]["param"], rows_of(path.services)) == (400, "seed", [])


async def test_a_try_before_a_refusal_by_our_own_dialect_is_recorded() -> None:
    """The first target was asked and may bill, whatever the second one cannot say."""
    first = FakeBackend(Truncated("cut"), name="a")
    path = await Path(first, FakeBackend(whole(), name="b", dialect=cast("Any", Strict()))).run()
    assert len(rows_of(path.services)) == 1


async def test_a_full_ledger_makes_no_call() -> None:
    """503, and the provider is not asked."""
    backend = FakeBackend(whole())
    path = Path(backend)
    cast("FakeRecorder", path.services.recorder).is_accepting = False
    await path.run()
    assert (path.client.status, backend.requests) == (503, [])


async def test_a_ledger_that_fills_up_during_the_call_does_not_take_the_answer() -> None:
    """It has been paid."""
    path = Path(FakeBackend(whole()))
    cast("FakeRecorder", path.services.recorder).failure = JournalFull("disk full")
    await path.run()
    assert path.client.status == 200


async def test_the_row_is_durable_before_a_whole_answer_goes_out() -> None:
    """Record, then sync, then the client."""
    path = Path(FakeBackend(whole()), ledger=Ledger(sync="strict"))
    await path.run()
    assert path.log == ["record", "synced", "send"]


async def test_the_row_is_durable_before_a_streams_last_bytes_go_out() -> None:
    """The client sees no end that the ledger does not know."""
    path = await Path(FakeBackend(FakeExchange(STREAM)), stream=True).run()
    assert path.log[0] == "start"
    assert path.log[-2:] == ["record", "end"]


async def test_a_process_that_ends_while_the_disk_syncs_has_one_row() -> None:
    """The row was taken already; a second one would be a second charge."""
    gate = asyncio.get_running_loop().create_future()
    path = Path(FakeBackend(whole()), ledger=Ledger(sync="strict"))

    async def sync() -> None:
        await gate

    cast("FakeRecorder", path.services.recorder).on_sync = sync
    task = await path.begin(lambda: rows_of(path.services))
    await turn()
    task.cancel()
    await turn()
    gate.cancel()
    await asyncio.wait([task])
    assert [row.status for row in rows_of(path.services)] == ["complete"]


async def test_a_test_key_is_answered_free_of_charge() -> None:
    """By the sandbox, and the row says free."""
    live = FakeBackend(whole())
    path = await Path(live).run(caller=TESTER)
    assert (path.row.provider, path.row.cost_basis, live.requests) == ("sandbox", "free", [])


@pytest.mark.parametrize("name", [b"x-request-id", b"request-id", b"x-generation-id"])
async def test_the_providers_own_id_of_the_request_is_kept(name: bytes) -> None:
    """To ask the provider about it later; it is bounded."""
    path = await Path(FakeBackend(whole(headers=[(name, b"u" * 500)]))).run()
    assert path.row.upstream_request_id == "u" * 128


async def test_a_fallback_is_counted_in_the_row() -> None:
    """Who answered, at which try."""
    path = await Path(FakeBackend(DOWN, name="a"), FakeBackend(whole(), name="openai")).run()
    assert (path.row.provider, path.row.attempts) == ("openai", 2)


async def test_a_stranger_is_not_admitted() -> None:
    """Before anything else of the request is read."""
    services = make_services(directory=cast("KeyDirectory", FakeDirectory()))
    with pytest.raises(Fault):
        admit(Credentials((b"Bearer nobody",)), services)
