"""The way in and out for the calls of one key where one process counts: its counters are found once a window.

They are those of gateway.counters.local_limits, and every limit is kept as there; to look each of them up at each call
would cost more than to count in it.
"""

from gateway.counters.interface import MAX_COUNT, RateWindow, Slot
from gateway.counters.local_limits import Count, Leases
from gateway.counters.memory import MemoryCounters
from gateway.limits.refusals import lines_around

_FOREVER_NS = 1 << 63
_ANY_TOKENS = 1 << 127
# What stands around the number of a window that the headers may tell of.
_Lines = tuple[bytes, bytes]


class Lane:
    """Lets calls of one key in, as long as nothing refuses them."""

    __slots__ = (
        "_counters", "_end_ns", "_epoch", "_found_in", "_inside", "_limit_tokens", "_minute", "_most_inside",
        "_requests", "_slot", "_start_ns", "_token_lines", "_tokens", "_windows",
    )  # fmt: skip

    def __init__(
        self,
        counters: MemoryCounters,
        windows: tuple[RateWindow, ...],
        tokens: RateWindow | None,
        slot: Slot | None,
    ) -> None:
        """A call is one request in each of ``windows``, which differ in what they count."""
        self._counters = counters
        self._windows = windows
        self._tokens = tokens
        # Where nothing limits them they are counted for nobody.
        self._limit_tokens = _ANY_TOKENS if tokens is None else tokens.limit
        self._slot = slot
        self._most_inside = 0 if slot is None else slot.limit
        # The counts with their limits, good from one moment and before another, in one epoch of the counters.
        self._requests: list[tuple[Count, int, _Lines | None]] = []
        self._inside: Leases | None = None
        self._minute = Count()
        # Told of where no window of requests is.
        self._token_lines: _Lines | None = None
        self._start_ns = self._end_ns = 0
        self._epoch = counters.epoch
        self._found_in = -1

    def enter(self, bound_tokens: int, now_ns: int) -> bytes | None:
        """Take a request, a slot and the tokens, and tell the answer's header lines; None: one refuses, none is taken.

        Who got in leaves once. Nothing is awaited between looking and taking.
        """
        if self._found_in != self._epoch.number or not self._start_ns <= now_ns < self._end_ns:
            self._find(now_ns)
        minute = self._minute
        if minute.used + bound_tokens > self._limit_tokens:
            return None
        inside = self._inside
        if inside is not None and inside.present + len(inside.expires_ns) >= self._most_inside:
            # It may be full of those whose lease is over.
            if not inside.has_room(self._most_inside, now_ns):
                return None
        # As choose_shown does: the nearest to its limit, the first of two.
        least, shown = MAX_COUNT, None
        for count, limit, lines in self._requests:
            count.used = used = count.used + 1
            left = limit - used
            if left < least:
                if left < 0:
                    self._take_back(count)
                    return None
                if lines is not None:
                    least, shown = left, lines
        if inside is not None:
            inside.present += 1
        minute.used += bound_tokens
        return self._tell_tokens() if shown is None else b"%b%d%b" % (shown[0], least, shown[1])

    def leave(self, unused_tokens: int, moment_ns: int) -> None:
        """Free the slot, and give the tokens back to the minute of the moment in which they were taken.

        Below 0 they are what was used beyond: it counts in the minute of the moment, as far as it fits.
        """
        tokens, inside = self._tokens, self._inside
        if inside is not None:
            inside.present -= 1
        if tokens is None:
            return
        if unused_tokens < 0:
            minute = self._counters.rates.frame_at(tokens.period, moment_ns).count_of(tokens.policy_key)
            minute.used = max(minute.used, min(minute.used - unused_tokens, tokens.limit))
        elif self._found_in == self._epoch.number and self._start_ns <= moment_ns < self._end_ns:
            minute = self._minute
            used = minute.used - unused_tokens
            minute.used = used if used > 0 else 0
        else:
            self._counters.rates.give_back((tokens,), (unused_tokens,), moment_ns)

    def _tell_tokens(self) -> bytes:
        lines = self._token_lines
        return b"" if lines is None else b"%b%d%b" % (lines[0], self._limit_tokens - self._minute.used, lines[1])

    def _take_back(self, last: Count) -> None:
        """Uncount a request, in the windows up to the last one that it was counted in."""
        for count, _, _ in self._requests:
            count.used -= 1
            if count is last:
                return

    def _find(self, now_ns: int) -> None:
        self._start_ns, self._end_ns, self._requests = 0, _FOREVER_NS, []
        for window in self._windows:
            count, end_s = self._find_count(window, now_ns)
            # As choose_shown does: a quota is not told of.
            lines = None if window.period == "month" else lines_around(window.limit, end_s)
            self._requests.append((count, window.limit, lines))
        self._minute, self._token_lines = Count(), None
        if self._tokens is not None:
            self._minute, end_s = self._find_count(self._tokens, now_ns)
            self._token_lines = lines_around(self._tokens.limit, end_s)
        self._inside = None if self._slot is None else self._counters.slots.leases_of(self._slot)
        # Now, since finding a window may drop others.
        self._found_in = self._epoch.number

    def _find_count(self, window: RateWindow, now_ns: int) -> tuple[Count, int]:
        frame = self._counters.rates.frame_at(window.period, now_ns)
        self._start_ns = max(self._start_ns, frame.start_ns)
        self._end_ns = min(self._end_ns, frame.end_ns)
        return frame.count_of(window.policy_key), frame.end_s
