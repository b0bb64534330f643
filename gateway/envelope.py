"""Renders a Fault as the document of each surface says (row C2): one fault inside, four envelopes outside.

W  a superset of OpenAI's envelope: ``{"error": {message, type, param, code, details}}``
S  ``{"error": {code, message, details}, "request_id"}``; also D's, whose document has none
A  ``{"error": message, "code", "details"}``
E  ``{"error": {code, message, type, request_id}}``, with six statuses only
"""

from typing import Literal

import msgspec

from gateway.errors import Fault

Surface = Literal["W", "S", "A", "E"]
Details = dict[str, str | int | None]
BAD_REQUEST, UNAUTHORIZED, PAYMENT_REQUIRED, FORBIDDEN, NOT_FOUND = 400, 401, 402, 403, 404
UNPROCESSABLE, TOO_MANY, SERVER_ERROR, UNAVAILABLE = 422, 429, 500, 503

# What a kind of fault is elsewhere: status and code. Where a kind is missing its status of W decides, below.
S_KINDS = {
    "spending_limit": (FORBIDDEN, "FORBIDDEN"),
    "insufficient_credits": (FORBIDDEN, "FORBIDDEN"),
    "rule_broken": (UNPROCESSABLE, "VALIDATION_ERROR"),
    "invalid_model": (NOT_FOUND, "NOT_FOUND"),
}
S_STATUSES = {
    BAD_REQUEST: "INVALID_INPUT",
    UNAUTHORIZED: "UNAUTHORIZED",
    FORBIDDEN: "FORBIDDEN",
    NOT_FOUND: "NOT_FOUND",
    UNPROCESSABLE: "VALIDATION_ERROR",
    TOO_MANY: "RATE_LIMITED",
}
A_KINDS = {
    "spending_limit": (PAYMENT_REQUIRED, "SPENDING_LIMIT"),
    "insufficient_credits": (PAYMENT_REQUIRED, "INSUFFICIENT_CREDITS"),
    "no_credential": (UNAUTHORIZED, "AUTH_REQUIRED"),
    "foreign": (FORBIDDEN, "FORBIDDEN"),
    "invalid_model": (NOT_FOUND, "NOT_FOUND"),
}
A_STATUSES = {
    BAD_REQUEST: "VALIDATION_ERROR",
    UNAUTHORIZED: "AUTH_INVALID",
    FORBIDDEN: "FORBIDDEN",
    NOT_FOUND: "NOT_FOUND",
    TOO_MANY: "RATE_LIMITED",
    UNAVAILABLE: "SERVICE_UNAVAILABLE",
}
E_KINDS = {
    "spending_limit": (TOO_MANY, "spending_limit"),
    "insufficient_credits": (TOO_MANY, "insufficient_credits"),
    "invalid_model": (NOT_FOUND, "not_found"),
    "quota_exceeded": (TOO_MANY, "quota_exceeded"),
}
E_STATUSES = {
    BAD_REQUEST: "invalid_request",
    UNAUTHORIZED: "invalid_api_key",
    FORBIDDEN: "insufficient_scope",
    NOT_FOUND: "not_found",
    TOO_MANY: "rate_limit_exceeded",
}
E_TYPES = {
    BAD_REQUEST: "invalid_request_error",
    UNAUTHORIZED: "authentication_error",
    FORBIDDEN: "permission_error",
    NOT_FOUND: "invalid_request_error",
    TOO_MANY: "rate_limit_error",
}


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The inside of W's envelope."""

    message: str
    type: str
    param: str | None
    code: str
    details: Details


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """W's envelope."""

    error: ErrorBody


class ErrorBodyS(msgspec.Struct, frozen=True, kw_only=True):
    """The inside of S's envelope."""

    code: str
    message: str
    details: Details


class EnvelopeS(msgspec.Struct, frozen=True, kw_only=True):
    """S's envelope; the id stands outside."""

    error: ErrorBodyS
    request_id: str


class EnvelopeA(msgspec.Struct, frozen=True, kw_only=True):
    """A's envelope; ``error`` is the message."""

    error: str
    code: str
    details: Details


class ErrorBodyE(msgspec.Struct, frozen=True, kw_only=True):
    """The inside of E's envelope."""

    code: str
    message: str
    type: str
    request_id: str


class EnvelopeE(msgspec.Struct, frozen=True, kw_only=True):
    """E's envelope."""

    error: ErrorBodyE


def envelope(fault: Fault) -> bytes:
    """W's JSON body, also the data of an error event in a stream; a provider's further members never hide ours."""
    body = ErrorBody(message=fault.message, type=fault.type, param=fault.param, code=fault.code, details=fault.details)
    if fault.extras:
        return msgspec.json.encode({"error": {**fault.extras, **msgspec.structs.asdict(body)}})
    return msgspec.json.encode(Envelope(error=body))


def render(fault: Fault, surface: Surface, request_id: str) -> tuple[int, bytes]:
    """The status and the JSON body of a fault; ``request_id`` is a bare one, each surface has a prefix of its own."""
    if surface == "W":
        return fault.status, envelope(fault)
    name = fault.kind.name or fault.kind.code
    if surface == "S":
        status, code = S_KINDS.get(name) or _by_status(fault.status, S_STATUSES, "SERVICE_ERROR", SERVER_ERROR)
        inner = ErrorBodyS(code=code, message=fault.message, details=_details_s(fault))
        return status, msgspec.json.encode(EnvelopeS(error=inner, request_id=f"req-{request_id}"))
    if surface == "A":
        otherwise = UNAVAILABLE if fault.status >= SERVER_ERROR and fault.status != SERVER_ERROR else SERVER_ERROR
        code_otherwise = "SERVICE_UNAVAILABLE" if otherwise == UNAVAILABLE else "INTERNAL_ERROR"
        status, code = A_KINDS.get(name) or _by_status(fault.status, A_STATUSES, code_otherwise, otherwise)
        return status, msgspec.json.encode(EnvelopeA(error=fault.message, code=code, details=_details(fault)))
    status, code = E_KINDS.get(name) or _by_status(fault.status, E_STATUSES, "api_error", SERVER_ERROR)
    kind = E_TYPES.get(status, "api_error")
    body = ErrorBodyE(code=code, message=fault.message, type=kind, request_id=f"req_{request_id}")
    return status, msgspec.json.encode(EnvelopeE(error=body))


def _by_status(status: int, codes: dict[int, str], code: str, otherwise: int) -> tuple[int, str]:
    """A status that a surface knows; other refusals are malformed requests there, other failures its general one."""
    if status in codes:
        return status, codes[status]
    return (BAD_REQUEST, codes[BAD_REQUEST]) if status < SERVER_ERROR else (otherwise, code)


def _details(fault: Fault) -> Details:
    return fault.details if fault.param is None else {"field": fault.param, **fault.details}


def _details_s(fault: Fault) -> Details:
    """S names the field and the reason."""
    return _details(fault) if fault.param is None else {"reason": fault.message, **_details(fault)}


def fault_headers(fault: Fault) -> list[tuple[str, str]]:
    """What clients need to decide about a retry."""
    headers: list[tuple[str, str]] = []
    if fault.retry_after_ms is not None:
        headers.append(("retry-after", str(-(-fault.retry_after_ms // 1000))))
        headers.append(("retry-after-ms", str(fault.retry_after_ms)))
    if fault.should_retry is not None:
        headers.append(("x-should-retry", "true" if fault.should_retry else "false"))
    if fault.status == UNAUTHORIZED:
        # RFC 9110 section 11.6.1 asks for it with this status.
        headers.append(("www-authenticate", "Bearer"))
    if fault.allow is not None:
        headers.append(("allow", fault.allow))
    return headers
