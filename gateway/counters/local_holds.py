"""Money holds of one process, without waiting.

Failure behavior: the process's end loses every counter and every hold; what was open then is only what its caller
wrote down elsewhere. The next reservation is answered Unseeded and seeds the line from the ledger.
"""

from collections.abc import Sequence

import msgspec

from gateway.counters.interface import (
    LINE_IDLE_NS,
    LINE_KEPT_NS,
    MAX_PUSD,
    SETTLED_KEPT_NS,
    BudgetLine,
    ExpiredHold,
    Held,
    HoldIdTaken,
    Join,
    LineCount,
    LineName,
    LineState,
    NewHold,
    Refused,
    Reservation,
    Settled,
    Unseeded,
    check_lease,
    check_pusd,
)
from gateway.counters.local_limits import Epoch

# Settled holds that are remembered at the most, and at the least half of them, if their time is not over.
MAX_SETTLED_KEPT = 100_000


class Line:
    """What is spent and held of one window of one budget."""

    __slots__ = ("drop_ns", "held_pusd", "open", "quiet_pusd", "resets_ns", "spent_pusd")

    def __init__(self, spent_pusd: int) -> None:
        self.spent_pusd = spent_pusd
        self.held_pusd = 0
        # Holds that will change it yet; while there are any it stays.
        self.open = 0
        # Below it nobody wants to be told what is spent.
        self.quiet_pusd = 0
        self.resets_ns: int | None = None
        self.drop_ns = 0

    def rest(self, now_ns: int) -> None:
        """Tell when to drop it unless it is used again."""
        self.drop_ns = now_ns + LINE_IDLE_NS
        if self.resets_ns is not None:
            self.drop_ns = max(now_ns, min(now_ns + LINE_IDLE_NS - LINE_KEPT_NS, self.resets_ns)) + LINE_KEPT_NS


# Lines as callers name them, each with its counter.
Places = tuple[tuple[BudgetLine, Line], ...]


class _Hold(msgspec.Struct):
    """An open hold, and where it is counted."""

    hold_id: str
    places: Places
    amount_pusd: int
    expires_ns: int
    # Whatever its caller wants to find by it.
    owner: object = None
    memo: bytes = b""
    is_claimed: bool = False


class _Ended(msgspec.Struct, frozen=True):
    """How a hold ended, and until when that is remembered."""

    kept_until_ns: int
    charged_pusd: int
    held_pusd: int


class LocalHolds:
    """Money holds; see Counters. Settled and held money never exceeds a limit, but by what a settling overshoots."""

    def __init__(self, epoch: Epoch | None = None) -> None:
        self._epoch = epoch or Epoch()
        # In which the lines were told below what nobody wants to know of them.
        self._quiet_in = self._epoch.number
        self._lines: dict[tuple[str, str], Line] = {}
        self._open: dict[str, _Hold] = {}
        # How the latest holds ended, and until when that is remembered. Two generations, the older dropped as a whole:
        # looking for the oldest in a large dict, again and again, would cost a call as much as its hold.
        self._settled: dict[str, _Ended] = {}
        self._settled_before: dict[str, _Ended] = {}
        # When the last of each is over.
        self._kept_until_ns = 0
        self._before_until_ns = 0

    def __len__(self) -> int:
        """Count the open holds."""
        return len(self._open)

    def count_kept(self) -> tuple[int, int]:
        """Count the lines and the settled holds that are remembered."""
        return len(self._lines), len(self._settled) + len(self._settled_before)

    def reserve(self, hold: NewHold, now_ns: int) -> Reservation:
        """Hold the amount on every line, or on none where it does not fit."""
        hold_id, amount_pusd = hold.hold_id, hold.amount_pusd
        if hold_id in self._open or self._find_settled(hold_id, now_ns) is not None:
            raise HoldIdTaken(f"a hold {hold_id!r} is open or was settled a moment ago: give each hold a new id")
        counted, begun = self._find_lines(hold.lines, hold.joins, now_ns)
        if counted is None:
            return Unseeded(lines=begun)
        room_pusd = MAX_PUSD
        for line, count in counted:
            room_pusd = min(room_pusd, line.limit_pusd - count.spent_pusd - count.held_pusd)
        if room_pusd < amount_pusd:
            least_pusd = amount_pusd if hold.least_pusd is None else hold.least_pusd
            if room_pusd < least_pusd:
                return _refuse(counted, least_pusd, now_ns, begun)
            amount_pusd = room_pusd
        self._open_hold(_Hold(hold_id, counted, amount_pusd, now_ns + hold.lease_ns, None, hold.memo))
        return Held(hold_id=hold_id, amount_pusd=amount_pusd, room_pusd=room_pusd - amount_pusd, begun=begun)

    def find(self, lines: Sequence[BudgetLine]) -> Places | None:
        """Find the counters for ``hold``, which are good for as long as the epoch lasts; None where one is missing."""
        found = self._find_begun(lines)
        for line, count in found or ():
            count.resets_ns = line.resets_ns
        return found

    def hold(self, hold_id: str, places: Places, amount_pusd: int, expires_ns: int, owner: object = None) -> bool:
        """Hold all of an amount, of 0 to MAX_PUSD, where that fits; False: nothing is held, ``reserve`` tells why.

        Most calls need no more, and making what ``reserve`` is asked with and answers would double what this costs.
        The id is new, as each call's own is, and its owner ends it with ``end``. ``places`` is what ``find`` found.
        """
        if hold_id in self._open:
            return False
        for line, count in places:
            count.held_pusd = held_pusd = count.held_pusd + amount_pusd
            count.open += 1
            if count.spent_pusd + held_pusd > line.limit_pusd:
                _take_back(places, count, amount_pusd)
                return False
        self._open[hold_id] = _Hold(hold_id, places, amount_pusd, expires_ns, owner)
        return True

    def entrust(self, hold_id: str, owner: object) -> None:
        """Let an open hold be found as its owner's."""
        self._open[hold_id].owner = owner

    def owned(self) -> list[tuple[str, object]]:
        """List the open holds with their owners."""
        return [(hold_id, hold.owner) for hold_id, hold in self._open.items()]

    def settle(self, hold_id: str, amount_pusd: int, now_ns: int) -> Settled:
        """End a hold with what was really spent; only the first time counts."""
        hold = self._open.get(hold_id)
        if hold is None:
            check_pusd(amount_pusd)
            return self._find_settled(hold_id, now_ns) or Settled(outcome="unknown")
        self.end(hold_id, amount_pusd, now_ns)
        if len(self._settled) >= MAX_SETTLED_KEPT // 2:
            self._begin_generation()
        ended = _Ended(now_ns + SETTLED_KEPT_NS, amount_pusd, hold.amount_pusd)
        self._settled[hold_id] = ended
        # Never less than before: a clock that stepped back shortens nothing.
        self._kept_until_ns = max(self._kept_until_ns, ended.kept_until_ns)
        return Settled("settled", amount_pusd, hold.amount_pusd, tuple([count.spent_pusd for _, count in hold.places]))

    def end(self, hold_id: str, amount_pusd: int, now_ns: int) -> tuple[int, ...]:
        """As ``settle``, by the one who took the hold with ``hold``: it ends it once, so that nothing is remembered.

        Returns what each line has spent; nothing where nobody wants to know, or the hold is not open.
        """
        if not 0 <= amount_pusd <= MAX_PUSD:
            check_pusd(amount_pusd)
        hold = self._open.pop(hold_id, None)
        if hold is None:
            return ()
        held_pusd, is_quiet = hold.amount_pusd, self._quiet_in == self._epoch.number
        for _, count in hold.places:
            count.held_pusd -= held_pusd
            count.spent_pusd = spent_pusd = count.spent_pusd + amount_pusd
            if spent_pusd >= count.quiet_pusd:
                is_quiet = False
            count.open = others = count.open - 1
            if not others:
                count.rest(now_ns)
        return () if is_quiet else tuple([count.spent_pusd for _, count in hold.places])

    def quieten(self, name: LineName, below_pusd: int) -> None:
        """Have ``end`` not tell of a line below an amount, until the epoch ends."""
        if self._quiet_in != self._epoch.number:
            self._quiet_in = self._epoch.number
            for line in self._lines.values():
                line.quiet_pusd = 0
        found = self._lines.get((name.budget_key, name.window_key))
        if found is not None:
            found.quiet_pusd = below_pusd

    def release(self, hold_id: str, now_ns: int) -> Settled:
        """End a hold of which nothing was spent."""
        return self.settle(hold_id, 0, now_ns)

    def withdraw(self, hold_id: str, now_ns: int) -> None:
        """Take a hold back as if it had never been: its id may be used again at once."""
        self.end(hold_id, 0, now_ns)

    def renew(self, hold_id: str, now_ns: int, lease_ns: int, memo: bytes | None = None) -> bool:
        """Let the lease last longer, and replace the memo where one is given; False when the hold is no longer ours."""
        check_lease(lease_ns)
        hold = self._open.get(hold_id)
        if hold is None or hold.is_claimed:
            return False
        hold.expires_ns = max(hold.expires_ns, now_ns + lease_ns)
        if memo is not None:
            hold.memo = memo
        return True

    def sweep(self, now_ns: int, claim_ns: int, max_holds: int = 100) -> tuple[ExpiredHold, ...]:
        """Hand out the holds whose lease is over, and drop the lines that are old."""
        check_lease(claim_ns)
        expired = sorted(
            (hold.expires_ns, hold_id, hold) for hold_id, hold in self._open.items() if hold.expires_ns <= now_ns
        )
        swept = tuple(_claim(hold, now_ns + claim_ns) for _, _, hold in expired[:max_holds])
        kept = {key: line for key, line in self._lines.items() if line.open or line.drop_ns > now_ns}
        if len(kept) < len(self._lines):
            self._lines = kept
            self._epoch.number += 1
        self._forget_settled(now_ns)
        return swept

    def seize(self, memo_prefix: bytes, now_ns: int, claim_ns: int) -> tuple[ExpiredHold, ...]:
        """Hand out the holds whose memo begins so, lease or not, but for those that were handed out."""
        check_lease(claim_ns)
        found = [hold for hold in self._open.values() if not hold.is_claimed and hold.memo.startswith(memo_prefix)]
        return tuple(_claim(hold, now_ns + claim_ns) for hold in found)

    def adjust(self, line: LineName, delta_pusd: int, if_spent_pusd: int | None = None) -> bool:
        """Correct what a line has spent, never below 0; tells whether there is one, and whether it said so."""
        count = self._lines.get((line.budget_key, line.window_key))
        if count is None or if_spent_pusd not in (None, count.spent_pusd):
            return False
        count.spent_pusd = max(0, count.spent_pusd + delta_pusd)
        return True

    def look(self, lines: Sequence[LineName]) -> tuple[LineCount | None, ...]:
        """Tell what the counters of the lines say; None where there is none."""
        found = [self._lines.get((line.budget_key, line.window_key)) for line in lines]
        return tuple(
            None if line is None else LineCount(spent_pusd=line.spent_pusd, held_pusd=line.held_pusd) for line in found
        )

    def _find_lines(
        self, lines: Sequence[BudgetLine], joins: Sequence[Join], now_ns: int
    ) -> tuple[Places | None, tuple[BudgetLine, ...]]:
        """Find the counters, seeding those that are new, which are named too, with the holds that join them.

        None, nothing done, and the lines named that have none, where a seed is missing.
        """
        found = self._find_begun(lines)
        if found is not None:
            return found, ()
        new = tuple(line for line in lines if (line.budget_key, line.window_key) not in self._lines)
        unseeded = tuple(line for line in new if line.seed_pusd is None)
        if unseeded:
            return None, unseeded
        for line in new:
            self._begin(line, [join for join in joins if join.budget_key == line.budget_key], now_ns)
        return self._find_begun(lines), new

    def _find_begun(self, lines: Sequence[BudgetLine]) -> Places | None:
        """Find the counters of lines; None where one is missing."""
        found: list[tuple[BudgetLine, Line]] = []
        for line in lines:
            count = self._lines.get((line.budget_key, line.window_key))
            if count is None:
                return None
            found.append((line, count))
        return tuple(found)

    def _begin(self, line: BudgetLine, joins: Sequence[Join], now_ns: int) -> None:
        count = self._lines[line.budget_key, line.window_key] = Line(line.seed_pusd or 0)
        for join in joins:
            hold = self._open.get(join.hold_id)
            if hold is None:
                ended = self._find_settled(join.hold_id, now_ns)
                count.spent_pusd += join.amount_pusd if ended is None else ended.charged_pusd
                continue
            hold.places += ((line, count),)
            count.held_pusd += hold.amount_pusd
            count.open += 1
            count.resets_ns = line.resets_ns

    def _open_hold(self, hold: _Hold) -> None:
        self._open[hold.hold_id], amount_pusd = hold, hold.amount_pusd
        for line, count in hold.places:
            count.held_pusd += amount_pusd
            count.open += 1
            count.resets_ns = line.resets_ns

    def _find_settled(self, hold_id: str, now_ns: int) -> Settled | None:
        kept = self._settled.get(hold_id) or self._settled_before.get(hold_id)
        if kept is None or kept.kept_until_ns <= now_ns:
            return None
        return Settled(outcome="repeated", charged_pusd=kept.charged_pusd, held_pusd=kept.held_pusd)

    def _begin_generation(self) -> None:
        self._settled_before, self._before_until_ns = self._settled, self._kept_until_ns
        self._settled = {}

    def _forget_settled(self, now_ns: int) -> None:
        """Drop a generation that is over as a whole; one that has begun to be is the older one from now on."""
        if self._before_until_ns <= now_ns:
            self._settled_before = {}
        oldest = next(iter(self._settled.values()), None)
        if oldest is not None and oldest.kept_until_ns <= now_ns and not self._settled_before:
            self._begin_generation()
            if self._before_until_ns <= now_ns:
                self._settled_before = {}


def _take_back(places: Places, last: Line, amount_pusd: int) -> None:
    """Hold no longer what does not fit, on the lines up to the last one that it was held on."""
    for _, count in places:
        count.held_pusd -= amount_pusd
        count.open -= 1
        if count is last:
            return


def _claim(hold: _Hold, claimed_ns: int) -> ExpiredHold:
    names = tuple(LineName(budget_key=line.budget_key, window_key=line.window_key) for line, _ in hold.places)
    claimed = ExpiredHold(
        hold_id=hold.hold_id,
        amount_pusd=hold.amount_pusd,
        expires_ns=hold.expires_ns,
        lines=names,
        memo=hold.memo,
    )
    hold.is_claimed = True
    hold.expires_ns = claimed_ns
    return claimed


def _refuse(counted: Places, min_pusd: int, now_ns: int, begun: tuple[BudgetLine, ...]) -> Refused:
    refusing: list[LineState] = []
    for line, count in counted:
        if not count.open:
            count.resets_ns = line.resets_ns
            count.rest(now_ns)
        if count.spent_pusd + count.held_pusd + min_pusd > line.limit_pusd:
            refusing.append(
                LineState(
                    budget_key=line.budget_key,
                    window_key=line.window_key,
                    limit_pusd=line.limit_pusd,
                    spent_pusd=count.spent_pusd,
                    held_pusd=count.held_pusd,
                    resets_ns=line.resets_ns,
                )
            )
    return Refused(lines=tuple(refusing), begun=begun)
