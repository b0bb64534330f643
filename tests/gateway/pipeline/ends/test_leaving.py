"""The last step of every call: what it has open ends, once."""

from typing import Any, cast

import pytest
from budget_world import doubt_of
from fakes import FakeClient, FakeRecorder, make_call, make_inbound, make_services, rows_of
from msgspec.structs import replace

from gateway.backends.interface import Client
from gateway.budgets.bound import UNBOUNDED
from gateway.budgets.keeping.funds import Funds
from gateway.ledger.recording.journal import JournalFull
from gateway.pipeline.ends.leaving import leave
from gateway.pipeline.limits import admit
from gateway.pipeline.lookup import Found
from gateway.pipeline.tries.journey import Journey
from tests.gateway.usage_rows import make_row


class Spy:
    """A call's funds or passage, that tells how it was ended."""

    def __init__(self) -> None:
        self.hold_ids: tuple[str, ...] = ("h",)
        self.doubt = replace(doubt_of(make_row(request_id="r1")), cost_pusd=70)
        self.ended: list[Any] = []
        self.lines = b""

    def release(self, cost_pusd: int = 0) -> None:
        """End the holds, once."""
        if self.hold_ids:
            self.hold_ids = ()
            self.ended.append(cost_pusd)

    def settle_at_once(self) -> bool:
        """Leave."""
        self.ended.append("left")
        return True


def begin(**fields: Any) -> Journey:
    """A call on its way."""
    services = make_services()
    services.metrics.requests_in_flight += 1
    journey = Journey(make_inbound(make_call(), **fields), cast("Client", FakeClient()), services)
    admit(journey)
    return journey


async def test_a_call_that_left_is_open_no_more() -> None:
    """In no gauge; one that was never admitted was never open."""
    journey = begin()
    leave(journey, Found(lines=b""), None)
    assert (journey.services.metrics.requests_in_flight, journey.services.metrics.holds_open) == (0, 0)
    refused = begin()
    refused.is_admitted = False
    leave(refused, Found(lines=b""), None)
    assert refused.services.metrics.holds_open == 1


@pytest.mark.parametrize(("attempts", "charged"), [(0, [0]), (1, [70])])
async def test_what_is_held_for_a_call_without_a_row_is_charged_where_it_went_out(
    attempts: int, charged: list[int]
) -> None:
    """The most: nobody will ever know what it was. One that never went out costs nothing."""
    journey, funds = begin(), Spy()
    journey.funds, journey.attempts = cast("Funds", funds), attempts
    leave(journey, Found(lines=b""), None)
    assert (funds.ended, [row.cost_pusd for row in rows_of(journey.services)]) == (charged, charged if attempts else [])


async def test_a_full_journal_keeps_no_hold_open() -> None:
    """The row waits in memory."""
    journey, funds = begin(), Spy()
    journey.funds, journey.attempts = cast("Funds", funds), 1
    cast("FakeRecorder", journey.services.recorder).failure = JournalFull("full")
    leave(journey, Found(lines=b""), None)
    assert (funds.ended, journey.services.metrics.holds_open) == ([70], 0)


async def test_what_a_recorded_call_has_taken_has_ended_with_its_row() -> None:
    """Else its limits are left here."""
    for is_recorded, ended in ((True, []), (False, ["left"])):
        passage = Spy()
        journey = begin(passage=cast("Any", passage))
        journey.is_recorded = is_recorded
        leave(journey, Found(lines=b""), None)
        assert passage.ended == ended


async def test_funds_without_a_hold_are_nothing_to_end() -> None:
    """A call's own cap alone holds nothing."""
    journey = begin()
    keeper = journey.services.budgets
    journey.funds = Funds(keeper.books, (), UNBOUNDED, Spy().doubt, 5, None)
    journey.attempts = 1
    leave(journey, Found(lines=b""), None)
    assert rows_of(journey.services) == []
