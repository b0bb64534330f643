"""Room 8: one call, one row, durable, counted."""

import logging
from typing import Any, cast

import msgspec
import pytest
from fakes import CALLER, NOW_NS, Clock, FakeBackend, FakeRecorder, make_call, make_inbound, make_services
from fakes import make_target as target_of

from gateway.ledger.recording.journal import JournalFull
from gateway.ledger.recording.records import write_record
from gateway.ledger.row import UsageRow
from gateway.pipeline.flow import Inbound, Outcome
from gateway.pipeline.record import compose, sync, write
from gateway.pipeline.services import Services
from providers.chat import Usage
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import MAX_COST_PUSD, PriceTable

BUCKETS = [field for field in Usage.__struct_fields__ if field.endswith("_tokens")]


def outcome(**fields: Any) -> Outcome:
    """A complete call to openai/m; fields given win."""
    usual: dict[str, Any] = {
        "status": "complete",
        "http_status": 200,
        "target": target_of(FakeBackend()),
        "usage": Usage(input_tokens=15, output_tokens=10),
        "attempts": 1,
    }
    return Outcome(**{**usual, **fields})


def row_of(services: Services, inbound: Inbound | None = None, **fields: Any) -> UsageRow:
    """The row of an outcome."""
    return compose(inbound or make_inbound(), outcome(**fields), services)


async def test_a_row_tells_who_called_what_and_when() -> None:
    """Caller, endpoint and names are the request's own."""
    inbound = make_inbound(make_call(model="alias", stream=True), tags="a=b", session="s")
    row = row_of(make_services(), inbound)
    assert (row.request_id, row.created_ns, row.project_id, row.key_id) == ("r1", NOW_NS, CALLER.project_id, "key_1")
    assert (row.endpoint, row.model, row.provider, row.upstream_model) == ("chat/completions", "alias", "openai", "m")
    assert (row.is_stream, row.tags, row.session) == (True, "a=b", "s")


async def test_every_bucket_of_the_usage_is_in_the_row() -> None:
    """None is forgotten and none is swapped."""
    usage = msgspec.convert({name: number for number, name in enumerate(BUCKETS, 1)}, Usage)
    row = row_of(make_services(), usage=usage)
    assert {name: getattr(row, name) for name in BUCKETS} == {name: getattr(usage, name) for name in BUCKETS}


async def test_a_cost_that_nobody_could_count_is_bounded_and_marked() -> None:
    """A mistaken price or count must not make a row that the database refuses, nor sums that it cannot make."""
    price = PriceRow(provider="openai", model="m", effective_from="2020-01-01", input="9000000", output="999999999")
    dear = PriceTable((), [price])
    usage = Usage(input_tokens=5, cache_read_tokens=10**9, output_tokens=10**9)
    row = row_of(make_services(prices=dear), usage=usage)
    assert (row.cost_pusd, row.is_anomalous, row.output_tokens) == (MAX_COST_PUSD, True, 10**9)
    write_record(row)


@pytest.mark.parametrize("mark", ["estimated", "anomalous"])
async def test_a_mark_on_the_usage_is_in_the_row(mark: str) -> None:
    """Figures that were not reported cleanly say so for ever."""
    usage = msgspec.convert({mark: True}, Usage)
    assert getattr(row_of(make_services(), usage=usage), f"is_{mark}") is True


async def test_a_bundled_price_makes_the_cost() -> None:
    """15 tokens at 1 USD and 10 at 2 USD a million, and the price's id stays."""
    row = row_of(make_services())
    assert (row.cost_pusd, row.cost_basis) == (35_000_000, "bundled")
    assert row.price_id.startswith("openai/m@2020-01-01+")


async def test_a_model_without_a_price_is_unpriced() -> None:
    """0 is not said without saying why."""
    row = row_of(make_services(), target=target_of(FakeBackend(), model="unknown"))
    assert (row.cost_pusd, row.cost_basis) == (0, "unpriced")


async def test_what_is_free_says_so() -> None:
    """The tokens are there, the charge is not."""
    row = row_of(make_services(), target=target_of(FakeBackend(is_free=True)))
    assert (row.cost_pusd, row.cost_basis, row.total_tokens) == (0, "free", 25)


async def test_a_call_that_used_nothing_costs_nothing() -> None:
    """A failure has no usage."""
    row = row_of(make_services(), usage=None, status="failed")
    assert (row.cost_pusd, row.cost_basis, row.total_tokens) == (0, "none", 0)


async def test_times_are_the_monotonic_clocks() -> None:
    """Latency from the request's first byte; the gateway's share is what was not spent waiting."""
    clock = Clock()
    clock.pass_ms(100)
    row = row_of(make_services(ticks_ns=clock), waited_ns=90_000_000, first_byte_ns=80_000_000)
    assert (row.latency_ms, row.first_byte_ms, row.overhead_us) == (100, 80, 10_000)


async def test_the_gateways_share_is_never_negative() -> None:
    """Two readings of a clock may be in the wrong order by a rounding."""
    assert row_of(make_services(), waited_ns=5_000_000).overhead_us == 0


async def test_a_written_row_is_in_the_ledger_and_in_the_metrics() -> None:
    """Both always tell the same."""
    services = make_services()
    row = row_of(services)
    write(row, services)
    assert cast("FakeRecorder", services.recorder).rows == [row]
    assert services.metrics.calls["chat/completions", "openai", 200].cost_pusd == row.cost_pusd


async def test_by_default_no_call_waits_for_the_disk() -> None:
    """The journal is synced at an interval."""
    services = make_services()
    write(row_of(services), services)
    assert cast("FakeRecorder", services.recorder).log == ["record"]


async def test_a_disk_that_refuses_a_sync_does_not_take_the_answer_away(caplog: pytest.LogCaptureFixture) -> None:
    """The call has been paid; the log says which row may be lost."""
    services = make_services()

    async def refuse() -> None:
        raise JournalFull("the disk refused a sync")

    cast("FakeRecorder", services.recorder).on_sync = refuse
    with caplog.at_level(logging.ERROR):
        await sync(row_of(services), services)
    assert "r1" in caplog.text


async def test_a_full_journal_does_not_take_the_answer_away(caplog: pytest.LogCaptureFixture) -> None:
    """The call has been paid; the row waits in memory, and the log says so."""
    services = make_services()
    cast("FakeRecorder", services.recorder).failure = JournalFull("disk full")
    with caplog.at_level(logging.ERROR):
        write(row_of(services), services)
    assert "r1" in caplog.text


async def test_a_full_journal_does_not_take_the_call_out_of_the_metrics() -> None:
    """What was spent stays visible."""
    services = make_services()
    cast("FakeRecorder", services.recorder).failure = JournalFull("disk full")
    write(row_of(services), services)
    assert services.metrics.calls["chat/completions", "openai", 200].calls == 1


@pytest.mark.parametrize(("in_flight", "shared"), [(1, 0), (2, 1)])
async def test_only_calls_that_are_not_alone_share_a_write(in_flight: int, shared: int) -> None:
    """One that is alone has its row written at once, without waiting for the end of the loop's turn."""
    services = make_services()
    recorder = cast("FakeRecorder", services.recorder)
    taken: list[UsageRow] = []

    def take(row: UsageRow) -> None:
        taken.append(row)
        recorder.rows.append(row)

    recorder.take = take  # type: ignore[method-assign]
    services.metrics.requests_in_flight = in_flight
    write(row_of(services), services)
    assert (len(recorder.rows), len(taken)) == (1, shared)
