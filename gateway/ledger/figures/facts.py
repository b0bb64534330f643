"""What a usage row adds to the figures, from the row at hand or from those that are stored.

Failure behavior: raises DatabaseUnavailable as gateway.db does.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.row import AUDIT, UsageRow

SEMANTIC = "semantic"
_TOKENS = (
    "input_tokens + cache_read_tokens + cache_write_tokens + cache_write_1h_tokens + audio_input_tokens "
    "+ image_input_tokens + output_tokens + audio_output_tokens + image_output_tokens"
)


def _corrected(column: str) -> str:
    return (
        f"CAST(COALESCE((SELECT SUM({column}) FROM corrections "  # noqa: S608 - made of constants
        "WHERE corrections.request_id = usage.request_id), 0) AS BIGINT)"
    )


_COST = f"CASE WHEN is_cached THEN 0 ELSE cost_pusd END + {_corrected('delta_pusd')}"
_PROMPT_SAVED = f"prompt_saved_pusd + {_corrected('prompt_saved_delta_pusd')}"
SELECT_FACTS = (
    "SELECT usage.request_id, project_id, usage.created_ns, error_code, is_cached, cache_layer, "  # noqa: S608 - constants
    f"CASE WHEN is_cached THEN 0 ELSE {_TOKENS} END AS tokens, {_COST} AS cost_pusd, saved_pusd, "
    f"{_PROMPT_SAVED} AS prompt_saved_pusd, latency_ms, overhead_us, tags FROM usage"
)
# Rows that were stored before there were figures, from an id on and before another.
_READ_HISTORY = text(
    f"{SELECT_FACTS} WHERE request_id >= :rolled_from AND (CAST(:until AS TEXT) IS NULL OR request_id < :until)"
)
_READ_PERIOD = text(
    f"{SELECT_FACTS} WHERE project_id = :project_id AND created_ns >= :from_ns AND created_ns < :to_ns "
    "AND (usage.created_ns, usage.request_id) > (:after_ns, :after_id) "
    "ORDER BY usage.created_ns, usage.request_id LIMIT :limit"
)
PAGE_ROWS = 20_000


class Fact(NamedTuple):
    """Of a usage row what figures need; see gateway.ledger.row. Of an answer from the cache tokens and cost are 0."""

    request_id: str
    project_id: str
    created_ns: int
    error_code: str
    is_cached: bool
    cache_layer: str
    tokens: int
    # This and what the provider's prompt cache saved are of a stored row with its corrections.
    cost_pusd: int
    saved_pusd: int
    prompt_saved_pusd: int
    latency_ms: int
    overhead_us: int
    tags: str

    @property
    def is_semantic(self) -> bool:
        """Whether the cache found the answer by its meaning; rows of older versions know no layer and are exact."""
        return self.is_cached and self.cache_layer == SEMANTIC

    @property
    def is_audit(self) -> bool:
        """As of the row."""
        return self.cache_layer == AUDIT


def fact_of(row: UsageRow) -> Fact:
    """What a row adds."""
    return Fact(
        row.request_id,
        row.project_id,
        row.created_ns,
        row.error_code,
        row.is_cached,
        row.cache_layer,
        0 if row.is_cached else row.total_tokens,
        0 if row.is_cached else row.cost_pusd,
        row.saved_pusd,
        row.prompt_saved_pusd,
        row.latency_ms,
        row.overhead_us,
        row.tags,
    )


async def read_history(connection: AsyncConnection, rolled_from: str, until: str | None) -> list[Fact]:
    """Read the stored rows from one id on and before another; until None there is no other."""
    found = await connection.execute(_READ_HISTORY, {"rolled_from": rolled_from, "until": until})
    return [Fact(*row) for row in found]


async def read_period(
    connection: AsyncConnection, project_id: str, from_ns: int, to_ns: int, after: Fact | None = None
) -> Sequence[Fact]:
    """Read the next PAGE_ROWS rows of a project's period behind ``after``, oldest first."""
    place: dict[str, Any] = {"after_ns": -1 if after is None else after.created_ns}
    place["after_id"] = "" if after is None else after.request_id
    values = {"project_id": project_id, "from_ns": from_ns, "to_ns": to_ns, "limit": PAGE_ROWS, **place}
    return [Fact(*row) for row in await connection.execute(_READ_PERIOD, values)]
