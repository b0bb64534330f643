"""What the kernel knows of a request whose kept connection ended without a byte of answer: can it have been read?

A server closes a kept connection whenever it likes, also while a request is on its way to it. What arrives at a socket
that was closed is acknowledged no more, so a request of which some is not acknowledged when the end comes was not read
whole, and can be sent anew: nothing was made of it. One that was acknowledged may have been read, and is not.

Failure behavior: where the kernel cannot be asked (another system than Linux, a socket that is closed already, as
uvloop's under TLS without a closing alert) nothing is proved.
"""

import asyncio
import fcntl
import os
import socket
import struct
import termios
from time import monotonic_ns

# TLS answers the end of a connection with an alert of its own, of at most 90 bytes; no request is as short.
_ALERT_BYTES = 128
# In Linux's struct tcp_info (linux/tcp.h): tcpi_last_data_sent, milliseconds since the last segment with data left.
_INFO_BYTES, _LAST_SENT_AT = 104, 44
# The kernel counts those in ticks of its clock, of 10 ms at most.
_TICK_NS = 10_000_000
_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)


def is_unread(transport: asyncio.Transport, reason: Exception | None, begun_ns: int) -> bool:
    """Whether a request written since ``begun_ns`` (monotonic) was provably not read whole; None: the server closed."""
    known = transport.get_extra_info("socket")
    fd = -1 if known is None else known.fileno()
    if fd < 0:
        return False
    try:
        if reason is None:
            return transport.get_write_buffer_size() + _count_unacknowledged(fd) > _ALERT_BYTES
        # The kernel takes no more for a socket that the server had closed; else, what was reset had to leave first.
        return isinstance(reason, BrokenPipeError) or _left_nothing(fd, begun_ns)
    except OSError:
        return False


def _count_unacknowledged(fd: int) -> int:
    """Bytes that wait in the kernel, or are on their way."""
    (count,) = struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)))
    return int(count)


def _left_nothing(fd: int, begun_ns: int) -> bool:
    """Whether no data left the socket since then."""
    if _TCP_INFO is None:
        return False
    with socket.socket(fileno=os.dup(fd)) as twin:
        told = twin.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _INFO_BYTES)
    (since_ms,) = struct.unpack_from("I", told, _LAST_SENT_AT)
    return int(since_ms) * 1_000_000 > monotonic_ns() - begun_ns + _TICK_NS
