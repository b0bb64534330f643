"""Rows put together by what they have in common: none is lost, none is changed, and few are left alone."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple, replace

from gateway.ledger.alike import COLUMNS, FEW, SHARED, Own, gather
from gateway.ledger.row import UsageRow
from tests.gateway.usage_rows import NOW_NS, any_row, make_row

SPAN_NS = 1_000
MANY = FEW + 5


def many(count: int = MANY, **fields: object) -> list[UsageRow]:
    """Rows that differ in what each says for itself."""
    start_ns = NOW_NS // SPAN_NS * SPAN_NS
    return [
        replace(make_row(start_ns + number), input_tokens=number, tags=f"n:{number}", **fields)
        for number in range(count)
    ]


def test_each_column_is_told_by_one_of_both() -> None:
    """By each row, or by all together."""
    assert sorted((*SHARED, *Own._fields)) == sorted(COLUMNS)
    assert not {"project_id", "key_id", "model", "provider", "upstream_model", "error_code", "cache_layer"} - set(
        SHARED
    )


def test_rows_that_differ_in_their_own_figures_are_alike() -> None:
    """With what they have in common once, and the rest in columns."""
    rows = many()
    batch = gather(rows, SPAN_NS)
    (alike,) = batch.alike
    assert (batch.others, alike.span, alike.read()) == ([], NOW_NS // SPAN_NS, rows)
    assert list(alike.own.input_tokens) == list(range(MANY))
    assert dict(zip(SHARED, alike.shared, strict=True))["model"] == alike.common.model == "gpt-4"


def test_kinds_that_come_by_turns_are_put_apart() -> None:
    """Each in its order."""
    one, other = many(), many(model="gpt-5")
    mixed = [row for pair in zip(one, other, strict=True) for row in pair]
    batch = gather(mixed, SPAN_NS)
    assert ([alike.read() for alike in batch.alike], batch.others) == ([one, other], [])


def test_few_rows_of_a_kind_in_a_span_are_each_by_themselves() -> None:
    """What the cache gave is a kind as well, though each may name another entry."""
    few, hits = many(FEW - 1, model="gpt-5"), many(is_cached=True)
    hits = [replace(row, cache_entry=row.request_id, saved_pusd=7) for row in hits]
    rows = many()
    late = [replace(row, created_ns=row.created_ns + SPAN_NS) for row in many(FEW - 1)]
    batch = gather([*few, *hits, *rows, *late], SPAN_NS)
    assert [alike.read() for alike in batch.alike] == [hits, rows]
    assert Counter(map(astuple, batch.others)) == Counter(map(astuple, [*few, *late]))


@given(rows=st.lists(any_row(), max_size=4), turns=st.integers(1, FEW + 2))
def test_no_row_is_lost_or_changed(rows: list[UsageRow], turns: int) -> None:
    """Whatever a caller could make it hold, and however often."""
    given_rows = [replace(row, output_tokens=number) for number in range(turns) for row in rows]
    batch = gather(given_rows, SPAN_NS)
    found = [*batch.others, *[row for alike in batch.alike for row in alike.read()]]
    assert Counter(map(astuple, found)) == Counter(map(astuple, given_rows))
    assert all(len(alike.rows) >= FEW for alike in batch.alike)
