"""Schema 6: rows of the version before wait to be summed up, and read as rows without a trail."""

from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.db import Database
from gateway.ledger.rollups import MEASURES, fold_history
from gateway.ledger.sums import Wanted, read_total
from gateway.migrations import apply
from gateway.migrations.ones.v0006_rollups import STATEMENTS

COUNTS = (
    "http_status cache_read_tokens cache_write_tokens cache_write_1h_tokens audio_input_tokens image_input_tokens "
    "audio_output_tokens image_output_tokens reasoning_tokens tokens_saved saved_pusd latency_ms first_byte_ms "
    "overhead_us attempts"
).split()
TEXTS = (
    "provider upstream_model upstream_request_id endpoint status error_code cost_basis price_id service_tier tags "
    "session"
).split()
FLAGS = "is_stream is_cached is_estimated is_anomalous".split()
INSERT = text(
    "INSERT INTO usage (request_id, created_ns, project_id, key_id, model, "  # noqa: S608 - made of constants
    f"input_tokens, output_tokens, cost_pusd, {', '.join((*COUNTS, *TEXTS, *FLAGS))}) "
    "VALUES ('r1', 5, 'p', 'k', 'm', 7, 3, 11, "
    f"{', '.join(['0'] * len(COUNTS) + [repr('')] * len(TEXTS) + ['false'] * len(FLAGS))})"
)


async def test_rows_of_the_version_before_are_history(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in every sum at once, and summed up by the first who does it."""
    before = apply.MIGRATIONS[: apply.MIGRATIONS.index(STATEMENTS)]
    with monkeypatch.context() as patched:
        patched.setattr(apply.migrate, "__defaults__", (before,))
        database = await Database.open(empty_url, tmp_path)
        async with database.write() as connection:
            await connection.execute(INSERT)
        await database.close()
    database = await Database.open(empty_url, tmp_path)
    wanted = Wanted(project_ids=("p",), from_ns=0, to_ns=10**18)
    for _ in range(2):
        async with database.read() as connection:
            sums = await read_total(connection, wanted)
            assert (await connection.execute(text("SELECT trail FROM usage"))).scalar_one() == ""
        assert (sums.requests, sums.tokens, sums.cost_pusd) == (1, 10, 11)
        assert not await fold_history(database)
    await database.close()


async def test_every_measure_has_its_column(database: Database) -> None:
    """A measure that is added needs a migration."""
    async with database.read() as connection:
        await connection.execute(text(f"SELECT {', '.join(MEASURES)} FROM usage_rollups"))  # noqa: S608 - constants
