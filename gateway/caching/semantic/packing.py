"""How what is stored is written down: MessagePack behind a checksum.

Failure behavior: what is damaged, or edited by hand, or of another form raises Damaged; it is never believed.
"""

from zlib import crc32

import msgspec

from gateway.caching.answers import NS_PER_S, StoredAnswer
from providers.errors import InvalidAnswer

_CHECK_BYTES = 4
# Of an answer the embedder reads 256 word pieces, and what is compared by words is bounded too.
MAX_ANSWER_CHARS = 8_192


class Damaged(Exception):
    """Bytes that are not what was written."""


class _Beginning(msgspec.Struct, frozen=True, array_like=True):
    """Of a stored question, see vectors."""

    text: str


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Reply(msgspec.Struct):
    choices: list[_Choice]


_REPLY = msgspec.json.Decoder(_Reply)


_encode = msgspec.msgpack.Encoder().encode
_BEGINNING = msgspec.msgpack.Decoder(_Beginning)
_ANSWER = msgspec.msgpack.Decoder(StoredAnswer)


def seal(data: bytes) -> bytes:
    """Put the checksum before what is to be stored."""
    return crc32(data).to_bytes(_CHECK_BYTES, "big") + data


def unseal(data: bytes) -> bytes:
    """What was sealed; raises Damaged."""
    content = data[_CHECK_BYTES:]
    if len(data) < _CHECK_BYTES or crc32(content) != int.from_bytes(data[:_CHECK_BYTES], "big"):
        raise Damaged("its checksum is another")
    return content


def read_text(data: bytes) -> str:
    """The text of a stored question; raises Damaged."""
    try:
        return _BEGINNING.decode(unseal(data)).text
    except msgspec.DecodeError as error:
        raise Damaged(f"a stored question cannot be read: {error}") from error


def pack_answer(answer: StoredAnswer) -> bytes:
    """Write an answer down."""
    return seal(_encode(answer))


def unpack_answer(data: bytes) -> StoredAnswer:
    """Read an answer; raises Damaged."""
    try:
        return _ANSWER.decode(unseal(data))
    except msgspec.DecodeError as error:
        raise Damaged(f"a stored answer cannot be read: {error}") from error


def read_answer(answer: StoredAnswer) -> str:
    """What an answer says, its beginning; '' where it says nothing in words."""
    try:
        return read_reply(answer.recorded.as_body("", answer.created_ns // NS_PER_S))
    except (msgspec.MsgspecError, InvalidAnswer):
        return ""


def read_reply(body: bytes) -> str:
    """What a whole reply to a chat says, its beginning; '' where it says nothing in words."""
    try:
        reply = _REPLY.decode(body)
    except msgspec.MsgspecError:
        return ""
    return (reply.choices[0].message.content or "")[:MAX_ANSWER_CHARS] if reply.choices else ""
