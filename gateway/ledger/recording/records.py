"""How a usage row lies in a journal: a mark, its length, its CRC32, and itself in msgpack.

Holds are Doubts: what calls are going to be charged as if nothing more is heard of them. They have a mark of their own,
one record for all that are written together, and the row of the same id, or a later hold, takes the place of each.
Older journals have each in a record of its own: as a Doubt, and before 2026-11-28 as a row.

A reader finds its way again after damage by the next mark that is followed by a whole record, so that one bad spot
loses what it covers and nothing else.
"""

import struct
import zlib
from collections.abc import Sequence

import msgspec

from gateway.ledger.recording.doubt import Doubt
from gateway.ledger.row import UsageRow

# The mark names the form too: another form gets another mark.
MARK = b"WLJ1"
HOLDS_MARK, _ONE_HOLD_MARK, _ROW_HOLD_MARK = b"WLH3", b"WLH2", b"WLH1"
# With what holds begin, whatever their form.
HOLDS_BEGIN = b"WLH"
# Each mark and where its checksum begins, so that a damaged mark is never taken for another.
_SEEDS = {MARK: 0, **{mark: zlib.crc32(mark) for mark in (HOLDS_MARK, _ONE_HOLD_MARK, _ROW_HOLD_MARK)}}
# What the marks begin with.
_MARKS_BEGIN = b"WL"
# Far above any row; what claims to be longer is damage.
MAX_PAYLOAD_BYTES = 1 << 20
_HEAD = struct.Struct("<4sII")
_encoder = msgspec.msgpack.Encoder()
_row_decoder = msgspec.msgpack.Decoder(UsageRow)
_doubt_decoder = msgspec.msgpack.Decoder(Doubt)
_doubts_decoder = msgspec.msgpack.Decoder(list[Doubt])


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a piece of a journal."""

    rows: list[UsageRow]
    # The rows that calls become that nothing more is heard of, in their order among themselves; of which calls that
    # holds the rows tell.
    holds: list[UsageRow]
    # Where the next record begins.
    end: int
    # Bytes passed over because no record could be read from them, though records follow.
    damaged_bytes: int


def write_record(row: UsageRow) -> bytes:
    """Make the record of a row. Raises OverflowError or ValueError where that could not be read back."""
    payload = _encoder.encode(row)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"the usage row of {row.request_id} takes {len(payload)} bytes, more than {MAX_PAYLOAD_BYTES}")
    return _HEAD.pack(MARK, len(payload), zlib.crc32(payload)) + payload


def write_holds(holds: Sequence[Doubt]) -> bytes:
    """Make the record of holds, or as many as they need. Raises as ``write_record``."""
    payload = _encoder.encode(holds)
    if len(payload) > MAX_PAYLOAD_BYTES:
        if len(holds) == 1:
            most, hold = MAX_PAYLOAD_BYTES, holds[0]
            raise ValueError(f"the hold of {hold.request_id} takes {len(payload)} bytes, more than {most}")
        half = len(holds) // 2
        return write_holds(holds[:half]) + write_holds(holds[half:])
    return _HEAD.pack(HOLDS_MARK, len(payload), zlib.crc32(payload, _SEEDS[HOLDS_MARK])) + payload


def read_records(data: bytes, start: int, max_rows: int) -> Stretch:
    """Read up to ``max_rows`` whole records of a journal's bytes from ``start`` on.

    A last record that is not whole was never acknowledged: it is passed over and not called damage. Rows of older
    versions get the defaults of the fields that they lack.
    """
    rows: list[UsageRow] = []
    holds: list[UsageRow] = []
    position, damaged_bytes = start, 0
    while position < len(data) and len(rows) < max_rows:
        end = _end_of_record(data, position)
        found = None if end is None else _decode(data[position:end])
        if end is not None and found is not None:
            (holds if data.startswith(HOLDS_BEGIN, position) else rows).extend(found)
            position = end
            continue
        following = end if end is not None else _find_record(data, position + 1)
        if following is None:
            position = len(data)
        else:
            damaged_bytes += following - position
            position = following
    return Stretch(rows=rows, holds=holds, end=position, damaged_bytes=damaged_bytes)


def _end_of_record(data: bytes, start: int) -> int | None:
    """Tell where the record at ``start`` ends; None when there is no whole one."""
    begin = start + _HEAD.size
    if begin > len(data):
        return None
    mark, length, checksum = _HEAD.unpack_from(data, start)
    end = begin + length
    if mark not in _SEEDS or length > MAX_PAYLOAD_BYTES or end > len(data):
        return None
    return end if zlib.crc32(data[begin:end], _SEEDS[mark]) == checksum else None


def _find_record(data: bytes, start: int) -> int | None:
    while (start := data.find(_MARKS_BEGIN, start)) >= 0:
        if _end_of_record(data, start) is not None:
            return start
        start += 1
    return None


def _decode(record: bytes) -> list[UsageRow] | None:
    mark, payload = record[: len(MARK)], record[_HEAD.size :]
    try:
        if mark == HOLDS_MARK:
            return [doubt.row() for doubt in _doubts_decoder.decode(payload)]
        return [_doubt_decoder.decode(payload).row() if mark == _ONE_HOLD_MARK else _row_decoder.decode(payload)]
    except msgspec.MsgspecError:
        return None
