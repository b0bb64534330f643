"""One request and its response: the head, then the body for a sink or a reader, under four deadlines.

Failure behavior: whatever breaks is a ProviderError. It is raised to who waits (for the head, or in ``read``), given to
the sink's ``ended`` once, or kept until a sink or reader comes. Whoever waits and is cancelled closes the connection.
"""

import asyncio
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, TypeVar

from providers.errors import InvalidAnswer, ProviderError, TimedOut, Truncated
from providers.handoff import Handoff, Waiter
from providers.transport.decoder import Decoder, choose_decoder
from providers.transport.head import ResponseHead
from providers.transport.origin import TIMEOUT_WORDS, Origin, Timeouts
from providers.transport.sink import NOBODY, Link, Sink

MAX_DECODED_BYTES = 64 * 1024 * 1024
# What may arrive before a sink or a reader comes; then the socket is left alone until one does.
_HELD_BYTES = 262_144
# What may still come after release(), and for how long.
_DRAIN_BYTES = 65_536
_DRAIN_NS = 1_000_000_000
_NS_PER_MS = 1_000_000

T = TypeVar("T")

# Where an exchange is. WAITING: no head yet. HELD: nobody takes the body yet. OVER: nothing will be told any more.
_WAITING, _HELD, _READ, _ATTACHED, _DRAINING, _OVER = range(6)


class Exchange:
    """A response as it arrives. Made by ``Transport.open``; belongs to one caller, who must end, release or abort it.

    The connection goes back to its pool by itself as soon as the body has ended.
    """

    __slots__ = (
        "_decoder", "_error", "_has_ended", "_idle_ns", "_is_held_back", "_is_paused", "_is_touched", "_left_ns",
        "_limit_bytes", "_mode", "_parts", "_sink", "_size_bytes", "_total_ns", "_waiter", "begun_ns", "counts_bytes",
        "due_ns", "first_byte_ns", "head", "link", "origin", "reads_all", "timeouts",
    )  # fmt: skip

    head: ResponseHead

    def __init__(self, origin: Origin, timeouts: Timeouts, now_ns: int, limit_bytes: int | None = None) -> None:
        self.origin = origin
        self.timeouts = timeouts
        # Monotonic: when the exchange must have gone on; the sweeper compares.
        self.due_ns = 0
        self._total_ns = now_ns + timeouts.total_ms * _NS_PER_MS
        self._idle_ns = timeouts.idle_ms * _NS_PER_MS
        # Monotonic, 0 before: the request was written, and the answer began.
        self.begun_ns = self.first_byte_ns = 0
        # In read mode any body byte is progress.
        self.counts_bytes = False
        self.link: Link | None = None
        self._waiter: Waiter | None = None
        self._mode = _WAITING
        # With a limit the body is collected without asking, and only its end wakes the waiter.
        self.reads_all = limit_bytes is not None
        self._limit_bytes = limit_bytes or 0
        self._sink: Sink = NOBODY
        self._decoder: Decoder | None = None
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._left_ns = 0
        self._is_paused = False
        self._is_touched = False
        self._is_held_back = False
        # The last byte of the body is here, or the reason why it never will be.
        self._has_ended = False
        self._error: ProviderError | None = None

    # For the caller.

    @property
    def status(self) -> int:
        """The status of the response, 200 to 999."""
        return self.head.status

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The fields of the response, names in lower case."""
        return self.head.headers

    def gist(self, reading: Callable[[Any], T]) -> T:
        """What ``reading`` makes of the response's fields by ``get`` and ``lines``; see ``ResponseHead.gist``."""
        return self.head.gist(reading)

    @property
    def body(self) -> bytes:
        """The whole body, decoded, once it was fetched."""
        if len(self._parts) != 1:
            # A large body is not kept twice.
            self._parts = [b"".join(self._parts)]
        return self._parts[0]

    @property
    def whole(self) -> list[bytes] | None:
        """What a sink would get, as it was framed, where all is here and nobody has taken it; None: attach one."""
        is_whole = self._mode == _HELD and self._has_ended and self._error is None and self._decoder is None
        return self._parts if is_whole else None

    def attach(self, sink: Sink, *, max_decoded_bytes: int = MAX_DECODED_BYTES) -> None:
        """Give the body to ``sink``: what is here at once, the rest as it comes.

        A compressed body comes in slices of at most 64 KiB and may not exceed ``max_decoded_bytes``. Nothing counts as
        progress but ``touch()``.
        """
        self._begin_body(_ATTACHED, max_decoded_bytes)
        self._sink = sink
        self._take_held()

    async def read(self, limit_bytes: int) -> bytes:
        """Return the whole body, decoded; raises InvalidAnswer beyond ``limit_bytes``."""
        self._begin_body(_READ, limit_bytes)
        waiter: Handoff[None] = Handoff(loop=asyncio.get_running_loop())
        self._waiter = waiter
        self.counts_bytes = True
        self.extend(monotonic_ns())
        if not self._has_ended:
            self._refuse_announced()
        self._take_held()
        try:
            await waiter
        except asyncio.CancelledError:
            self.abort()
            raise
        return self.body

    def touch(self) -> None:
        """Extend the idle deadline: in attach mode a complete event arrived."""
        self._is_touched = True
        if self._is_paused:
            self._left_ns = self._idle_ns
            return
        # As in ``extend``: this is asked for every event.
        due_ns = monotonic_ns() + self._idle_ns
        self.due_ns = due_ns if due_ns < self._total_ns else self._total_ns

    def pause(self) -> None:
        """Stop reading from the socket; only the total deadline runs on."""
        if self._is_paused or self._mode != _ATTACHED:
            return
        self._is_paused = True
        self._left_ns = max(0, self.due_ns - monotonic_ns())
        self.due_ns = self._total_ns
        if self.link is not None:
            self.link.pause()

    def resume(self) -> None:
        """Go on reading; what was decoded meanwhile is delivered first."""
        if not self._is_paused or self._mode != _ATTACHED:
            return
        self._is_paused = False
        self.due_ns = min(monotonic_ns() + self._left_ns, self._total_ns)
        if self._decoder is not None:
            self._pour(self._decoder)
        # The sink may have paused, released or aborted again.
        if self._is_paused or self._mode != _ATTACHED:
            return
        if self._has_ended:
            self._end(self._error)
        elif self.link is not None:
            self.link.resume()

    def release(self) -> None:
        """Want no more of the body; its end is awaited for up to 1 s and 64 KiB, so that the connection can be kept."""
        if self._mode == _OVER:
            return
        self._sink = NOBODY
        self._decoder = None
        self._parts.clear()
        if self.link is None:
            self._mode = _OVER
            return
        self._mode = _DRAINING
        self.counts_bytes = False
        self._size_bytes = 0
        self.due_ns = monotonic_ns() + _DRAIN_NS
        self.link.resume()

    def abort(self) -> None:
        """Close the socket now; a sink is told nothing, a reader gets Truncated."""
        self._let_go()
        waiter, self._waiter = self._waiter, None
        self._mode = _OVER
        self._sink = NOBODY
        self._parts.clear()
        if waiter is not None and not waiter.done():
            waiter.fail(Truncated("the exchange was aborted"))

    # For the transport and the connection.

    def begin(self, link: Link, waiter: Waiter, now_ns: int) -> None:
        """A request is about to be written to ``link``; ``waiter`` is resolved by its head, or by its end."""
        self.link = link
        self.begun_ns = now_ns
        self._mode = _WAITING
        self._waiter = waiter
        due_ns = now_ns + self.timeouts.first_byte_ms * _NS_PER_MS
        self.due_ns = due_ns if due_ns < self._total_ns else self._total_ns

    def answered(self, head: ResponseHead, *, is_complete: bool) -> None:
        """The head arrived, perhaps with all of the body; raises InvalidAnswer for an encoding that is not known.

        Who waits for it is told by ``hand_on``, and then finds what came with it.
        """
        self.head = head
        if head.has_codings:
            self._decoder = choose_decoder(head.get_all(b"content-encoding"))
        if not self.reads_all:
            self._mode = _HELD
            return
        self._mode = _READ
        self.counts_bytes = True
        if not is_complete:
            self._refuse_announced()

    def hand_on(self) -> None:
        """Tell who waits for the head that it is here."""
        if self._mode == _HELD:
            self._wake()

    def takes(self, size_bytes: int) -> bool:
        """Whether a body of this size that arrived with its head may be given to ``complete``."""
        return self.reads_all and size_bytes <= self._limit_bytes

    def complete(self, head: ResponseHead, parts: list[bytes]) -> None:
        """Head and body arrived at once, the body as it is, and the connection has gone its way."""
        self.head = head
        self._parts = parts
        self.link = None
        self._mode = _OVER if self.reads_all else _HELD
        self._has_ended = True
        self._wake()

    def feed(self, data: bytes) -> None:
        """Body bytes arrived, without their framing."""
        mode = self._mode
        if mode == _ATTACHED:
            if self._decoder is None:
                self._sink.piece(data)
            else:
                self._decoder.push(data)
                self._pour(self._decoder)
        elif mode == _READ:
            self._collect(data)
        elif mode == _HELD:
            self._hold(data)
        elif mode == _DRAINING:
            self._size_bytes += len(data)
            if self._size_bytes > _DRAIN_BYTES:
                self.abort()

    def finish(self) -> None:
        """The body ended by its framing, or was complete at once; the connection has gone its way."""
        self.link = None
        if self._mode == _OVER:
            self._wake()
        else:
            self._end(None)

    def extend(self, now_ns: int) -> None:
        """There was progress: the idle deadline begins anew."""
        due_ns = now_ns + self._idle_ns
        self.due_ns = due_ns if due_ns < self._total_ns else self._total_ns

    def fail(self, error: ProviderError) -> None:
        """The exchange cannot go on: close the socket and tell why."""
        if self._mode == _READ or self._is_touched:
            error.has_begun = self.head.tells_of_answer
        self._let_go()
        self._end(error)

    def expire(self, now_ns: int) -> None:
        """``due_ns`` has passed."""
        if self._mode == _DRAINING:
            self.abort()
        elif now_ns >= self._total_ns:
            self._time_out("total", self.timeouts.total_ms)
        elif self._mode == _READ or self._is_touched:
            self._time_out("idle", self.timeouts.idle_ms)
        else:
            self._time_out("first_byte", self.timeouts.first_byte_ms)

    def connect_limit(self) -> tuple[int, str]:
        """Return the ns that connecting may still take, and the deadline that sets them."""
        left_ns = self._total_ns - monotonic_ns()
        connect_ns = self.timeouts.connect_ms * _NS_PER_MS
        return (connect_ns, "connect") if connect_ns <= left_ns else (left_ns, "total")

    # Inside.

    def _begin_body(self, mode: int, limit_bytes: int) -> None:
        if self._mode != _HELD:
            raise RuntimeError("the body of an exchange has one consumer: attach a sink or read it, once")
        self._mode = mode
        self._limit_bytes = limit_bytes

    def _take_held(self) -> None:
        held = self.body
        self._parts = []
        self._size_bytes = 0
        if held:
            self.feed(held)
        if self._mode not in (_ATTACHED, _READ) or self._is_paused:
            return
        if self._has_ended:
            self._end(self._error)
        elif self._is_held_back and self.link is not None:
            self.link.resume()

    def _hold(self, data: bytes) -> None:
        self._parts.append(data)
        self._size_bytes += len(data)
        if self._size_bytes > _HELD_BYTES and self.link is not None:
            self._is_held_back = True
            self.link.pause()

    def _collect(self, data: bytes) -> None:
        decoder = self._decoder
        if decoder is None:
            if self._grow(len(data)):
                self._parts.append(data)
            return
        decoder.push(data)
        try:
            while (piece := decoder.pull()) and self._grow(len(piece)):
                self._parts.append(piece)
        except InvalidAnswer as error:
            self.fail(error)

    def _pour(self, decoder: Decoder) -> None:
        """Give the sink what can be decoded, as long as it wants it."""
        try:
            while self._mode == _ATTACHED and not self._is_paused:
                piece = decoder.pull()
                if not piece or not self._grow(len(piece)):
                    return
                self._sink.piece(piece)
        except InvalidAnswer as error:
            self.fail(error)

    def _grow(self, size_bytes: int) -> bool:
        self._size_bytes += size_bytes
        if self._size_bytes <= self._limit_bytes:
            return True
        self.fail(self._too_large())
        return False

    def _refuse_announced(self) -> None:
        """Fail at once where Content-Length alone is beyond the limit; it tells nothing about a compressed body."""
        length = self.head.content_length
        if length is not None and length > self._limit_bytes and self._decoder is None:
            self.fail(self._too_large())

    def _too_large(self) -> InvalidAnswer:
        return InvalidAnswer(f"the answer is larger than {self._limit_bytes} bytes")

    def _time_out(self, phase: str, limit_ms: int) -> None:
        self.fail(TimedOut(f"{TIMEOUT_WORDS[phase]} {limit_ms} ms", phase=phase))

    def _let_go(self) -> None:
        link, self.link = self.link, None
        if link is not None:
            link.drop()

    def _end(self, error: ProviderError | None) -> None:
        """Tell whoever waits; where nobody does, keep it for who will."""
        mode, decoder = self._mode, self._decoder
        is_unread = mode == _ATTACHED and self._is_paused and decoder is not None and decoder.pending
        if mode == _HELD or (is_unread and error is None):
            self._has_ended = True
            self._error = error
            return
        self._mode = _OVER
        if error is None and decoder is not None and not decoder.whole:
            error = Truncated("the compressed answer stopped before its end")
        if mode == _ATTACHED:
            sink, self._sink = self._sink, NOBODY
            sink.ended(error)
        elif mode != _DRAINING:
            self._wake(error)

    def _wake(self, error: ProviderError | None = None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.hand(None)
        else:
            self._parts.clear()
            waiter.fail(error)
