"""What the semantic layer asks of a chat request: the text of its last turn, and everything else as a partition.

Whatever is not plainly one text of a user after an exact history is no question: the exact layer alone answers it.
"""

import re
from typing import Any

import msgspec

# The embedder reads 256 word pieces and the guards 2,048 characters: of what is longer only a part would be compared.
MAX_CHARACTERS = 2_048
# No encoder writes ASCII letters so: it can only be meant to hide a name.
_ESCAPED_ASCII = re.compile(rb"\\u00[4-7]")
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MESSAGES = msgspec.json.Decoder(list[msgspec.Raw])
_name = msgspec.json.Encoder().encode


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str | list[Any]


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    text: str


_TURN = msgspec.json.Decoder(_Turn)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question and where it may be compared."""

    # Whose traffic it is: what is learnt belongs to it.
    scope: str
    # All of the request's exact key but the text of the last turn.
    partition: bytes
    text: str


class Limits(msgspec.Struct, frozen=True):
    """What makes a request no question."""

    max_temperature: float
    # Requests that offer tools are questions too.
    tools: bool


def split(body: bytes, limits: Limits) -> tuple[str, bytes] | None:
    """The text of a chat body's last turn, and the body without it; None where it is no question.

    ``body`` has each of its members once (cache.exact.keys tells).
    """
    members = _MEMBERS.decode(body)
    messages = members.get("messages")
    if messages is None or not _is_eligible(members, limits):
        return None
    turns = _MESSAGES.decode(messages)
    read = _read_turn(bytes(turns[-1])) if turns else None
    if read is None or not read[0].strip() or len(read[0]) > MAX_CHARACTERS:
        return None
    text, kind = read
    # A bare string stands where only objects may, so no other history reads the same.
    history = b",".join([*map(bytes, turns[:-1]), kind])
    rest = {name: bytes(value) for name, value in members.items()} | {"messages": b"[%b]" % history}
    return text, b"{%b}" % b",".join([b"%b:%b" % (_name(name), value) for name, value in rest.items()])


def _is_eligible(members: dict[str, msgspec.Raw], limits: Limits) -> bool:
    given = {name: bytes(value) for name, value in members.items() if name in ("temperature", "tools", "n")}
    if given.get("n", b"1") not in (b"1", b"null"):
        return False
    temperature = given.get("temperature", b"null")
    if temperature != b"null" and float(temperature) > limits.max_temperature:
        return False
    return limits.tools or given.get("tools", b"null") in (b"null", b"[]")


def _read_turn(turn: bytes) -> tuple[str, bytes] | None:
    """The text of a user's message that has nothing else, and how it was written."""
    if turn.count(b'"content"') != 1 or turn.count(b'"role"') != 1 or _ESCAPED_ASCII.search(turn):
        return None
    try:
        read = _TURN.decode(turn)
        if read.role != "user":
            return None
        if isinstance(read.content, str):
            return read.content, b'"text"'
        parts = [msgspec.convert(part, _Part) for part in read.content]
    except msgspec.ValidationError:
        return None
    return (parts[0].text, b'"part"') if len(parts) == 1 and parts[0].type == "text" else None
