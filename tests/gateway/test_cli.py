"""Proves the command line: what it prints, what it refuses, and with which exit code."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from gateway import cli
from gateway.cli import build_parser, main
from gateway.counters.occupancy import occupy

ROOT = Path(__file__).parents[2]
LITELLM = ROOT / "tests" / "golden" / "litellm"
NAMES = (
    "DATABASE_URL",
    "REDIS_URL",
    "PORT",
    "LOG_LEVEL",
    "WATCHLLM_CONFIG",
    "WATCHLLM_DATA_DIR",
    "WATCHLLM_MASTER_KEY",
    "WATCHLLM_PREVIOUS_MASTER_KEYS",
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on where it runs."""
    for name in (*NAMES, "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(arguments)
    except SystemExit as error:
        code = int(error.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["srve"], "invalid choice: 'srve'"),
        (["keys", "create"], "the following arguments are required: --project"),
        (["keys", "create", "--project", ""], "1 to 128 printable characters"),
        (["keys", "create", "--project", "a", "--name", "a\nb"], "'a\\nb' is not 1 to 128 printable characters"),
        (["keys", "create", "--project", "a", "--expires-in", "5y"], "'5y' is not a duration such as 90s"),
        (["keys", "create", "--project", "a", "--allowed-models", ","], "name at least one"),
        (["keys", "create", "--project", "a", "--issuer", "ak"], "invalid choice: 'ak'"),
        (["credentials", "set"], "the following arguments are required: PROVIDER"),
        (["vault"], "the following arguments are required: VERB"),
        (["vault", "rotat"], "invalid choice: 'rotat'"),
        (["serve", "--port", "http"], "invalid int value: 'http'"),
        (["serve", "--port", "70000"], "--port: 70000 is not an integer from 0 to 65535"),
        (["serve", "--workers", "2"], "--workers: 2 processes need REDIS_URL and a PostgreSQL DATABASE_URL"),
        (["check", "--config", "/nonexistent.toml"], "the file '/nonexistent.toml' cannot be read"),
        (["import", "litellm", "/nonexistent.yaml"], "/nonexistent.yaml: cannot be read: No such file"),
        (["import", "litellm", str(LITELLM / "config.toml")], "config.toml: is not"),
    ],
)
def test_a_wrong_command_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    """Exit code 2, one line on stderr, nothing on stdout, no traceback."""
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("watchllm")
    assert why in err


def test_check_tells_every_problem_on_its_own_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names each key's full path."""
    (tmp_path / "c.toml").write_text("[providers.openai]\nbase_ur = 1\n[timeouts]\nconnect_ms = '5s'\n")
    code, _, err = run(capsys, "check", "--config", str(tmp_path / "c.toml"))
    assert code == 2
    assert err.splitlines() == [
        "watchllm: providers.openai.base_ur: unknown key; did you mean 'base_url'?",
        "watchllm: providers.openai.api_key: the environment variable 'OPENAI_API_KEY' is not set",
        "watchllm: timeouts.connect_ms: '5s' is not an integer of milliseconds",
    ]


def test_check_says_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    """A good configuration is one line and exit code 0."""
    assert run(capsys, "check")[:2] == (0, "ok: providers local, sandbox; 0 of your own models, 0 of your own prices\n")


def test_import_prints_toml_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """The output can go straight into a file."""
    code, out, err = run(capsys, "import", "litellm", str(LITELLM / "config.yaml"))
    assert (code, out, err) == (0, (LITELLM / "config.toml").read_text(), "")


def test_what_is_imported_passes_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two commands agree."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY", "AZURE_KEY"):
        monkeypatch.setenv(name, "k")
    path = tmp_path / "c.toml"
    path.write_text(run(capsys, "import", "litellm", str(LITELLM / "config.yaml"))[1])
    assert run(capsys, "check", "--config", str(path))[0] == 0


def test_keys_create_prints_the_key_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``KEY=$(watchllm keys create --project a)`` works."""
    code, out, err = run(capsys, "keys", "create", "--project", "a", "--data-dir", str(tmp_path / "new" / "folder"))
    assert (code, err, len(out)) == (0, "", 59)
    assert out.startswith("lgw_proj_")


def test_keys_create_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """interface.md: ``{"key", "key_id", "project_id"}``."""
    code, out, _ = run(capsys, "keys", "create", "--project", "a", "--test", "--json", "--data-dir", str(tmp_path))
    made = json.loads(out)
    assert code == 0
    assert [made["key"][:9], made["key_id"][:4], made["project_id"][:5]] == ["lgw_test_", "key_", "proj_"]
    assert len(made) == 3


def settle(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    """Have an installation in this folder."""
    assert run(capsys, "keys", "create", "--project", "p", "--data-dir", str(data_dir))[0] == 0


def test_keys_need_no_provider_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shell in which keys are made need not have the server's secrets."""
    (tmp_path / "c.toml").write_text(f'data_dir = "{tmp_path}"\n[providers.openai]\n')
    settle(capsys, tmp_path)
    assert run(capsys, "keys", "list", "--config", str(tmp_path / "c.toml"))[0] == 0


def test_a_data_directory_that_refuses_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1: the command was right, the place is not."""
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, "keys", "list", "--data-dir", str(tmp_path / "file"))
    assert (code, err.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    "command",
    ["keys list", "keys revoke key_x", "accounts list", "vault status", "credentials list", "ledger verify"],
)
def test_a_data_directory_that_was_mistyped_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """By whatever looks for something in it; nothing is made there."""
    code, out, err = run(capsys, *command.split(), "--data-dir", str(tmp_path / "dta"))
    assert (code, out, err.count("\n"), (tmp_path / "dta").exists()) == (1, "", 1, False)
    assert f"there is no database '{tmp_path}/dta/watchllm.db'" in err


def test_a_second_gateway_on_a_data_directory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each would count limits and budgets by itself; a command works beside the one that runs."""
    settle(capsys, tmp_path)
    with occupy(tmp_path, counts_alone=True):
        code, _, err = run(capsys, "serve", "--port", "0", "--data-dir", str(tmp_path))
        assert (code, err.count("\n")) == (1, 1)
        assert f"another gateway serves from {tmp_path}" in err
        assert run(capsys, "keys", "list", "--data-dir", str(tmp_path))[0] == 0


def test_an_unknown_key_cannot_be_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error is not taken for a success."""
    settle(capsys, tmp_path)
    code, _, err = run(capsys, "keys", "revoke", "key_x", "--data-dir", str(tmp_path))
    assert (code, err) == (1, "watchllm: there is no key 'key_x'; see watchllm keys list\n")


def test_the_vault_is_told_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document on stdout and nothing else."""
    settle(capsys, tmp_path)
    for verb, total in (("status", "credentials"), ("rotate", "rewrapped")):
        code, out, err = run(capsys, "vault", verb, "--json", "--data-dir", str(tmp_path))
        assert (code, err, json.loads(out)[total]) == (0, "", 0)


def test_a_previous_key_that_is_none_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable's name, without its value."""
    monkeypatch.setenv("WATCHLLM_PREVIOUS_MASTER_KEYS", "c2hvcnQ=")
    code, out, err = run(capsys, "vault", "status", "--data-dir", str(tmp_path))
    assert (code, out) == (2, "")
    assert err == "watchllm: WATCHLLM_PREVIOUS_MASTER_KEYS: key 1 is not 32 bytes in base64\n"


def test_a_vault_without_its_key_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and no traceback."""
    settle(capsys, tmp_path)
    (tmp_path / "master.key").write_text("x")
    code, out, err = run(capsys, "vault", "rotate", "--data-dir", str(tmp_path))
    assert (code, out, err.count("\n")) == (1, "", 1)


def test_a_file_is_no_data_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is in the way is told in words."""
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "data"):
        code, _, err = run(capsys, "serve", "--port", "0", "--data-dir", str(place))
        assert (code, err) == (1, f"watchllm: data_dir is {str(place)!r}, where a file is; name a folder\n")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Of what is installed."""
    code, out, _ = run(capsys, "--version")
    assert (code, out) == (0, f"watchllm {version('watchllm-gateway')}\n")


def test_every_command_has_help() -> None:
    """Nobody guesses what a command is for."""
    assert all(word in build_parser().format_help() for word in ("serve", "keys", "vault", "check", "import"))


def test_options_reach_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each option of serve is a setting, and wins."""
    monkeypatch.setenv("PORT", "1")
    arguments = build_parser().parse_args(["serve", "--host", "h", "--port", "2", "--data-dir", str(tmp_path)])
    settings = cli._load(arguments, dict(os.environ))
    assert (settings.server.host, settings.server.port, settings.data_dir) == ("h", 2, tmp_path)


def test_light_commands_do_not_load_the_gateway() -> None:
    """``check`` runs in every deployment script: no framework, no database, no model."""
    code = (
        "import sys, gateway.cli; print(sorted({'litestar', 'sqlalchemy', 'onnxruntime', 'faiss'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout == "[]\n"


def test_the_package_runs_as_the_command() -> None:
    """``python -m gateway`` is ``watchllm``."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "nope"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
