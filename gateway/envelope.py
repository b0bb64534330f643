"""Renders a Fault as a surface's document says; so far surface W, a superset of OpenAI's error envelope."""

import msgspec

from gateway.errors import Fault


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The inside of the envelope."""

    message: str
    type: str
    param: str | None
    code: str
    details: dict[str, str | int | None]


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """``{"error": {...}}``."""

    error: ErrorBody


def envelope(fault: Fault) -> bytes:
    """The JSON body, also the data of an error event in a stream."""
    return msgspec.json.encode(
        Envelope(
            error=ErrorBody(
                message=fault.message, type=fault.type, param=fault.param, code=fault.code, details=fault.details
            )
        )
    )


def fault_headers(fault: Fault) -> list[tuple[str, str]]:
    """What clients need to decide about a retry."""
    headers: list[tuple[str, str]] = []
    if fault.retry_after_ms is not None:
        headers.append(("retry-after", str(-(-fault.retry_after_ms // 1000))))
        headers.append(("retry-after-ms", str(fault.retry_after_ms)))
    if fault.should_retry is not None:
        headers.append(("x-should-retry", "true" if fault.should_retry else "false"))
    if fault.status == 401:  # noqa: PLR2004 - RFC 9110 section 11.6.1 asks for it with this status
        headers.append(("www-authenticate", "Bearer"))
    if fault.allow is not None:
        headers.append(("allow", fault.allow))
    return headers
