"""A segment: what was appended is the file's at once, whatever the windows are that it is written through."""

import mmap
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.recording import segment
from gateway.ledger.recording.records import write_record
from gateway.ledger.recording.segment import Segment
from tests.gateway.usage_rows import make_row


def open_segment(path: Path) -> Segment:
    """Make an empty one."""
    return Segment(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), 0)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a segment is made again and again."""
    return tmp_path_factory.mktemp("segment") / "one.journal"


@given(sizes=st.lists(st.integers(1, 3 * mmap.PAGESIZE), max_size=30), pages=st.integers(1, 3))
def test_records_follow_each_other_without_a_gap(path: Path, sizes: list[int], pages: int) -> None:
    """Also over the windows' borders, and where a record is longer than a window."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(segment, "WINDOW_BYTES", pages * mmap.PAGESIZE)
        one, whole = open_segment(path), b""
        for number, size in enumerate(sizes):
            assert one.append(bytes([number + 1]) * size) == len(whole)
            whole += bytes([number + 1]) * size
            assert path.read_bytes()[: len(whole)] == whole
        assert one.size == len(whole)
        assert not path.read_bytes()[len(whole) :].strip(b"\0")
        one.seal()
        assert path.read_bytes() == whole
        one.remove()


def test_little_of_the_file_is_mapped(tmp_path: Path) -> None:
    """What is mapped counts as the process's memory."""
    one = open_segment(tmp_path / "one")
    for _ in range(5):
        one.append(b"x" * 700_000)
    assert one._end - one._begin == segment.WINDOW_BYTES
    assert os.stat(one.path).st_blocks * 512 >= one._end
    one.remove()


def test_the_disk_sets_room_aside_before_it_is_written_to(tmp_path: Path) -> None:
    """A disk that is full when memory is to become a file would end the process."""
    one = open_segment(tmp_path / "one")
    one.append(b"x")
    assert os.stat(one.path).st_blocks * 512 >= segment.WINDOW_BYTES
    one.seal()
    assert os.stat(one.path).st_blocks * 512 < segment.WINDOW_BYTES
    one.remove()
    assert not one.path.exists()


def test_what_is_sealed_is_read_from_anywhere(tmp_path: Path) -> None:
    """By rows, from where one begins."""
    rows = [make_row(request_id=f"{number:026d}") for number in range(3)]
    one = open_segment(tmp_path / "one")
    starts = [one.append(write_record(row)) for row in rows]
    one.seal()
    assert [found for batch in one.read(1, starts[1]) for found in batch] == rows[1:]
    assert not one.has_holds()
    one.remove()
