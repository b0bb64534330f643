"""An embeddings request and its answer, input by input: cut at their own bytes, and put together again.

No number is read: of an answer only what stands around the vectors is, so that one of megabytes is cut as fast as its
memory can be read, and every vector goes on byte for byte as the provider wrote it.

Failure behavior: an answer that does not answer each input once, or is not of OpenAI's shape, is no Cut.
"""

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise

import msgspec

from providers import splice
from providers.openai.reply import BROKEN_JSON
from providers.wire import Call

_INPUT = b'"input"'
_DATA = re.compile(rb'"data"\s*:\s*\[')
_INDEX = re.compile(rb'"index"\s*:\s*([0-9]+)')
_BASE64 = re.compile(rb'"embedding"\s*:\s*"')
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_COUNTS = ("prompt_tokens", "total_tokens")


class Piece(msgspec.Struct, frozen=True):
    """What answers one input: a member of ``data`` as it came, but for the digits of its index."""

    before: bytes
    after: bytes

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.before) + len(self.after)


class Cut(msgspec.Struct, frozen=True):
    """An answer: what stands around its ``data``, which is empty in ``shell``, and the pieces in the inputs' order."""

    shell: bytes
    pieces: list[Piece]


class _Around(msgspec.Struct, frozen=True):
    """What stands around one vector."""

    index: int
    embedding: msgspec.Raw


class _UsageWire(msgspec.Struct, frozen=True):
    prompt_tokens: int


class _ShellWire(msgspec.Struct, frozen=True):
    usage: _UsageWire


class _Request(msgspec.Struct, frozen=True):
    input: msgspec.Raw


_REQUEST = msgspec.json.Decoder(_Request)
_AROUND = msgspec.json.Decoder(_Around)
_SHELL = msgspec.json.Decoder(_ShellWire)


def find_inputs(body: bytes) -> bytes:
    """The member of a request that has its inputs, which it was checked to have."""
    return bytes(_REQUEST.decode(body).input)


def read_inputs(value: bytes) -> list[bytes] | None:
    """The inputs of a request, each as its JSON; None for a list that mixes tokens with texts."""
    if value[:1] == b'"' or value[1:2].isdigit() or value[1:].lstrip()[:1].isdigit():
        # A text, or one text's tokens.
        return [value] if value[:1] == b'"' or (b'"' not in value and b"[" not in value[1:]) else None
    inputs = [bytes(each) for each in _LIST.decode(value)]
    return None if any(each[:1].isdigit() for each in inputs) else inputs


def with_inputs(call: Call, value: bytes, inputs: Sequence[bytes]) -> Call:
    """The call with these inputs in place of ``value``, which it has now; every other byte stays."""
    body, changed = call.body, b"[%b]" % b",".join(inputs)
    at = body.find(value, body.find(_INPUT) + len(_INPUT)) if body.count(_INPUT) == 1 else -1
    if at >= 0 and not body[body.find(_INPUT) + len(_INPUT) : at].strip(b" \t\r\n:"):
        # Its name stands there once, so this is it: the tokens of a long text are not walked over.
        body = body[:at] + changed + body[at + len(value) :]
    else:
        body = splice.replace(body, "input", changed)
    return msgspec.structs.replace(call, body=body)


def share_tokens(total: int, inputs: Sequence[bytes]) -> list[int]:
    """Divide what a request's inputs have together by their lengths; the parts make the total again."""
    sums = [0, *accumulate(_length(each) for each in inputs)]
    return [total * after // sums[-1] - total * before // sums[-1] for before, after in pairwise(sums)]


def cut_answer(body: bytes, count: int) -> Cut | None:
    """Cut an answer into what answers each of so many inputs; None where it does not answer each of them once."""
    begin = _DATA.search(body)
    if begin is None:
        return None
    found: dict[int, Piece] = {}
    at, gap = begin.end(), b""
    for _ in range(count):
        # Neither numbers nor base64 hold a brace: a member that holds one is cut short, and refused as it is read.
        opening = body.find(b"{", at)
        closing = body.find(b"}", opening) + 1
        if opening < 0 or not closing or body[at:opening].strip() != gap:
            return None
        number, piece = _cut_piece(body[opening:closing])
        if piece is None or number in found:
            return None
        found[number] = piece
        at, gap = closing, b","
    rest = body[at:].lstrip()
    shell = body[: begin.end()] + rest
    if not rest.startswith(b"]") or not _is_shell(shell) or found.keys() != set(range(count)):
        return None
    return Cut(shell, [found[number] for number in range(count)])


def join_answer(shell: bytes, pieces: Sequence[Piece], tokens: int, *, keeps_usage: bool) -> bytes:
    """An answer of pieces, ``tokens`` in its usage where that has any; ``keeps_usage``: with what else stands there."""
    usage = bytes(_MEMBERS.decode(shell).get("usage", b""))
    if usage.startswith(b"{"):
        shell = splice.replace(shell, "usage", _tell(usage, tokens, keeps=keeps_usage))
    parts = [shell[: _begin(shell)]]
    for number, piece in enumerate(pieces):
        parts += (b"," if number else b"", piece.before, b"%d" % number, piece.after)
    # Joined once: an answer may be megabytes.
    return b"".join([*parts, shell[_begin(shell) :]])


def reported_tokens(shell: bytes) -> int | None:
    """What an answer says that its inputs have; None where it says nothing."""
    try:
        return _SHELL.decode(shell).usage.prompt_tokens
    except BROKEN_JSON:
        return None


def _begin(shell: bytes) -> int:
    """Where the members of ``data`` begin."""
    found = _DATA.search(shell)
    assert found is not None, "it was found as the answer was cut"  # noqa: S101 - for the type checkers
    return found.end()


def _tell(usage: bytes, tokens: int, *, keeps: bool) -> bytes:
    number = b"%d" % tokens
    if not keeps:
        return b"{%b}" % b",".join([b'"%b":%b' % (name.encode(), number) for name in _COUNTS])
    for name in _COUNTS:
        if splice.find(usage, name) is not None:
            usage = splice.replace(usage, name, number)
    return usage


def _length(value: bytes) -> int:
    """What an input counts: a text its bytes, and tokens are counted; never nothing."""
    return len(value) if value[:1] == b'"' else value.count(b",") + 1


def _cut_piece(item: bytes) -> tuple[int, Piece | None]:
    start, end = item.find(b"[") + 1, item.rfind(b"]")
    if not start:
        text = _BASE64.search(item)
        start = 0 if text is None else text.end()
        end = item.find(b'"', start)
    if not 0 < start <= end:
        return 0, None
    head, tail = item[:start], item[end:]
    places = [(found, offset) for part, offset in ((head, 0), (tail, end)) for found in _INDEX.finditer(part)]
    try:
        around = _AROUND.decode(head + tail)
    except BROKEN_JSON:
        return 0, None
    if len(places) != 1 or bytes(around.embedding) not in (b"[]", b'""'):
        return 0, None
    found, offset = places[0]
    return around.index, Piece(item[: offset + found.start(1)], item[offset + found.end(1) :])


def _is_shell(shell: bytes) -> bool:
    try:
        return bytes(_MEMBERS.decode(shell).get("data", b"")) == b"[]"
    except BROKEN_JSON:
        return False
