"""What a hold in Redis says: whose it is, and its row."""

from gateway.budgets.keeping.memo import OWNER_BYTES, read_memo, write_memo
from gateway.ids import new_id
from tests.gateway.usage_rows import NOW_NS, make_row


def test_a_memo_begins_with_its_owner() -> None:
    """So that a process's holds are found by it, and the row comes back whole."""
    owner, row = new_id(NOW_NS), make_row()
    memo = write_memo(owner, row)
    assert memo.startswith(owner.encode())
    assert len(owner) == OWNER_BYTES
    assert read_memo(memo) == row
