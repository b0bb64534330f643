"""``watchllm ledger verify``: 0 where every sum is right, 1 with the differences where one is not."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.budgets.spending import Spending
from gateway.cli import main
from gateway.db import Database
from gateway.ledger import store
from tests.gateway.usage_rows import make_row


def spoil(folder: Path, statement: str) -> None:
    """Store a row and run a statement."""

    async def run() -> None:
        database = await Database.open(None, folder)
        async with database.write() as connection:
            rows = await store.insert_rows(connection, [make_row()])
            await Spending(database).take_stored(connection, rows)
            await connection.execute(text(statement))
        await database.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("options", "out"), [([], "every sum is that of its rows\n"), (["--json"], '{"differences":0}\n')]
)
def test_sums_that_are_right(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], out: str) -> None:
    """Said in a line."""
    spoil(tmp_path, "SELECT 1")
    assert main(["ledger", "verify", "--data-dir", str(tmp_path), *options]) == 0
    assert capsys.readouterr().out == out


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_sums_that_are_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    """Each is named with what it should be."""
    spoil(tmp_path, "UPDATE usage_rollups SET requests = 9")
    assert main(["ledger", "verify", "--data-dir", str(tmp_path), *options]) == 1
    told = capsys.readouterr().err
    assert "3 sums differ" in told
    assert ("requests 9 instead of 1" if not options else '"requests":[1,9]') in told


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_budgets_that_are_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    """By scope and window, with what they count and what they should."""
    spoil(tmp_path, "UPDATE spend SET pusd = 9 WHERE scope = 'key'")
    assert main(["ledger", "verify", "--data-dir", str(tmp_path), *options]) == 1
    told = capsys.readouterr().err
    assert "1 sums differ" in told
    assert ("(no budget), day from 2026-09-21T00:00:00Z: 0.000000000009 USD instead of 0.0045 USD" in told) != bool(
        options
    )
    assert ('"scope":"key"' in told and '"rows_pusd":4500000000,"kept_pusd":9' in told) == bool(options)
