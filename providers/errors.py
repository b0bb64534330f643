"""What can go wrong between the gateway and a provider.

ProviderError
├── Unreachable        no connection: DNS, refused, TLS, reset before a byte      retry, other target
├── TimedOut           connect, first byte, idle or total time was used up        retry before it was sent, other target
├── Truncated          the answer ended before its end                            other target before the first byte
├── InvalidAnswer      HTML, half a JSON, wrong shape, too large                  other target before the first byte;
│                                                                                 retry where a stream said nothing
├── Refused            a status >= 400, or an error object in a 200               by status
├── PoolExhausted      every connection to this origin is busy                    other target
├── Withheld           what has to be kept before bytes leave could not be        never
└── Unsupported        the dialect cannot express the request: the caller's 400   never
"""

from collections.abc import Mapping, Sequence
from typing import Any

from providers.chat import Usage

# Words for an account without credit, which OpenAI tells with a status 429: no try will find it filled. Source:
# https://platform.openai.com/docs/guides/error-codes (2026-11-28).
OUT_OF_CREDIT = frozenset({"insufficient_quota"})
# A timeout, a conflict, a rate limit, and an error inside a success.
RETRYABLE = frozenset({200, 408, 409, 429})
SERVER_ERROR = 500


class ProviderError(Exception):
    """A call to a provider failed.

    ``code`` is the public error code, ``sent`` tells whether the request may have reached the provider (so that
    money may be owed), ``retryable`` whether the same target may be asked again before the first byte.
    """

    code = "provider_error"
    status = 502
    retryable = True
    sent = True
    # Of the provider's answer, where there was one; names in lower case.
    headers: Sequence[tuple[bytes, bytes]] = ()
    # What an answer that is of no use says that it took, for that will be billed.
    usage: Usage | None = None
    # Some of an answer came that says nothing of it.
    has_begun = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def was_made(self) -> bool:
        """Whether an answer was made for certain, and so will be billed."""
        return self.has_begun or self.usage is not None


class Unreachable(ProviderError):
    """No connection could be made, or it broke before a byte of the answer; ``sent`` tells which.

    ``is_likely_unread``: it was a kept connection, reset at once, as one is that the server closes without having read
    what came. That is no proof: what was read may be reset as well. ``is_unread``: there is a proof.
    """

    code = "upstream_unreachable"
    is_likely_unread = is_unread = False

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class TimedOut(ProviderError):
    """A limit of ``[timeouts]`` was reached; ``phase`` is connect, first_byte, idle or total."""

    code = "upstream_timeout"
    status = 504

    def __init__(self, message: str, *, phase: str) -> None:
        super().__init__(message)
        self.phase = phase
        self.sent = phase != "connect"
        self.retryable = phase != "total"


class Truncated(ProviderError):
    """The answer stopped before its end: a closed connection, a short body, a stream with no terminal event."""

    code = "upstream_truncated"
    has_begun = True


class InvalidAnswer(ProviderError):
    """The bytes are not an answer: HTML, broken JSON, a wrong shape, a bomb, more than the configured size.

    Something answered, so it is taken for made; where the status is that of an error, whoever raises it says otherwise.
    """

    code = "upstream_invalid"
    has_begun = True

    def __init__(self, message: str, *, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.usage = usage


class PoolExhausted(ProviderError):
    """Every connection that this origin may have is in use; nothing was sent."""

    code = "upstream_busy"
    status = 503
    sent = False
    retryable = False


class Withheld(ProviderError):
    """What has to be made durable before anything leaves could not be; nothing was sent."""

    code = "service_unavailable"
    status = 503
    sent = False
    retryable = False


class Unsupported(ProviderError):
    """The target's dialect cannot express the request, so the caller must change it; ``param`` names the field."""

    code = "unsupported_parameter"
    status = 400
    sent = False
    retryable = False

    def __init__(self, message: str, *, param: str | None) -> None:
        super().__init__(message)
        self.param = param


class Refused(ProviderError):
    """The provider answered with an error.

    ``upstream_status`` is its HTTP status (200 when the error came inside a success), ``type`` and ``upstream_code``
    are its own words, ``extras`` further members of its error object, ``retry_after_ms`` what it asked for (None:
    nothing usable), ``should_retry`` its explicit ``x-should-retry`` (None: silent).
    """

    def __init__(  # noqa: PLR0913 - each word of an error is optional
        self,
        message: str,
        *,
        upstream_status: int,
        type: str = "",
        upstream_code: str = "",
        param: str | None = None,
        retry_after_ms: int | None = None,
        should_retry: bool | None = None,
        extras: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.extras = dict(extras or {})
        self.upstream_status = upstream_status
        self.type = type
        self.upstream_code = upstream_code
        self.param = param
        self.retry_after_ms = retry_after_ms
        self.should_retry = should_retry
        by_status = upstream_status in RETRYABLE or upstream_status >= SERVER_ERROR
        self.retryable = not self.is_out_of_credit and (by_status if should_retry is None else should_retry)

    @property
    def is_out_of_credit(self) -> bool:
        """Whether the account at the provider has no credit left."""
        return not OUT_OF_CREDIT.isdisjoint((self.type, self.upstream_code))
