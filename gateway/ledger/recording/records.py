"""How a usage row lies in a journal: a mark, its length, its CRC32, and itself in msgpack.

A hold is a Doubt: what a call is going to be charged as if nothing more is heard of it. It has a mark of its own, and
the row of the same id, or a later hold, takes its place. Journals of before 2026-11-28 have it as a row.

A reader finds its way again after damage by the next mark that is followed by a whole record, so that one bad spot
loses what it covers and nothing else.
"""

import struct
import zlib

import msgspec

from gateway.ledger.recording.doubt import Doubt
from gateway.ledger.row import UsageRow

# The mark names the form too: another form gets another mark.
MARK = b"WLJ1"
HOLD_MARK, _OLD_HOLD_MARK = b"WLH2", b"WLH1"
# With what each hold begins, whatever its form.
HOLDS_BEGIN = b"WLH"
# Each mark and where its checksum begins, so that a damaged mark is never taken for another.
_SEEDS = {MARK: 0, **{mark: zlib.crc32(mark) for mark in (HOLD_MARK, _OLD_HOLD_MARK)}}
# What the marks begin with.
_MARKS_BEGIN = b"WL"
# Far above any row; what claims to be longer is damage.
MAX_PAYLOAD_BYTES = 1 << 20
_HEAD = struct.Struct("<4sII")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(UsageRow)
_doubt_decoder = msgspec.msgpack.Decoder(Doubt)


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


def write_record(row: UsageRow | Doubt, mark: bytes = MARK) -> bytes:
    """Make the record of a row or a hold. Raises OverflowError or ValueError where that could not be read back."""
    payload = _encoder.encode(row)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"the usage row of {row.request_id} takes {len(payload)} bytes, more than {MAX_PAYLOAD_BYTES}")
    return _HEAD.pack(mark, len(payload), zlib.crc32(payload, _SEEDS[mark])) + payload


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
        is_new_hold = data.startswith(HOLD_MARK, position)
        row = None if end is None else _decode(data[position + _HEAD.size : end], is_doubt=is_new_hold)
        if end is not None and row is not None:
            (holds if data.startswith(HOLDS_BEGIN, position) else rows).append(row)
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


def _decode(payload: bytes, *, is_doubt: bool) -> UsageRow | None:
    try:
        return _doubt_decoder.decode(payload).row() if is_doubt else _decoder.decode(payload)
    except msgspec.MsgspecError:
        return None
