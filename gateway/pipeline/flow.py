"""The values that pass between the rooms."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import msgspec

from gateway.accounts.directory import KeyRecord
from gateway.backends.breaker import Breaker
from gateway.backends.failure import hide
from gateway.backends.interface import Backend, Head
from gateway.budgets.bound import Tariffs
from gateway.caching.answers import StoredAnswer
from gateway.caching.policy import Allowed
from gateway.caching.semantic.interface import Check
from gateway.limits.passage import Passage
from providers.chat import Usage
from providers.wire import Call

CacheWish = Literal["default", "off", "read", "write", "refresh", "only"]
Status = Literal["complete", "incomplete", "cancelled", "failed", "refused", "in_doubt"]


# The provider's own headers that clients know and read; they pass as they stand. Some callers have only the lines.
PASSED = re.compile(
    rb"\r\n((?:x-request-id:|retry-after:|retry-after-ms:|x-ratelimit-|openai-|anthropic-ratelimit-)[^\r\n]*)",
    re.IGNORECASE,
)
_LIMITS_BEGIN = b"x-ratelimit-"
# Where official clients look for a request's name.
_NAME_BEGINS = b"x-request-id:"
# Where providers put the name that they gave a request: OpenAI and Groq, Anthropic, OpenRouter.
REQUEST_IDS = (b"x-request-id", b"request-id", b"x-generation-id")
MAX_REQUEST_ID_BYTES = 128
# What may stand in a header as it is; everything else becomes a question mark.
HEADER_SAFE = bytes(byte if 0x20 <= byte < 0x7F else 0x3F for byte in range(256))  # noqa: PLR2004 - printable ASCII


def header_text(value: str) -> bytes:
    """A value as it may stand in a header."""
    return value.encode("ascii", "replace").translate(HEADER_SAFE)


def tells_limits(line: bytes) -> bool:
    """Whether a header line tells of the provider's limits, which give way where the gateway tells of its own."""
    return line[: len(_LIMITS_BEGIN)].lower() == _LIMITS_BEGIN


def keep_one_name(lines: list[bytes]) -> bool:
    """Leave of the lines that name the request the first, as the call's row has it; False: there is none."""
    names = [line for line in lines if line[: len(_NAME_BEGINS)].lower() == _NAME_BEGINS]
    told = [line for line in names if line[len(_NAME_BEGINS) :].strip()]
    for line in names:
        if not told or line is not told[0]:
            lines.remove(line)
    return bool(told)


class Gist(msgspec.Struct, frozen=True):
    """What is wanted of an answer's head: the lines that pass, each with its CRLF, and its own name for the request."""

    passed: bytes
    request_id: str
    # ``passed`` without the provider's limits.
    unlimited: bytes
    # The body is one JSON text.
    is_json: bool = False
    # Among ``passed`` is the provider's name for the request.
    is_named: bool = False


def read_gist(head: Head, secrets: tuple[bytes, ...] = ()) -> Gist:
    """Read what goes on of an answer's head, which may say again what the provider was sent: ``secrets`` are masked."""
    lines = head.lines(PASSED)
    is_named = keep_one_name(lines)
    passed = b"".join([line + b"\r\n" for line in lines])
    if hide(passed, secrets) != passed:
        lines = [hide(line, secrets) for line in lines]
        passed = b"".join([line + b"\r\n" for line in lines])
    unlimited = b"".join([line + b"\r\n" for line in lines if not tells_limits(line)])
    is_json = (head.get(b"content-type") or b"").lower().startswith(b"application/json")
    for name in REQUEST_IDS:
        value = head.get(name)
        if value:
            request_id = hide(value, secrets)[:MAX_REQUEST_ID_BYTES].decode("latin-1")
            return Gist(passed, request_id, unlimited, is_json, is_named)
    return Gist(passed, "", unlimited, is_json, is_named)


def gist_reader(secrets: Iterable[str]) -> Callable[[Head], Gist]:
    """What reads the heads of a provider that is sent these; it is kept, as a head remembers what each reader found."""
    hidden = tuple(secret.encode() for secret in secrets)
    return partial(read_gist, secrets=hidden) if hidden else read_gist


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """A request that its surface has decoded."""

    request_id: str
    call: Call
    caller: KeyRecord
    # Wall clock in ns since the epoch, and the monotonic clock at the first byte of the request.
    created_ns: int
    started_ns: int
    cache: CacheWish = "default"
    # How long the answer may be kept; None: as the project wants it.
    ttl_s: int | None = None
    # A kept answer is to be younger; None: any will do.
    max_age_s: int | None = None
    # The key's and the call's own.
    tags: str = ""
    session: str = ""
    # None: nothing limits the call.
    passage: Passage | None = None
    # What the call itself says that it may cost; None: it says nothing.
    max_cost_pusd: int | None = None
    # What the call itself allows of wrong answers, beside the owner's bounds.
    allowed: Allowed = Allowed()
    # None: a client asked. Else the gateway asks, to check an answer that it gave.
    check: Check | None = None
    # The limit that the gateway set on the reply, None where it set none.
    limited_tokens: int | None = None

    @property
    def limit_lines(self) -> bytes:
        """The answer's header lines of the gateway's own limits, before which the provider's give way."""
        passage = self.passage
        return b"" if passage is None else passage.lines


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One place that can answer, the name of the model there, its breaker, and the header lines that name it."""

    backend: Backend
    model: str
    breaker: Breaker
    lines: bytes
    # Reads the heads of its answers.
    read_gist: Callable[[Head], Gist] = read_gist


class Doubtful(msgspec.Struct, frozen=True):
    """A try that failed and may be billed: where it went, and what it used where that was told."""

    target: Target
    usage: Usage | None


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call goes: targets in the order of trying, and why."""

    targets: tuple[Target, ...]
    reason: str
    # A target stops its work on a whole call when the connection closes: see Backend.cancel_stops_whole_calls.
    is_stoppable: bool = False
    # What calls cost there at worst, kept for the room of budgets.
    tariffs: Tariffs = msgspec.field(default_factory=Tariffs)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a call ended: all that the record needs besides the request itself."""

    status: Status
    http_status: int
    error_code: str = ""
    target: Target | None = None
    usage: Usage | None = None
    attempts: int = 0
    upstream_request_id: str = ""
    # Monotonic ns: the answer's first byte from the provider, and the time spent waiting for providers.
    first_byte_ns: int = 0
    waited_ns: int = 0
    # The answer that was kept, where it was given again.
    stored: StoredAnswer | None = None
    # Which layer of the cache gave it: exact | semantic.
    layer: str = ""
    # Tokens of inputs that were not sent, since what answers them was kept.
    spared_tokens: int = 0
