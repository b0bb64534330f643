"""The programs that run inside Redis, one a file; each is one atomic step."""

import hashlib
from importlib import resources

import msgspec

_FOLDER = "lua"
_MONEY = "money"


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A program, and the name under which Redis keeps it once it has seen it."""

    text: str
    sha: str


class Scripts(msgspec.Struct, frozen=True, kw_only=True):
    """All programs; reserve, settle and adjust begin with the arithmetic of money."""

    take: Script
    give_back: Script
    enter: Script
    leave: Script
    reserve: Script
    settle: Script
    renew: Script
    sweep: Script
    seize: Script
    look: Script
    adjust: Script


def make_script(*texts: str) -> Script:
    """Join texts to one program."""
    text = "".join(texts)
    # What Redis calls it: https://redis.io/docs/latest/commands/evalsha/ (2026-11-22).
    return Script(text=text, sha=hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def read_text(name: str) -> str:
    """Read the text of one file."""
    return resources.files("gateway.counters").joinpath(_FOLDER, f"{name}.lua").read_text(encoding="utf-8")


def load_scripts() -> Scripts:
    """Read all programs."""
    needs_money = {"reserve", "settle", "adjust"}
    scripts = {
        name: make_script(*([read_text(_MONEY)] if name in needs_money else []), read_text(name))
        for name in Scripts.__struct_fields__
    }
    return Scripts(**scripts)
