"""``watchllm demo``: how to sign in is printed; what cannot be is said in a line."""

import json
from pathlib import Path
from typing import Any

import pytest
from households import CHEAP

from gateway.cli import main
from gateway.commands.demo import command


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash the password for next to nothing."""
    run = command.run_demo

    async def run_cheaply(settings: Any, wanted: Any, now_ns: int) -> str:
        return await run(settings, wanted, now_ns, CHEAP)

    monkeypatch.setattr(command, "run_demo", run_cheaply)


def test_the_demo_is_made_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON or in words; the second time it is refused, and the sums are right."""
    place = ["--data-dir", str(tmp_path), "--calls", "20"]
    assert main(["demo", *place, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["email"], told["calls"], len(told["projects"]), told["key"][:9]) == (
        "demo@example.com", 20, 3, "lgw_proj_",
    )  # fmt: skip
    assert len(told["password"]) >= 16
    assert main(["demo", *place]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["demo", *place, "--yes", "--email", "b@example.com", "--password", "correct horse"]) == 0
    assert "sign in as b@example.com with the password correct horse\n" in capsys.readouterr().out
    assert main(["ledger", "verify", "--data-dir", str(tmp_path)]) == 0


@pytest.mark.parametrize("count", ["0", "-1", "5000001", "many", "1e3"])
def test_a_count_is_a_number(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    """From 1 to five million."""
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--calls", count])
    assert ended.value.code == 2
    assert count in capsys.readouterr().err
