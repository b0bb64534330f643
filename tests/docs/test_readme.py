"""README is run: its commands in a real shell against a real gateway, its files through the parsers that read them."""

import contextlib
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from docs.blocks import Block, Step, read_blocks, read_steps
from docs.comparing import find_ids, mask, matches
from docs.stand_in import openai_stand_in
from docs.tables import TABLES, name_places, refresh
from docs.tour import Tour

from gateway.cli import build_parser
from gateway.config.loading import load_settings
from gateway.envelope import Envelope

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = read_blocks(README)
# A file that the page tells the user to write names itself in its first line.
FILE_NAME = re.compile(r"# (\S+\.toml)\n")
CLI = build_parser()


class Printed(msgspec.Struct, frozen=True):
    """What a step of the page printed."""

    step: Step
    printed: str


def blocks_of(language: str) -> list[Any]:
    """The blocks of a language as test parameters named by their lines."""
    return [pytest.param(block, id=f"line-{block.line}") for block in BLOCKS if block.language == language]


def text_after(block: Block) -> str:
    """The output that the page shows right below a program."""
    following = BLOCKS[BLOCKS.index(block) + 1]
    assert following.language == "text", f"line {block.line}: a program is followed by what it prints"
    return following.text


def run_block(tour: Tour, block: Block) -> list[Printed]:
    """Do what a reader does with a block."""
    if block.language == "console":
        return [Printed(step, printed) for step, printed in tour.run(block)]
    if block.language == "python":
        step = Step("python", text_after(block))
        return [Printed(step, tour.run_python(block.text, step.shown))]
    if block.language == "toml" and (name := FILE_NAME.match(block.text)):
        tour.write_file(name[1], block.text)
    return []


@pytest.mark.long
@pytest.mark.timeout(300)
def test_what_is_shown_is_what_is_printed(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """A reader who types the page, from top to bottom, sees it."""
    with openai_stand_in() as url, contextlib.closing(Tour(tmp_path, url)) as tour:
        for block in BLOCKS:
            for done in run_block(tour, block):
                with subtests.test(line=block.line):
                    assert matches(done.step.shown, done.printed), (
                        f"$ {done.step.command}\nprinted:\n{done.printed}\nREADME:\n{done.step.shown}"
                    )


@pytest.mark.parametrize("block", blocks_of("toml"))
def test_a_configuration_is_valid(block: Block, tmp_path: Path) -> None:
    """What is copied from the page is accepted."""
    path = tmp_path / "watchllm.toml"
    path.write_text(block.text, encoding="utf-8")
    environ = dict.fromkeys(re.findall(r"env:(\w+)", block.text), "secret")
    settings = load_settings(path, environ)
    assert tomllib.loads(block.text).keys() & {"providers", "models", "prices"}
    assert settings.providers


@pytest.mark.parametrize("block", blocks_of("bash"))
def test_a_command_exists(block: Block) -> None:
    """Every make target is there, and the command line takes every line."""
    for line in block.text.splitlines():
        program, *words = shlex.split(line, comments=True)
        if program == "make":
            assert re.search(rf"^{re.escape(words[0])}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        else:
            assert program == "watchllm"
            assert CLI.parse_args(words).run


@pytest.mark.parametrize("block", blocks_of("json"))
def test_an_error_has_the_envelopes_members(block: Block) -> None:
    """The documented shape is the one that is sent."""
    shown = msgspec.json.decode(block.text.encode(), type=Envelope, strict=True)
    assert json.loads(msgspec.json.encode(shown)) == json.loads(block.text)


def test_every_block_is_checked() -> None:
    """A language that no test knows would be text that nobody checks."""
    assert {block.language for block in BLOCKS} <= {"console", "bash", "python", "toml", "json", "text"}


def test_the_tables_are_the_codes() -> None:
    """``python -m tests.docs.tables`` writes them anew."""
    assert sorted(name_places(README)) == sorted(TABLES)
    assert refresh(README) == README


def test_the_works_table_names_the_rows_that_are_proven() -> None:
    """What the page claims is what tests/rows.toml has as this version's rows, each once."""
    table = README.split("| what works | rows |")[1].split("\n\n")[0]
    claimed: list[str] = []
    for line in table.splitlines()[2:]:
        for document, first, last in re.findall(r"\b([A-Z])(\d+)(?:–[A-Z](\d+))?", line.split("|")[-2]):
            claimed += [f"{document}{number}" for number in range(int(first), int(last or first) + 1)]
    sections = tomllib.loads((ROOT / "tests/rows.toml").read_text("utf-8"))
    promised = [
        row
        for name, section in sections.items()
        if name != "documents"
        for row, fields in section.items()
        if fields["tests"]
    ]
    assert sorted(claimed) == sorted(promised)


def test_the_house_names_every_folder() -> None:
    """Each package has its line."""
    packages = {
        f"{path.parent.relative_to(ROOT)}/"
        for package in ("gateway", "providers", "cache")
        for path in (ROOT / package).rglob("__init__.py")
    }
    section = README.split("\n## The house\n")[1].split("\n## ")[0]
    assert packages - set(re.findall(r"`([a-z/]+/)`", section)) == set()


def test_links_inside_lead_to_headings() -> None:
    """GitHub makes an anchor of a heading by lower case and hyphens."""
    anchors = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) - anchors == set()


def test_a_command_goes_on_after_a_backslash() -> None:
    """Everything up to the next command is what it prints."""
    assert read_steps("$ a \\\n  -b\nout\nmore\n$ c\n") == [Step("a \\\n  -b", "out\nmore\n"), Step("c", "")]


def test_ids_times_and_durations_may_differ() -> None:
    """Two runs of the same page are equal, and nothing else is."""
    shown = f'{{"id":"proj_{"0" * 26}","latency_ms":12}}\n…\nx-watchllm-request-id: {"a" * 26}\n'
    printed = f'{{"id":"proj_{"1" * 26}","latency_ms":9}}\r\none\r\ntwo\r\nx-watchllm-request-id: {"b" * 26}\r\n'
    assert matches(shown, printed)
    assert not matches(shown, printed.replace("proj", "key"))
    assert mask("2026-11-22T00:21:27Z,m,16,0.1,false,52\n") == "TIME,m,16,0.1,false,*"


def test_ellipses_stand_for_what_was_cut() -> None:
    """Inside a line for any characters, alone on a line for any lines."""
    assert matches("a…z\n…\nend", "abcz\n1\n2\nend")
    assert not matches("a…z", "a\nz")


def test_ids_are_found_in_order() -> None:
    """So that the page's are paired with the run's."""
    key, project = f"lgw_test_{'a' * 49}", f"proj_{'0' * 26}"
    assert find_ids(f"{project} {key} {project}") == [project, key]
