"""Rows of a batch that differ only in what each call says for itself: they are stored and summed up together.

A batch has thousands of rows and few kinds of calls: column by column a row takes half the time that it takes alone.
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import astuple

from gateway.ledger.row import UsageRow

COLUMNS = tuple(field.name for field in msgspec.structs.fields(UsageRow))
# Fewer rows take longer together than one by one.
FEW = 20


class Own(NamedTuple):
    """What each row says for itself, as columns of a group."""

    request_id: Sequence[str]
    created_ns: Sequence[int]
    upstream_request_id: Sequence[str]
    input_tokens: Sequence[int]
    cache_read_tokens: Sequence[int]
    output_tokens: Sequence[int]
    reasoning_tokens: Sequence[int]
    tokens_saved: Sequence[int]
    cost_pusd: Sequence[int]
    saved_pusd: Sequence[int]
    latency_ms: Sequence[int]
    first_byte_ms: Sequence[int]
    overhead_us: Sequence[int]
    tags: Sequence[str]
    session: Sequence[str]
    cache_entry: Sequence[str]
    prompt_saved_pusd: Sequence[int]


SHARED = tuple(name for name in COLUMNS if name not in Own._fields)
_own = itemgetter(*map(COLUMNS.index, Own._fields))
_shared = itemgetter(*map(COLUMNS.index, SHARED))


class Alike(NamedTuple):
    """Rows of one span of time that are alike in SHARED."""

    # What all have in common, by the names of a row; the rest is that of one of them.
    common: UsageRow
    # Which span it is, counted from the epoch.
    span: int
    # The values of SHARED, and those of Own row by row.
    shared: tuple[Any, ...]
    rows: Sequence[tuple[Any, ...]]
    own: Own

    def read(self) -> list[UsageRow]:
        """The rows themselves."""
        names = Own._fields
        return [msgspec.structs.replace(self.common, **dict(zip(names, row, strict=True))) for row in self.rows]


class Batch(NamedTuple):
    """Rows, each of them either among those alike or by itself."""

    alike: Sequence[Alike]
    others: Sequence[UsageRow]


def gather(rows: Sequence[UsageRow], span_ns: int) -> Batch:
    """Put together what is alike within spans of so many ns."""
    kinds: dict[tuple[Any, ...], list[UsageRow]] = {}
    others: list[UsageRow] = []
    # To see that a row is of the kind of the one before takes half as long as to look its kind up.
    last: tuple[Any, ...] = ()
    members: list[UsageRow] = []
    for row in rows:
        kind = (row.created_ns // span_ns, _shared(astuple(row)))
        if kind != last:
            last, members = kind, kinds.setdefault(kind, [])
        members.append(row)
    alike: list[Alike] = []
    for (span, shared), members in kinds.items():
        if len(members) < FEW:
            others += members
        else:
            own = list(map(_own, map(astuple, members)))
            alike.append(Alike(members[0], span, shared, own, Own(*zip(*own, strict=True))))
    return Batch(alike, others)
