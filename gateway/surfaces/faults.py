"""Turns everything that an ordinary handler can raise into a Fault in the surface's own envelope."""

import logging
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException

from gateway.db import DatabaseUnavailable
from gateway.envelope import envelope, fault_headers
from gateway.errors import KINDS, Fault

AnyRequest = Request[Any, Any, Any]
log = logging.getLogger("gateway.surfaces")
# A framework's status, and the row of KINDS that says it.
BY_STATUS = {
    HTTPStatus.BAD_REQUEST: "invalid_request",
    HTTPStatus.UNAUTHORIZED: "invalid_api_key",
    HTTPStatus.FORBIDDEN: "insufficient_scope",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
}


def answer_fault(_: AnyRequest, fault: Fault) -> Response[bytes]:
    """Render a fault."""
    return Response(
        envelope(fault), status_code=fault.status, media_type="application/json", headers=dict(fault_headers(fault))
    )


def answer_http_exception(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Render a refusal by the framework: an unknown path, a wrong method, a query that does not parse."""
    status = HTTPStatus(error.status_code)
    code = BY_STATUS.get(status, "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request")
    if code == "not_found":
        return answer_fault(
            request, Fault(code, f"There is nothing at {request.url.path!r}; GET /docs lists all paths.")
        )
    if code == "method_not_allowed":
        return answer_fault(
            request, not_allowed(request.url.path, str(request.method), (error.headers or {}).get("Allow", "GET"))
        )
    extra: object = error.extra
    detail = f"{error.detail}: {extra}" if extra else error.detail
    return answer_fault(request, Fault(code, detail, status=error.status_code))


def not_allowed(path: str, method: str, allow: str) -> Fault:
    """The fault for a method that a path does not take."""
    return Fault("method_not_allowed", f"{path!r} does not take {method}; it takes {allow}.", allow=allow)


def answer_unavailable(request: AnyRequest, _: DatabaseUnavailable) -> Response[bytes]:
    """The database is away."""
    fault = Fault("service_unavailable", "The database does not answer right now; ask again.", retry_after_ms=1_000)
    return answer_fault(request, fault)


def answer_anything(request: AnyRequest, error: Exception) -> Response[bytes]:
    """A mistake of ours: the log has it, the client does not."""
    log.error("handler failed on %s %s", request.method, request.url.path, exc_info=error)
    return answer_fault(request, Fault("server_error", KINDS["server_error"].meaning))


HANDLERS: dict[int | type[Exception], Any] = {
    Fault: answer_fault,
    HTTPException: answer_http_exception,
    DatabaseUnavailable: answer_unavailable,
    Exception: answer_anything,
}
