"""A streamed answer that came to its end with its head: it is given as a whole answer is, in one piece.

Those of one turn of the event loop are read one behind the other, before the call of any goes on: so each takes two
thirds of what it takes between the other steps of its call, which throw its code out of the processor's caches.

Failure behavior: what breaks, or does not tell its usage, is left to a Relay. A mistake of ours ends the call that it
was made for, and none of the others.
"""

from collections.abc import Callable, Sequence
from typing import Self

from gateway.backends.relay import Guard
from providers.chat import Usage, is_counted
from providers.wire import StreamReader


class Arrived:
    """A stream that was here to its end before anybody read it.

    To whoever asks how a stream went it is a Relay that is over.
    """

    __slots__ = ("events", "reader", "usage")

    # Nobody leaves what is over, and until its end is there too the client has nothing of it.
    is_abandoned = is_attached = False

    def __init__(self, reader: StreamReader, events: bytes, usage: Usage) -> None:
        self.reader = reader
        # What may go to the client but for the end, which waits for the row.
        self.events = events
        self.usage = usage

    @classmethod
    def read(cls, reader: StreamReader, pieces: Sequence[bytes], guard: Guard | None) -> Self | None:
        """Read all of it; None where it breaks, goes too far or does not tell its usage: that is for a Relay."""
        events = reader.feed_all(pieces)
        if not reader.finished and reader.failure is None:
            events += reader.end()
        usage = reader.usage
        if not reader.finished or usage is None or not is_counted(usage):
            return None
        return cls(reader, events, usage) if guard is None or guard(reader) is None else None


# Who is told, and what Arrived.read takes. Being told raises nothing.
Reading = tuple[Callable[[Arrived | Exception | None], None], StreamReader, Sequence[bytes], Guard | None]


def read_all(readings: Sequence[Reading]) -> None:
    """Read streams, all of them before the call of any goes on."""
    read: list[Arrived | Exception | None] = []
    for _, reader, pieces, guard in readings:
        try:
            read.append(Arrived.read(reader, pieces, guard))
        except Exception as error:
            read.append(error)
    for (tell, _, _, _), found in zip(readings, read, strict=True):
        tell(found)
