"""What the counters can do, in values: rate windows, slots, money holds, and the one protocol both kinds follow.

Counters are a fast copy, never the truth: money's truth is the ledger, from which a line without a counter is seeded.

Failure behavior: the shared kind raises CountersUnavailable when Redis is away, slow or being spared; the caller
refuses what is about money and lets pass what is about rate. Whether an operation that raised was done is not known:
a hold left behind that way comes out of ``sweep`` when its lease is over.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

Period = Literal["minute", "hour", "day", "month"]

# Money is bounded as SQL's integers are. What a line has spent may exceed it, and stays exact up to 9e24.
MAX_PUSD = 2**63 - 1
# So that no sum of two leaves what a double holds exactly: Redis compares counts as doubles.
MAX_COUNT = 10**15
# A rate window outlives its end by this: a clock that steps back finds its count.
WINDOW_KEPT_NS = 60 * 10**9
# A slot's leases are kept for this long after their end, in which they count for nothing: clocks differ a little.
SLOT_KEPT_NS = 60 * 10**9
# A budget line without open holds is dropped when its window has been over for this long,
LINE_KEPT_NS = 3_600 * 10**9
# or when it was not used for this long; the next reservation seeds it again.
LINE_IDLE_NS = 86_400 * 10**9
# How a hold ended is remembered for this long.
SETTLED_KEPT_NS = 120 * 10**9


class CountersUnavailable(Exception):
    """The shared counters cannot be used at this moment; whether the operation was done is not known."""


class CountersSpared(CountersUnavailable):
    """They were not asked at all."""


class HoldIdTaken(ValueError):
    """A hold of this id is open, or was settled a moment ago; every hold needs an id of its own."""


class RateWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A limit per calendar-aligned window, UTC. Make it once and use it for every call."""

    # Who is limited, by which policy, and what is counted.
    policy_key: str
    period: Period
    limit: int

    def __post_init__(self) -> None:
        """Refuse a limit outside 0 to MAX_COUNT."""
        _check_count(self.limit)


class WindowState(msgspec.Struct, frozen=True):
    """How a window stands after the step. Not keyword-only: made by position, it costs a call half as much."""

    limit: int
    remaining: int
    # The window's end, unix seconds.
    reset_s: int
    is_refusing: bool


class Taken(msgspec.Struct, frozen=True):
    """All windows took their amount, or, where any refuses, none did."""

    is_admitted: bool
    windows: tuple[WindowState, ...]


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of how many may be inside at once."""

    slot_key: str
    limit: int

    def __post_init__(self) -> None:
        """Refuse a limit outside 0 to MAX_COUNT."""
        _check_count(self.limit)


class SlotState(msgspec.Struct, frozen=True, kw_only=True):
    """How a slot stands after the step."""

    limit: int
    inside: int
    is_refusing: bool


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """The lease is in every slot, or, where any refuses, in none that it was not in before."""

    is_admitted: bool
    slots: tuple[SlotState, ...]


class BudgetLine(msgspec.Struct, frozen=True, kw_only=True):
    """One window of one budget. Make it once a window and use it for every call; the limit may change in between."""

    budget_key: str
    # Names the window within the budget; a new name begins a new counter.
    window_key: str
    limit_pusd: int
    # The window's end; None: it never ends.
    resets_ns: int | None = None
    # What the ledger says was spent; used where there is no counter, else ignored. None: not read.
    seed_pusd: int | None = None

    def __post_init__(self) -> None:
        """Refuse amounts outside 0 to MAX_PUSD."""
        check_pusd(self.limit_pusd)
        check_pusd(self.seed_pusd or 0)


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """A hold that is open already, and counts on a line that begins."""

    # The line's.
    budget_key: str
    hold_id: str
    # What it holds: counted as spent where nobody knows of the hold, nor how it ended.
    amount_pusd: int


class NewHold(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be held, on which lines, and for how long."""

    # Its own; a billing id that the server made.
    hold_id: str
    lines: tuple[BudgetLine, ...]
    amount_pusd: int
    # Where the amount does not fit, the largest that does is held, if it is at least this. None: all or nothing.
    least_pusd: int | None = None
    lease_ns: int
    # Comes back from ``sweep``.
    memo: bytes = b""
    # Of other holds, where lines begin with this one: they count there whether or not there is room for them.
    joins: tuple[Join, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no hold can mean: no line, one line twice, amounts out of order, a lease already over."""
        if not 0 <= (self.least_pusd or 0) <= self.amount_pusd <= MAX_PUSD:
            raise ValueError(
                f"{self.least_pusd!r} to {self.amount_pusd!r} picodollars is no amount to hold: use 0 to {MAX_PUSD}"
            )
        count = len(self.lines)
        if count != 1 and (not count or len({(line.budget_key, line.window_key) for line in self.lines}) != count):
            raise ValueError(f"a hold names each of its lines once, and at least one, unlike {self.lines!r}")
        if self.lease_ns <= 0:
            check_lease(self.lease_ns)


class LineState(msgspec.Struct, frozen=True, kw_only=True):
    """How a line stands."""

    budget_key: str
    window_key: str
    limit_pusd: int
    spent_pusd: int
    held_pusd: int
    resets_ns: int | None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Reserved on every line."""

    hold_id: str
    amount_pusd: int
    # What the tightest line has left besides this hold.
    room_pusd: int
    # Whose counters began with their seeds.
    begun: tuple[BudgetLine, ...] = ()


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was reserved; the lines on which the least amount does not fit, in their order."""

    lines: tuple[LineState, ...]
    # Whose counters began with their seeds all the same.
    begun: tuple[BudgetLine, ...] = ()


class Unseeded(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was done: these lines have no counter and no seed. Read what the ledger says and ask again."""

    lines: tuple[BudgetLine, ...]


Reservation = Held | Refused | Unseeded


class Settled(msgspec.Struct, frozen=True):
    """How a hold ended: now, earlier (then the figures are of that time), or unknown (then they are 0).

    Not keyword-only, as WindowState.
    """

    outcome: Literal["settled", "repeated", "unknown"]
    charged_pusd: int = 0
    held_pusd: int = 0
    # What each line has spent now, None where its counter was lost; empty unless this call settled it.
    spent_pusd: tuple[int | None, ...] = ()

    @property
    def overshoot_pusd(self) -> int:
        """What was charged above the hold, and so possibly above a limit."""
        return max(0, self.charged_pusd - self.held_pusd)


class LineName(msgspec.Struct, frozen=True, kw_only=True):
    """Names one line."""

    budget_key: str
    window_key: str


class ExpiredHold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold whose lease is over; whoever got it settles or releases it."""

    hold_id: str
    amount_pusd: int
    expires_ns: int
    lines: tuple[LineName, ...]
    memo: bytes


class LineCount(msgspec.Struct, frozen=True, kw_only=True):
    """What a line's counter says."""

    spent_pusd: int
    held_pusd: int


class Counters(Protocol):
    """Counters in this process or in Redis. Every operation is atomic and, in Redis, one round trip.

    ``now_ns`` may step back: a window's count is found again, a lease then lasts longer.
    """

    async def take(self, windows: Sequence[RateWindow], amounts: Sequence[int], now_ns: int) -> Taken:
        """Count each amount in its window, or none where any would exceed its limit."""
        ...

    async def give_back(self, windows: Sequence[RateWindow], amounts: Sequence[int], taken_ns: int) -> None:
        """Return what was taken at ``taken_ns`` and not used, to the windows of that time; none falls below 0."""
        ...

    async def enter(self, slots: Sequence[Slot], lease_id: str, now_ns: int, lease_ns: int) -> Entered:
        """Occupy every slot, or none where any is full. A lease that is inside is renewed and never refused."""
        ...

    async def leave(self, slots: Sequence[Slot], lease_id: str) -> None:
        """Free the slots; those the lease is not in stay as they are."""
        ...

    async def reserve(self, hold: NewHold, now_ns: int) -> Reservation:
        """Hold the amount on every line, or on none where spent + held + amount would exceed a limit.

        With ``least_pusd`` it holds the largest amount between the two that every line has room for, if there is one.
        Raises HoldIdTaken.
        """
        ...

    async def settle(self, hold_id: str, amount_pusd: int, now_ns: int) -> Settled:
        """End a hold with what was really spent, in the windows it was reserved in; only the first time counts.

        The amount may exceed the hold. A hold that ``sweep`` has handed out can be settled all the same.
        """
        ...

    async def release(self, hold_id: str, now_ns: int) -> Settled:
        """End a hold of which nothing was spent."""
        ...

    async def withdraw(self, hold_id: str, now_ns: int) -> None:
        """Take a hold back as if it had never been: its id may be used again at once."""
        ...

    async def renew(self, hold_id: str, now_ns: int, lease_ns: int, memo: bytes | None = None) -> bool:
        """Let the lease last until ``now_ns`` + ``lease_ns`` at least, and replace the memo where one is given.

        False: the hold has ended, or was handed out by ``sweep``.
        """
        ...

    async def sweep(self, now_ns: int, claim_ns: int, max_holds: int = 100) -> tuple[ExpiredHold, ...]:
        """Hand out the holds whose lease is over, each to one caller, and drop what is old; call it regularly.

        Their money stays held until they are settled or released; one that is not within ``claim_ns``, since its
        sweeper died too, is handed out again.
        """
        ...

    async def seize(self, memo_prefix: bytes, now_ns: int, claim_ns: int) -> tuple[ExpiredHold, ...]:
        """Hand out the holds whose memo begins so, lease or not, but for those that ``sweep`` has handed out.

        For whoever knows that their holders are gone. As with ``sweep`` each goes to one caller, for ``claim_ns``.
        """
        ...

    async def adjust(self, line: LineName, delta_pusd: int, if_spent_pusd: int | None = None) -> bool:
        """Correct what a line has spent, never below 0: what came without a hold, or what the ledger says otherwise.

        Only where there is a counter, and where it says ``if_spent_pusd`` if that is given; tells whether it was done.
        """
        ...

    async def look(self, lines: Sequence[LineName]) -> tuple[LineCount | None, ...]:
        """Tell what the counters of the lines say; None where there is none."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


def check_pusd(amount: int) -> None:
    """Refuse an amount of money outside 0 to MAX_PUSD."""
    if not 0 <= amount <= MAX_PUSD:
        raise ValueError(f"{amount!r} picodollars is no amount that can be counted: use 0 to {MAX_PUSD}")


def check_counts(windows: Sequence[RateWindow], amounts: Sequence[int]) -> None:
    """Refuse amounts outside 0 to MAX_COUNT, or another number of them than of windows."""
    if len(windows) != len(amounts):
        raise ValueError(f"{len(amounts)!r} amounts for {len(windows)!r} windows: give one for each")
    for amount in amounts:
        if not 0 <= amount <= MAX_COUNT:
            _check_count(amount)


def check_lease(lease_ns: int) -> None:
    """Refuse a lease that is over as it begins."""
    if lease_ns <= 0:
        raise ValueError(f"a lease of {lease_ns!r} ns is over as it begins: use more than 0")


def _check_count(count: int) -> None:
    if not 0 <= count <= MAX_COUNT:
        raise ValueError(f"{count!r} is no count: use 0 to {MAX_COUNT}")
