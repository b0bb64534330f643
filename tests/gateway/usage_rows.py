"""Usage rows for tests: ordinary ones, and any that a caller could cause."""

import random
from typing import Any

import msgspec
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.db import Database
from gateway.ids import new_id
from gateway.ledger.row import UsageRow

PROJECT_ID = "proj_01m807j9z9fzctrfnvyefwebwa"
NOW_NS = 1_790_000_000_123_456_789
_ANY: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    # No reader of a provider's usage gives more; amounts may be anything that the database holds.
    int: st.integers(min_value=0, max_value=2**53 - 1),
    bool: st.booleans(),
}
# So many values of a type.
_DEALT = 6


async def make_history(database: Database, state: str = "rollup_state") -> None:
    """Have it that no stored row is summed up yet, which a database with sums never comes to by itself.

    Its connections remember that all were; so it opens others.
    """
    async with database.write() as connection:
        await connection.execute(text(f"UPDATE {state} SET rolled_from = NULL"))  # noqa: S608 - constants
    await database.close()


def make_row(created_ns: int = NOW_NS, **fields: Any) -> UsageRow:
    """Make the row of a complete chat; fields given win."""
    usual: dict[str, Any] = {
        "request_id": new_id(created_ns),
        "created_ns": created_ns,
        "project_id": PROJECT_ID,
        "key_id": "key_01m807j9z9fzctrfnvyefwebwb",
        "endpoint": "chat/completions",
        "model": "gpt-4",
        "provider": "openai",
        "upstream_model": "gpt-4-0613",
        "status": "complete",
        "http_status": 200,
        "input_tokens": 100,
        "output_tokens": 50,
        "cost_pusd": 4_500_000_000,
        "cost_basis": "bundled",
        "latency_ms": 2_100,
        "attempts": 1,
    }
    return UsageRow(**{**usual, **fields})


def any_row() -> st.SearchStrategy[UsageRow]:
    """Draw rows whose every field holds anything of its type: a few values, dealt out to the fields of their type.

    A value for each field would take three times as long to draw.
    """
    dealt = {kind: st.lists(values, min_size=_DEALT, max_size=_DEALT) for kind, values in _ANY.items()}
    wide = st.integers(min_value=0, max_value=2**63 - 1)
    return st.builds(_deal, st.fixed_dictionaries(dealt), st.tuples(wide, wide, wide), st.integers(0, 2**62))


def _deal(values: dict[Any, list[Any]], wide: tuple[int, int, int], seed: int) -> UsageRow:
    source = random.Random(seed)  # noqa: S311 - no secret
    fields = {field.name: source.choice(values[field.type]) for field in msgspec.structs.fields(UsageRow)}
    amounts = dict(zip(("cost_pusd", "saved_pusd", "created_ns"), wide, strict=True))
    return UsageRow(**{**fields, **amounts, "request_id": new_id(seed)})
