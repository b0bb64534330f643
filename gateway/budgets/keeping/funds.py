"""The money of one call: held on every budget that governs it before it goes out, settled once to what it cost.

In one process everything here happens without waiting, in the same turn of the loop in which the row is recorded, so
that whoever sums up the ledger finds a row and its charge together. Through Redis ``finish`` waits for the answer.

Failure behavior: what Redis could not be told waits in the books, and stays held until it can.
"""

import msgspec

from gateway.budgets.bound import Bound
from gateway.budgets.directory import Standing
from gateway.budgets.keeping.books import Books, Unsettled
from gateway.counters.interface import CountersUnavailable
from gateway.counters.local_holds import LocalHolds
from gateway.errors import Fault
from gateway.ledger.recording.doubt import Doubt


class Funds(msgspec.Struct, eq=False):
    """What is held for a call; without a budget only its cap of its own, and then nothing is held.

    Not keyword-only: made by position, it costs a call a third.
    """

    books: Books
    standings: tuple[Standing, ...]
    # Of one try, as it goes out.
    bound: Bound
    # What the call becomes if nothing more is heard of it; on what a budget governs its id names the hold.
    doubt: Doubt
    # What the call itself says that it may cost, None where it says nothing.
    cap_pusd: int | None
    # The limit that the gateway set on the reply, None where it set none.
    max_tokens: int | None
    # The holds that are the call's.
    hold_ids: tuple[str, ...] = ()
    # Why the call may not be made, though nothing keeps it from an answer that is free; None: it may be.
    refusal: Fault | None = None
    # What earlier tries may have cost.
    lost_pusd: int = 0
    # The holds of whose end Redis does not know yet, so that ``finish`` has to be awaited.
    unsettled: list[Unsettled] = []

    def opened(self, hold_id: str) -> None:
        """One more hold is the call's."""
        self.hold_ids += (hold_id,)

    def join(self, standing: Standing) -> None:
        """Be governed by a budget that came after the call, as far as its holds were counted there."""
        if standing not in self.standings:
            self.standings += (standing,)

    @property
    def is_open(self) -> bool:
        """Whether anything is held."""
        return bool(self.hold_ids)

    @property
    def only_alerts(self) -> bool:
        """Whether nothing that governs the call refuses or changes anything."""
        return only_alert(self.standings, self.cap_pusd)

    def settle(self, cost_pusd: int) -> None:
        """End every hold with what the call cost; the caller records the row in the same turn of the loop."""
        opened, self.hold_ids = self.hold_ids, ()
        books, created_ns = self.books, self.doubt.created_ns
        local = books.local
        for hold_id in opened:
            if local is None:
                self.unsettled.append(Unsettled(hold_id, cost_pusd))
                books.end(hold_id)
            else:
                # When the call came: to know when its lines may be dropped that is as good as now.
                spent_pusd = local.end(hold_id, cost_pusd, created_ns)
                if spent_pusd and cost_pusd:
                    self._note(spent_pusd)
            # Whatever was spent is the first one's: together they are at least as much.
            cost_pusd = 0

    def release(self, cost_pusd: int = 0) -> None:
        """End every hold of a call that never went out, or that costs this; a second time changes nothing."""
        if self.hold_ids:
            self.settle(cost_pusd)
            self._defer()

    async def finish(self) -> None:
        """Wait until Redis knows how the holds ended."""
        unsettled, self.unsettled = self.unsettled, []
        books = self.books
        while unsettled:
            hold_id, amount_pusd = unsettled[0]
            try:
                settled = await books.settle(hold_id, amount_pusd)
            except CountersUnavailable:
                self.unsettled = unsettled
                self._defer()
                return
            del unsettled[0]
            if amount_pusd:
                self._note(settled.spent_pusd)

    def _note(self, spent_pusd: tuple[int | None, ...]) -> None:
        for standing, spent in zip(self.standings, spent_pusd):  # noqa: B905 - none where another call ended the hold
            if spent is not None:
                self.books.note_spent(standing, self.doubt.created_ns, spent)

    def _defer(self) -> None:
        self.books.waiting.extend(self.unsettled)
        self.unsettled = []
        self.books.wake.set()


def only_alert(standings: tuple[Standing, ...], cap_pusd: int | None) -> bool:
    """Whether budgets govern a call, and all of them only tell of what is spent: nor has the call a cap of its own."""
    if cap_pusd is not None:
        return False
    for standing in standings:
        if standing.budget.action == "block":
            return False
    return bool(standings)


def list_funds(local: LocalHolds) -> list[tuple[str, Funds]]:
    """List what calls of this process hold, by the names of their holds."""
    return [(hold_id, funds) for hold_id, funds in local.owned() if isinstance(funds, Funds)]
