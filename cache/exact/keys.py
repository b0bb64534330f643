"""Keys of requests: two requests have one key only where they say the same to the same place for the same owner.

Names of members may come in any order; their values count byte for byte, unknown ones included, so no two requests
that a provider could tell apart share a key.
"""

import json
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

# Of SHA-256, which processors do themselves: among a billion entries two share a key once in 10^20 times.
KEY_BYTES = 16
# Clients write the same few sets of names again and again; whoever invents others is not remembered for ever.
MAX_FORMS = 1_024
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
# How Python's json writes a member and what stands between two.
_SPACED, _SPACE = b'"%b": %b', b", "


class _Form(NamedTuple):
    """The names of a body's members, in the order that they came in."""

    # Those that count, in the order of the alphabet, and their bytes.
    counted: tuple[str, ...]
    head: bytes
    # What all names take with their quotes and colons, the commas between members and the braces.
    size: int


class KeyMaker:
    """Makes the keys of one kind of request; ``ignored`` are the names that change nothing of an answer."""

    def __init__(self, ignored: frozenset[str] = frozenset()) -> None:
        self._ignored = ignored
        self._forms: dict[tuple[str, ...], _Form] = {}

    def make(self, place: bytes, body: bytes) -> bytes | None:
        """The key of a JSON object at a place; None where a name stands twice in it, since either may count."""
        members = _decode(body)
        names = tuple(members)
        form = self._forms.get(names) or self._learn(names)
        values = list(members.values())
        # Exactly as long as its members: nothing else stands there, be it a blank or a member of a name told before.
        if form.size + sum(map(len, values)) != len(body) and not _has_each_once(body, members):
            return None
        said = b",".join(map(members.__getitem__, form.counted))
        return sha256(b"".join((place, form.head, said))).digest()[:KEY_BYTES]

    def _learn(self, names: tuple[str, ...]) -> _Form:
        counted = tuple(sorted(name for name in names if name not in self._ignored))
        size = sum(len(name.encode()) + 3 for name in names) + max(0, len(names) - 1) + 2
        form = _Form(counted, make_place(*counted), size)
        if len(self._forms) < MAX_FORMS:
            self._forms[names] = form
        return form


def make_place(*parts: str) -> bytes:
    """Texts as bytes that no other texts have: those before a key's members, such as owner, endpoint and target."""
    written = [part.encode() for part in parts]
    return b"%b;%b" % (b"".join([b"%d," % len(part) for part in written]), b"".join(written))


def _has_each_once(body: bytes, members: dict[str, msgspec.Raw]) -> bool:
    """Whether no name of the outer object stands twice."""
    if body[1:-1] == _SPACE.join([_SPACED % (name.encode(), value) for name, value in members.items()]):
        return True
    count = 0

    def note(pairs: list[tuple[str, Any]]) -> None:
        # The outermost object is whole last.
        nonlocal count
        count = len(pairs)

    json.loads(body, object_pairs_hook=note)
    return count == len(members)
