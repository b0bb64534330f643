"""Records: whatever happens to a journal's bytes, each whole record in it is read."""

import struct
import zlib

import msgspec
import pytest
from budget_world import doubt_of
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.recording.records import (
    HOLDS_MARK,
    MARK,
    MAX_PAYLOAD_BYTES,
    read_records,
    write_holds,
    write_record,
)
from gateway.ledger.row import UsageRow
from tests.gateway.usage_rows import any_row, make_row

ROWS = [make_row(request_id=f"{number:026d}") for number in range(5)]
RECORDS = [write_record(row) for row in ROWS]
ALL = b"".join(RECORDS)


@given(st.lists(any_row(), max_size=5))
def test_what_is_written_is_read(rows: list[UsageRow]) -> None:
    """Every field of every row comes back."""
    data = b"".join(map(write_record, rows))
    found = read_records(data, 0, 100)
    assert (found.rows, found.end, found.damaged_bytes) == (rows, len(data), 0)


def test_a_record_is_smaller_than_a_kilobyte() -> None:
    """An ordinary row takes some 300 bytes."""
    assert len(RECORDS[0]) < 400


def test_reading_stops_at_the_given_number() -> None:
    """A journal is read in pieces, each from the end of the one before."""
    first = read_records(ALL, 0, 2)
    second = read_records(ALL, first.end, 10)
    assert first.rows + second.rows == ROWS
    assert first.end == len(RECORDS[0]) + len(RECORDS[1])


@given(st.integers(min_value=0, max_value=len(ALL) - 1))
def test_a_cut_at_any_byte_loses_only_the_record_it_cuts(length: int) -> None:
    """What kill -9 or a full disk leaves at the end was never acknowledged, and is no damage."""
    found = read_records(ALL[:length], 0, 100)
    whole = sum(len(b"".join(RECORDS[:count])) <= length for count in range(1, 6))
    assert found.rows == ROWS[:whole]
    assert (found.end, found.damaged_bytes) == (length, 0)


@given(st.integers(min_value=0, max_value=len(ALL) - 1), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_loses_only_its_record(position: int, flip: int) -> None:
    """Mark, length, checksum or payload: the others are found again."""
    changed = bytearray(ALL)
    changed[position] ^= flip
    hit = next(count for count in range(1, 6) if position < len(b"".join(RECORDS[:count]))) - 1
    found = read_records(bytes(changed), 0, 100)
    assert found.rows == [row for number, row in enumerate(ROWS) if number != hit]
    assert found.damaged_bytes == (len(RECORDS[hit]) if hit < 4 else 0)


@given(st.binary(max_size=50), st.integers(min_value=0, max_value=5))
def test_rubbish_between_records_is_passed_over(rubbish: bytes, place: int) -> None:
    """A half-written record in the middle costs nothing but itself."""
    data = b"".join(RECORDS[:place]) + rubbish + b"".join(RECORDS[place:])
    found = read_records(data, 0, 100)
    assert found.rows == ROWS
    assert found.damaged_bytes == (len(rubbish) if place < 5 else 0)


def test_a_row_of_an_older_version_gets_the_defaults() -> None:
    """Fields are only added at the end: an old journal stays readable."""
    values = msgspec.to_builtins(ROWS[0])[:-2]
    payload = msgspec.msgpack.encode(values)
    head = write_record(ROWS[0])[:4] + len(payload).to_bytes(4, "little")

    record = head + zlib.crc32(payload).to_bytes(4, "little") + payload
    assert read_records(record, 0, 1).rows == [ROWS[0]]


def test_a_payload_that_is_no_row_is_damage() -> None:
    """A right checksum does not make a usage row."""

    payload = msgspec.msgpack.encode({"not": "a row"})
    record = MARK + len(payload).to_bytes(4, "little") + zlib.crc32(payload).to_bytes(4, "little") + payload
    found = read_records(record + RECORDS[0], 0, 10)
    assert (found.rows, found.damaged_bytes) == (ROWS[:1], len(record))


def test_a_row_that_could_not_be_read_back_is_refused() -> None:
    """Better told at once than missed later."""
    with pytest.raises(ValueError, match="more than"):
        write_record(make_row(tags="x" * MAX_PAYLOAD_BYTES))


def test_holds_that_could_not_be_read_back_are_refused_or_split() -> None:
    """One by itself is too large; many are more than one record."""
    with pytest.raises(ValueError, match="more than"):
        write_holds([doubt_of(make_row(tags="x" * MAX_PAYLOAD_BYTES))])
    holds = [doubt_of(make_row(request_id=f"{number:026d}", tags="x" * 1_000)) for number in range(1_500)]
    data = write_holds(holds)
    found = read_records(data, 0, 10)
    assert found.holds == [hold.row() for hold in holds]
    assert data.count(HOLDS_MARK) == 2


def test_a_hold_is_read_as_the_row_that_its_call_becomes() -> None:
    """Beside rows, and as versions before wrote it: by itself, and before that as that row."""
    doubts = [doubt_of(make_row(request_id=str(digit) * 26)) for digit in (8, 9)]
    rows = [doubt.row() for doubt in doubts]
    payloads = {b"WLH1": msgspec.msgpack.encode(rows[0]), b"WLH2": msgspec.msgpack.encode(doubts[0])}
    written = b"".join(
        struct.pack("<4sII", mark, len(payload), zlib.crc32(payload, zlib.crc32(mark))) + payload
        for mark, payload in payloads.items()
    )
    found = read_records(RECORDS[0] + written + write_holds(doubts) + RECORDS[1], 0, 100)
    assert (found.rows, found.holds, found.damaged_bytes) == (ROWS[:2], [rows[0], rows[0], *rows], 0)
