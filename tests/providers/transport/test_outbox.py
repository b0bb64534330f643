"""What one turn of the loop has to say leaves together, in order, and none of it is lost."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from providers.errors import Withheld
from providers.transport.outbox import AT_ONCE, FEW, Outbox

FULL = Withheld("no room")


class Socket:
    """Keeps what is written to it; with a name, in a diary that others share. It is its own protocol."""

    def __init__(self, diary: list[bytes] | None = None, *, fails: bool = False) -> None:
        self.log: list[bytes] = [] if diary is None else diary
        self.is_closed = False
        self.withheld_for: list[Withheld] = []
        self._fails = fails
        self.writes = 0

    def get_protocol(self) -> "Socket":
        """Itself."""
        return self

    def withheld(self, error: Withheld) -> None:
        """Be told that bytes did not leave."""
        self.withheld_for.append(error)

    def is_closing(self) -> bool:
        """As told."""
        return self.is_closed

    def writelines(self, parts: Sequence[bytes | memoryview]) -> None:
        """Keep each part."""
        self.log.extend(map(bytes, parts))
        self.writes += 1

    def write(self, data: bytes) -> None:
        """Keep the bytes, or raise."""
        if self._fails:
            raise RuntimeError("the handler is closed")
        self.log.append(data)
        self.writes += 1


def write(outbox: Outbox, socket: Socket, *parts: bytes) -> None:
    """Write as a connection does."""
    for part in parts:
        outbox.write(cast("asyncio.WriteTransport", socket), part)


async def test_who_is_alone_waits_for_nobody() -> None:
    """A turn that had little to say lets those after it write at once; then it is tried again."""
    outbox, socket = Outbox(), Socket()
    write(outbox, socket, b"1")
    await asyncio.sleep(0)
    write(outbox, socket, *[b"2"] * AT_ONCE)
    assert len(socket.log) == 1 + AT_ONCE
    write(outbox, socket, b"3")
    assert len(socket.log) == 1 + AT_ONCE
    await asyncio.sleep(0)
    assert socket.log[-1] == b"3"


async def test_a_turn_that_has_much_to_say_is_followed_by_one_that_waits() -> None:
    """As long as it stays so."""
    outbox, socket = Outbox(), Socket()
    for turn in range(1, 4):
        write(outbox, socket, *[b"1"] * FEW)
        assert len(socket.log) == (turn - 1) * FEW
        await asyncio.sleep(0)
        assert len(socket.log) == turn * FEW


async def test_many_leave_together_at_the_end_of_the_turn() -> None:
    """In the order in which they were written."""
    outbox, diary = Outbox(), list[bytes]()
    one, two = Socket(diary), Socket(diary)
    write(outbox, one, b"1")
    write(outbox, two, b"2")
    write(outbox, one, b"3")
    assert diary == []
    await asyncio.sleep(0)
    assert diary == [b"1", b"2", b"3"]


async def test_it_knows_whose_bytes_have_not_left() -> None:
    """So that a socket which closes meanwhile has not been told anything."""
    outbox, one, other = Outbox(), Socket(), Socket()
    write(outbox, one, b"1")
    assert [outbox.holds(cast("asyncio.WriteTransport", socket)) for socket in (one, other)] == [True, False]
    await asyncio.sleep(0)
    assert not outbox.holds(cast("asyncio.WriteTransport", one))


@pytest.mark.parametrize("turns", [0, 1], ids=["with others", "alone"])
async def test_parts_of_a_write_leave_together(turns: int) -> None:
    """In their place among what others write, be it at the end of the turn or at once."""
    outbox, diary = Outbox(), list[bytes]()
    one, other = Socket(diary), Socket(diary)
    write(outbox, one, b"1")
    for _ in range(turns):
        await asyncio.sleep(0)
    outbox.write(cast("asyncio.WriteTransport", other), (b"2", memoryview(b"3"), b"4"))
    write(outbox, one, b"5")
    assert diary == [b"1", b"2", b"3", b"4", b"5"] * turns
    await asyncio.sleep(0)
    assert diary == [b"1", b"2", b"3", b"4", b"5"]
    assert (one.writes, other.writes) == (2, 1)


@pytest.mark.parametrize("error", [None, FULL])
async def test_what_is_too_much_to_be_copied_leaves_at_once_behind_the_rest(error: Withheld | None) -> None:
    """And what has to be durable before is asked for, whoever waits or not."""
    diary = list[bytes]()

    def ask() -> Withheld | None:
        diary.append(b"asked")
        return error

    outbox, one, large = Outbox(ask), Socket(diary), Socket(diary)
    write(outbox, one, b"1")
    outbox.write_now(cast("asyncio.WriteTransport", large), (b"2", memoryview(b"3")))
    assert diary == ([b"asked", b"1", b"asked", b"2", b"3"] if error is None else [b"asked", b"asked"])
    assert large.withheld_for == ([] if error is None else [FULL])


async def test_what_is_flushed_is_not_written_again() -> None:
    """And what comes after it waits for an end of its own."""
    outbox, socket = Outbox(), Socket()
    write(outbox, socket, b"1")
    outbox.flush()
    assert socket.log == [b"1"]
    write(outbox, socket, b"2")
    await asyncio.sleep(0)
    assert socket.log == [b"1", b"2"]


async def test_a_socket_that_closed_or_fails_keeps_nothing_from_others(caplog: pytest.LogCaptureFixture) -> None:
    """The bytes of the one are thrown away, a failure of the other is told."""
    outbox, closed, failing, sound = Outbox(), Socket(), Socket(fails=True), Socket()
    for socket in (closed, failing, sound):
        write(outbox, socket, b"1")
    closed.is_closed = True
    await asyncio.sleep(0)
    assert (closed.log, sound.log) == ([], [b"1"])
    assert "bytes could not be written" in caplog.text


async def test_what_a_write_brings_about_is_written_too() -> None:
    """A socket that is full tells its protocol at once, which may write elsewhere."""
    outbox, other = Outbox(), Socket()

    class Full(Socket):
        def write(self, data: bytes) -> None:
            super().write(data)
            write(outbox, other, b"told")

    full = Full()
    write(outbox, full, b"1")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (full.log, other.log) == ([b"1"], [b"told"])


async def test_what_has_to_be_kept_is_kept_before_anything_leaves() -> None:
    """Once for all that leave together, and for each that goes at once; not where there is nothing to say."""
    diary = list[bytes]()

    def keep() -> None:
        diary.append(b"kept")

    outbox, one, two = Outbox(keep), Socket(diary), Socket(diary)
    write(outbox, one, b"1")
    write(outbox, two, b"2")
    assert diary == []
    await asyncio.sleep(0)
    assert diary == [b"kept", b"1", b"2"]
    # That turn had little to say.
    write(outbox, one, b"3")
    assert diary[3:] == [b"kept", b"3"]
    outbox.flush()
    assert len(diary) == 5


async def test_what_cannot_be_kept_keeps_all_from_leaving() -> None:
    """Each is told, but who closed meanwhile; what comes later is tried again."""
    errors: list[Withheld | None] = [FULL, FULL, None]
    outbox, one, two, closed = Outbox(lambda: errors.pop(0)), Socket(), Socket(), Socket()
    for socket in (one, two, closed):
        write(outbox, socket, b"1")
    closed.is_closed = True
    await asyncio.sleep(0)
    assert (one.withheld_for, two.withheld_for, closed.withheld_for) == ([FULL], [FULL], [])
    write(outbox, one, b"2")
    assert one.withheld_for == [FULL, FULL]
    write(outbox, one, b"3")
    assert (one.log, two.log) == ([b"3"], [])


async def test_who_knows_of_a_turns_end_need_not_wait_for_the_loop() -> None:
    """What is there leaves at once; that nothing is left for the loop's own end says nothing of how much a turn has."""
    outbox, socket = Outbox(), Socket()
    write(outbox, socket, *[b"1"] * FEW)
    outbox.end_turn()
    assert socket.log == [b"1"] * FEW
    await asyncio.sleep(0)
    write(outbox, socket, b"2")
    assert len(socket.log) == FEW
    outbox.end_turn()
    write(outbox, socket, b"3")
    assert socket.log[FEW:] == [b"2", b"3"]
