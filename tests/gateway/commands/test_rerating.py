"""``watchllm ledger rerate``: who owes what, told or booked."""

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.budgets import rerating
from gateway.budgets.spending import Spending
from gateway.cli import main
from gateway.db import Database
from gateway.ledger import store
from tests.gateway.usage_rows import PROJECT_ID, make_row

CONFIG = '[[prices]]\nprovider = "openai"\nmodel = "gpt-4-0613"\neffective_from = "2020-01-01"\ninput = "2"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data directory with two calls of 150 tokens, one in doubt, and a configuration with a price."""

    async def run() -> None:
        database = await Database.open(None, tmp_path)
        async with database.write() as connection:
            insert = "INSERT INTO projects (project_id, account_id, name, created_ns) VALUES (:p, 'acct_1', 'shop', 0)"
            await connection.execute(text(insert), {"p": PROJECT_ID})
            rows = [
                make_row(cost_pusd=1, cost_basis="unpriced"),
                make_row(status="in_doubt"),
                make_row(project_id="x", key_id="k"),
            ]
            await Spending(database).take_stored(connection, await store.insert_rows(connection, rows))
        await database.close()

    asyncio.run(run())
    (tmp_path / "watchllm.toml").write_text(CONFIG)
    return tmp_path


def rerate(folder: Path, *options: str) -> int:
    """Run the command from the year of the rows on."""
    sources = ["--data-dir", str(folder), "--config", str(folder / "watchllm.toml")]
    return main(["ledger", "rerate", "--from", "2026-01-01", "--to", "2026-12-31", *sources, *options])


def test_told_then_booked_then_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table names account and project; what was booked is owed no more."""
    for options, end in ((["--dry-run"], "nothing was booked (--dry-run)"), ([], "booked")):
        assert rerate(folder, *options) == 0
        printed = capsys.readouterr()
        booked = "" if options else " (booked)"
        assert sorted(printed.err.splitlines()) == [
            f"acct_1, project shop, owes 0.000299999999 USD for 1 call{booked}",
            f"the operator, project x, is owed 0.0042 USD for 1 call{booked}",
        ]
        assert printed.out.splitlines() == [
            "ACCOUNT  PROJECT ID                       PROJECT  CALLS         OLD USD  NEW USD       DELTA USD",
            "-        x                                -            1          0.0045   0.0003         -0.0042",
            f"acct_1   {PROJECT_ID}  shop         1  0.000000000001   0.0003  0.000299999999",
            "2 of 3 calls differ by -0.003900000001 USD; 0 have no price, and no price changes 1",
            end,
        ]
    for options in ([], ["--dry-run"]):
        assert rerate(folder, *options) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "nothing to book"
    assert rerate(folder, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        **{"booked": False, "rows": 3, "final": 1, "unpriced": 0, "calls": 0, "delta_usd": "0"},
        "projects": [],
    }
    assert main(["ledger", "verify", "--data-dir", str(folder)]) == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--from", "2026-13-01"], "argument --from: '2026-13-01' is no date or time: write 2024-12-12"),
        (["--from", "2026-01-01", "--to", "soon"], "argument --to: 'soon' is no date or time"),
        ([], "--from"),
    ],
)
def test_dates_that_are_none(capsys: pytest.CaptureFixture[str], given: list[str], told: str) -> None:
    """Named with the option."""
    with pytest.raises(SystemExit) as ended:
        main(["ledger", "rerate", *given])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--from", "2026-05-02", "--to", "2026-05-01"], "--from is 2026-05-02T00:00:00Z, which is not before --to"),
        (["--from", "2200-01-01"], "--from is 2200-01-01T00:00:00Z, which is not before now"),
    ],
)
def test_a_period_that_is_none(capsys: pytest.CaptureFixture[str], given: list[str], told: str) -> None:
    """Nothing lies between."""
    assert main(["ledger", "rerate", *given]) == 2
    assert told in capsys.readouterr().err


def test_a_stop_is_told(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a line, with the exit code of SIGINT."""

    async def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rerating, "_book", stop)
    assert rerate(folder) == 130
    assert "running it again goes on" in capsys.readouterr().err
