"""Turns plain TOML values into the settings' Structs, collecting every problem under its key's full path.

Failure behavior: nothing raises for a bad value; each becomes one line in ``Source.problems``, which never shows
the value of a secret.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeGuard, TypeVar, get_args, get_origin

import msgspec
from msgspec import inspect

from gateway.config.secret import Secret

_S = TypeVar("_S", bound=msgspec.Struct)
_MAX_SECRET_BYTES = 65_536
# The last part of a setting's name tells its unit.
_UNITS = {"ms": " of milliseconds", "s": " of seconds", "bytes": " of bytes"}


class Source(msgspec.Struct, kw_only=True):
    """Where values come from, and what was wrong with them."""

    environ: Mapping[str, str]
    # Relative paths of secrets start here.
    folder: Path
    # Key paths that the environment or the command line set, and the name to show for them.
    shown_as: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    problems: list[str] = msgspec.field(default_factory=list[str])

    def reject(self, path: str, why: str) -> None:
        """Note one problem."""
        self.problems.append(f"{self.shown_as.get(path, path)}: {why}")


class _Unusable(Exception):
    """One value cannot be used; the text says why."""


def read_struct(cls: type[_S], table: object, path: str, source: Source) -> _S | None:
    """Read one table; None when something in it was wrong, which is then in ``source.problems``."""
    if not is_table(table):
        source.reject(path, f"{_show(table)} is not a table")
        return None
    known = {field.name: field for field in msgspec.structs.fields(cls)}
    before = len(source.problems)
    for key in table:
        if key not in known:
            source.reject(_join(path, key), f"unknown key{suggest(key, known)}")
    values: dict[str, object] = {}
    for name, field in known.items():
        if name in table:
            values[name] = read_value(field.type, table[name], _join(path, name), source)
        elif field.required:
            source.reject(_join(path, name), "is missing")
    return cls(**values) if len(source.problems) == before else None


def read_value(kind: Any, value: object, path: str, source: Source) -> object:
    """Read one value of any type that a setting has; None when it was wrong."""
    bare = _strip(kind)
    if _is_struct(bare):
        return read_struct(bare, value, path, source)
    if get_origin(bare) is tuple and _is_struct(item := get_args(bare)[0]):
        return _read_structs(item, value, path, source)
    if get_origin(bare) is dict:
        return _read_secrets(value, path, source)
    try:
        return _read_leaf(kind, value, path, source)
    except _Unusable as problem:
        source.reject(path, str(problem))
        return None


def _read_leaf(kind: Any, value: object, path: str, source: Source) -> object:
    bare = _strip(kind)
    if bare is Secret:
        return _resolve(value, source)
    if get_origin(bare) is tuple and get_args(bare)[0] is Secret:
        return _resolve_list(value, source, is_text=path in source.shown_as)
    if bare is Path:
        return Path(_convert(str, value, "", lax=False))
    return _convert(kind, value, path.rpartition("_")[2], lax=path in source.shown_as)


def is_table(value: object) -> TypeGuard[dict[str, object]]:
    """Tell whether a TOML value is a table; its keys are strings then."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Tell whether a TOML value is an array."""
    return isinstance(value, list)


def suggest(word: str, known: Iterable[str]) -> str:
    """Say what was probably meant, as the end of a sentence; empty when nothing is close."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _is_struct(kind: Any) -> TypeGuard[type[msgspec.Struct]]:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _read_structs(item: type[_S], value: object, path: str, source: Source) -> tuple[_S, ...]:
    if not is_list(value) or not value:
        source.reject(path, f"{_show(value)} is not a list of tables with at least one entry")
        return ()
    read = [read_struct(item, table, f"{path}[{n}]", source) for n, table in enumerate(value)]
    return tuple(struct for struct in read if struct is not None)


def _read_secrets(value: object, path: str, source: Source) -> dict[str, Secret]:
    if not is_table(value):
        source.reject(path, "is not a table of strings")
        return {}
    secrets: dict[str, Secret] = {}
    for name, text in value.items():
        try:
            secrets[name] = _resolve(text, source)
        except _Unusable as problem:
            source.reject(f"{path}.{name}", str(problem))
    return secrets


def _resolve(value: object, source: Source) -> Secret:
    """Follow ``env:NAME`` and ``file:PATH``; anything else is the secret itself."""
    if not isinstance(value, str):
        raise _Unusable("is not a string (env:NAME, file:PATH or a literal)")
    where, colon, rest = value.partition(":")
    text = _SECRET_SOURCES[where](rest, source) if colon and where in _SECRET_SOURCES else value
    if not (text.isascii() and text.isprintable()):
        raise _Unusable("holds characters other than printable ASCII")
    return Secret(text)


def _resolve_list(value: object, source: Source, *, is_text: bool) -> tuple[Secret, ...]:
    """Follow each of several secrets; ``is_text``: they come from the environment, parted by commas."""
    if is_text and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not is_list(value):
        raise _Unusable("is not a list of strings")
    return tuple(_resolve(item, source) for item in value)


def _from_environment(name: str, source: Source) -> str:
    if not source.environ.get(name):
        raise _Unusable(f"the environment variable {name!r} is not set")
    return source.environ[name]


def _from_file(name: str, source: Source) -> str:
    path = source.folder / Path(name).expanduser()
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SECRET_BYTES + 1)
        if len(data) > _MAX_SECRET_BYTES:
            raise _Unusable(f"the file {str(path)!r} is larger than {_MAX_SECRET_BYTES} bytes")
        text = data.decode().strip()
    except OSError as error:
        raise _Unusable(f"the file {str(path)!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _Unusable(f"the file {str(path)!r} is not text") from None
    if not text:
        raise _Unusable(f"the file {str(path)!r} is empty")
    return text


_SECRET_SOURCES: dict[str, Callable[[str, Source], str]] = {"env": _from_environment, "file": _from_file}


def _convert(kind: Any, value: object, suffix: str, *, lax: bool) -> Any:
    try:
        return msgspec.convert(value, kind, strict=not lax)
    except msgspec.ValidationError:
        raise _Unusable(f"{_show(value)} is not {describe(kind, value, suffix)}") from None


def describe(kind: Any, value: object = None, suffix: str = "") -> str:
    """Say in words what a type accepts; ``suffix`` is the unit in the setting's name."""
    bare = _strip(kind)
    if get_origin(bare) is Literal:
        words = get_args(bare)
        return f"one of {', '.join(map(repr, words))}{suggest(str(value), words)}"
    info = inspect.type_info(_strip(kind, keep_bounds=True))
    if isinstance(info, inspect.Metadata):
        info = info.type
    return _WORDS.get(type(info), _of_other)(info, value, suffix)


def _of_integer(info: Any, value: object, suffix: str) -> str:
    # The environment's numbers are texts.
    is_integer = type(value) is int or (isinstance(value, str) and value.removeprefix("-").isdecimal())
    bounds = f" from {info.ge} to {info.le}" if is_integer else ""
    return f"an integer{_UNITS.get(suffix, '')}{bounds}"


def _of_number(info: Any, _value: object, _suffix: str) -> str:
    if info.ge is not None:
        return f"a number from {info.ge} to {info.le}"
    return f"a number above {info.gt} and below {info.lt}"


def _of_string(info: Any, value: object, _suffix: str) -> str:
    if info.pattern and value is None:
        return "a decimal string"
    if info.pattern:
        return 'a decimal in quotes such as "2.50", with no more than six decimals (per_request: twelve)'
    return "a non-empty string" if value == "" else "a string"


def _of_other(info: Any, _value: object, _suffix: str) -> str:
    return _PLAIN_WORDS[type(info)]


_WORDS: dict[type, Callable[[Any, object, str], str]] = {
    inspect.IntType: _of_integer,
    inspect.StrType: _of_string,
    inspect.FloatType: _of_number,
}
_PLAIN_WORDS: dict[type, str] = {
    inspect.BoolType: "true or false",
    inspect.DateType: "a date such as 2024-01-31",
    inspect.VarTupleType: "a list of strings",
}


def _strip(kind: Any, *, keep_bounds: bool = False) -> Any:
    """Take ``| None`` and, unless the bounds are wanted, the annotations away: TOML has no null."""
    while True:
        args = get_args(kind)
        optional = [arg for arg in args if arg is not type(None)]
        if len(optional) == 1 and len(args) == 2:  # noqa: PLR2004 - X | None
            kind = optional[0]
        elif hasattr(kind, "__metadata__") and (not keep_bounds or type(None) in get_args(args[0])):
            kind = args[0]
        else:
            return kind


def _show(value: object) -> str:
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."  # noqa: PLR2004 - one line of a terminal


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
