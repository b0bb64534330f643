"""What may not stand in the sources: loose ends, paths of somebody's machine, hosts in lock files."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUFFIXES = {".py", ".toml", ".md", ".lock", ".c", ".lua", ".conf", ".ts", ".tsx", ".js", ".mjs", ".json", ".sql", ".sh"}
FOLDERS = ("providers", "cache", "gateway", "tests", "bench", ".ci")
LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))

# Written in two parts, so that this file does not find itself.
LOOSE_ENDS = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b|\bfor n" r"ow\b|NotImplemented" r"Error")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:work|root|home|Users|opt)/[\w.]")
SILENT_TESTS = re.compile(r"pytest\.mark\.(?:skip|xf" r"ail)|pytest\.(?:skip|xf" r"ail)\(")


def list_sources() -> list[Path]:
    """List the project's own text files."""
    folders = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    return sorted(
        path.relative_to(ROOT)
        for path in (*folders, *ROOT.iterdir())
        if path.is_file()
        and (path.suffix in SUFFIXES or path.name in {"Makefile", "run"})
        and not {"node_modules", "build", ".venv"} & set(path.parts)
    )


def find_lines(pattern: re.Pattern[str], *, suffixes: set[str] | None = None) -> list[str]:
    """Find the lines that a pattern matches."""
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in list_sources()
        if suffixes is None or path.suffix in suffixes
        for number, line in enumerate((ROOT / path).read_text("utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


def test_nothing_is_left_for_later() -> None:
    """What is in the tree is finished."""
    assert find_lines(LOOSE_ENDS, suffixes=SUFFIXES - {".json", ".lock"}) == []


def test_no_file_knows_whose_machine_it_is_on() -> None:
    """A clone works anywhere."""
    assert find_lines(MACHINE_PATHS) == []


def test_no_test_is_switched_off() -> None:
    """A test runs or is removed."""
    assert find_lines(SILENT_TESTS, suffixes={".py"}) == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_host(name: str) -> None:
    """The index is the user's choice."""
    assert "://" not in (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_its_hashes(name: str) -> None:
    """Nothing is installed that was not seen when the lock was made."""
    requirements = (ROOT / name).read_text("utf-8").replace("\\\n", " ").splitlines()
    assert [line for line in requirements if line and not line.startswith("#") and "--hash=sha256:" not in line] == []


def test_no_lock_carries_torch() -> None:
    """Torch is chosen by machine: a CPU build, or one of several CUDA builds, gigabytes each."""
    assert [
        name for name in LOCKS if re.search(r"^(torch|triton)==", (ROOT / name).read_text("utf-8"), re.MULTILINE)
    ] == []


def test_no_lock_of_an_installer_is_kept() -> None:
    """uv.lock and pylock.toml carry the hosts of the index they were made from."""
    assert [name for name in ("uv.lock", "pylock.toml") if (ROOT / name).exists()] == []
