"""The seam between the gateway, the dialects and the transport: what goes out, what comes back, and who reads it."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from providers.chat import Answer, Usage
from providers.delivered import Delivered
from providers.errors import ProviderError

Headers = Sequence[tuple[bytes, bytes]]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A validated request of the OpenAI surface, as a dialect gets it."""

    # "chat/completions", "completions" or "embeddings".
    endpoint: str
    # The body exactly as the client sent it: JSON, checked to be an object of the endpoint's shape.
    body: bytes
    # The name that the caller used.
    model: str
    stream: bool = False
    # The caller itself asked for stream_options.include_usage.
    wants_usage: bool = False
    # The most the reply may have, None when the caller set no limit.
    max_tokens: int | None = None
    n: int = 1
    # Texts that a completion goes on from, each n times.
    prompts: int = 1
    # A chat with one limit on its reply at most, and without tools, media or any member that is not billed as text.
    is_plain: bool = False

    @property
    def answers(self) -> int:
        """How many answers of up to ``max_tokens`` it asks for."""
        return self.n * self.prompts


class WireRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect wants sent: always a POST below the provider's base URL."""

    # Relative to the base URL, without a leading slash: "chat/completions", "messages".
    path: str
    body: bytes
    # In addition to authorisation, host, content-type and content-length. Lower-case names.
    headers: tuple[tuple[str, str], ...] = ()
    # Parameters of the caller that the dialect dropped, by its documented table.
    dropped: tuple[str, ...] = ()


class StreamReader(Protocol):
    """Turns the bytes of one upstream stream into OpenAI's stream, event by event. Pure: no I/O, no clock.

    The gateway feeds pieces until ``finished`` or ``failure`` is set or the upstream ends, then writes the end itself:
    ``held`` with the settled figures spliced in, ``usage_chunk`` where the client asked for it, and ``[DONE]``; or an
    error event when ``failure`` is set.
    """

    # What the provider reported last; cumulative figures replace earlier ones.
    usage: Usage | None
    # The terminal event was seen ([DONE], message_stop).
    finished: bool
    # Why the stream broke; nothing is fed after it is set.
    failure: ProviderError | None
    # The JSON of the last chunk with a finish_reason, held back.
    held: bytes | None
    # The JSON of the usage chunk (``"choices": []``), held back; None when the upstream sent none.
    usage_chunk: bytes | None
    # Complete data events seen so far: the idle timeout counts these, not bytes.
    events: int

    @property
    def has_ended(self) -> bool:
        """Whether every choice that was asked for has its finish_reason: if it breaks now, nothing said is missing."""
        ...

    def feed(self, piece: bytes) -> bytes:
        """Take any cut of the upstream's bytes; return the SSE bytes that may go to the client now."""
        ...

    def feed_all(self, pieces: Sequence[bytes]) -> bytes:
        """As ``feed``, once and instead of it, where all of the stream is here: as it was framed."""
        ...

    def end(self) -> bytes:
        """The upstream ended: return what may still go out; set ``failure`` to Truncated if the end is missing."""
        ...

    def delivered(self) -> Delivered:
        """What was produced so far (contents, reasoning, tool calls' names and arguments), for estimates."""
        ...


class Dialect(Protocol):
    """How one protocol says it. Pure functions of their arguments."""

    # Endpoints that it can answer.
    endpoints: frozenset[str]

    def encode(self, call: Call, model: str) -> WireRequest:
        """Say the call to ``model``; raises Unsupported, naming the parameter, where that is not possible."""
        ...

    def decode(self, call: Call, status: int, headers: Headers, body: bytes) -> Answer:
        """Read a whole answer; raises Refused for an error of the provider, InvalidAnswer for anything else."""
        ...

    def open_stream(self, call: Call) -> StreamReader:
        """A fresh reader for one streamed answer."""
        ...
