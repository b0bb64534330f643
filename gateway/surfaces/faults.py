"""Turns everything that an ordinary handler can raise into a Fault in the envelope of the path's document."""

import logging
import re
import time
from http import HTTPStatus
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException

from gateway.accounts.credentials import CredentialError, CredentialInvalid
from gateway.accounts.tenancy.passwords import PasswordsBusy
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.counters.interface import CountersUnavailable
from gateway.db import DatabaseUnavailable
from gateway.envelope import Surface, fault_headers, render
from gateway.errors import KINDS, Fault, shown
from gateway.ids import new_id
from gateway.surfaces.headers import name_methods
from gateway.surfaces.paths import surface_of

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


# What a person's refused wish is.
REFUSED = {
    RefusalKind.INVALID: "rule_broken",
    RefusalKind.TAKEN: "rule_broken",
    RefusalKind.SIGN_UP_CLOSED: "insufficient_scope",
    RefusalKind.WRONG_CREDENTIALS: "invalid_api_key",
    RefusalKind.VOID: "invalid_api_key",
    RefusalKind.NOT_ALLOWED: "insufficient_scope",
    RefusalKind.NOT_FOUND: "not_found",
    RefusalKind.CONFLICT: "rule_broken",
    RefusalKind.LAST_OWNER: "rule_broken",
}
BUSY_RETRY_MS = 1_000
# Where a request keeps the document that its body shows.
SURFACE = "surface"
# The framework's name of a handler's body, and what it says of a word that a field does not take.
BODY, WRONG_CHOICE = "data", "Invalid enum value"
UNKNOWN_FIELD = re.compile(r"unknown field `([^`]*)`")
# Where the framework decodes a body.
DECODER = "litestar.serialization"
MISSING_FIELD = re.compile(r"missing required field `([^`]+)`")


def request_id_of(request: AnyRequest) -> str:
    """The id of a request to an ordinary route, the same as often as it is asked for."""
    known: str | None = request.state.get("request_id")
    if known is None:
        known = request.state["request_id"] = new_id(time.time_ns())
    return known


def surface_of_request(request: AnyRequest) -> Surface:
    """The document that a request is answered in: that of its body's words, where those tell, else of its path."""
    noted: Surface | None = request.state.get(SURFACE)
    return noted or surface_of(request.url.path, request.headers)


def name_answer(response: Response[Any]) -> Response[Any]:
    """Give every answer of an ordinary route an id; a fault has its request's own."""
    response.headers.setdefault("x-request-id", f"req_{new_id(time.time_ns())}")
    return response


def answer_fault(request: AnyRequest, fault: Fault) -> Response[bytes]:
    """Render a fault."""
    status, body = render(fault, surface_of_request(request), request_id_of(request))
    response = Response(body, status_code=status, media_type="application/json", headers=dict(fault_headers(fault)))
    response.headers["x-request-id"] = f"req_{request_id_of(request)}"
    return response


def answer_refusal(request: AnyRequest, refusal: Refusal) -> Response[bytes]:
    """A person's wish that a rule forbids."""
    message = refusal.message.rstrip(".") + "."
    # A field's name stays as it is written.
    if refusal.param is None or not message.startswith(refusal.param):
        message = message[:1].upper() + message[1:]
    return answer_fault(request, Fault(REFUSED[refusal.kind], message, param=refusal.param))


def answer_credential_error(request: AnyRequest, error: CredentialError) -> Response[bytes]:
    """A provider credential that cannot be stored, or is not there; the message never shows the secret."""
    code = "rule_broken" if isinstance(error, CredentialInvalid) else "not_found"
    message = str(error)
    return answer_fault(request, Fault(code, message[:1].upper() + message[1:].rstrip(".") + ".", param=error.param))


def answer_busy(request: AnyRequest, busy: PasswordsBusy) -> Response[bytes]:
    """Too many people sign in at once."""
    return answer_fault(request, Fault("service_unavailable", f"{busy}.", retry_after_ms=BUSY_RETRY_MS))


def answer_http_exception(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Render a refusal by the framework: an unknown path, a wrong method, a query that does not parse."""
    status = HTTPStatus(error.status_code)
    code = BY_STATUS.get(status, "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request")
    if code == "not_found":
        return answer_fault(
            request, Fault(code, f"There is nothing at {request.url.path!r}; GET /docs lists all paths.")
        )
    if code == "method_not_allowed":
        allow = name_methods((error.headers or {}).get("allow", "GET").split(", "))
        return answer_fault(request, not_allowed(request.url.path, str(request.method), allow))
    detail, param = _explain(request, error)
    return answer_fault(request, Fault(code, detail, param=param, status=error.status_code))


class Problem(msgspec.Struct, frozen=True):
    """What the framework tells of one field."""

    message: str = ""
    key: str = ""


def _explain(request: AnyRequest, error: HTTPException) -> tuple[str, str | None]:
    """What is wrong with a request, and with which field of its body or query."""
    extra: Any = error.extra
    if isinstance(error.__cause__, SerializationException):
        return f"The body is not valid JSON: {error.detail.rstrip('.')}.", None
    try:
        problem = msgspec.convert(extra, list[Problem])[0]
    except (msgspec.ValidationError, IndexError):
        return (f"{error.detail}: {extra}" if extra else error.detail), None
    named = MISSING_FIELD.search(problem.message)
    if named is not None:
        return f"{named[1]!r} is missing.", named[1]
    if problem.key == BODY:
        return _explain_body(problem.message)
    choices = _choices(request, problem.key) if problem.message.startswith(WRONG_CHOICE) else ""
    if choices:
        value = problem.message.removeprefix(WRONG_CHOICE).strip()
        return f"{problem.key!r} is {value}; it takes one of {choices}.", problem.key
    return f"{problem.key!r}: {problem.message}." if problem.key else f"{problem.message}.", problem.key or None


def _explain_body(message: str) -> tuple[str, str | None]:
    """What is wrong with a body as a whole."""
    unknown = UNKNOWN_FIELD.search(message)
    if unknown is not None:
        return f"There is no field {shown(unknown[1])} here; GET /docs lists those that there are.", unknown[1]
    if message == repr(BODY):
        return "The body is empty; this endpoint takes a JSON object.", None
    return f"The body is not what this endpoint takes: {message[:1].lower()}{message[1:]}.", None


def _choices(request: AnyRequest, name: str) -> str:
    """The words that a field of a handler's body takes, as text; nothing where it is no such field."""
    handler: Any = request.scope["route_handler"]
    data = handler.parsed_data_field
    fields = get_type_hints(data.annotation) if data is not None and isinstance(data.annotation, type) else {}
    kinds = fields.get(name)
    words = [word for kind in (kinds, *get_args(kinds)) if get_origin(kind) is Literal for word in get_args(kind)]
    return ", ".join(words)


def not_allowed(path: str, method: str, allow: str) -> Fault:
    """The fault for a method that a path does not take."""
    return Fault("method_not_allowed", f"{path!r} does not take {method}; it takes {allow}.", allow=allow)


def answer_unavailable(request: AnyRequest, _: DatabaseUnavailable) -> Response[bytes]:
    """The database is away."""
    fault = Fault("service_unavailable", "The database does not answer right now; ask again.", retry_after_ms=1_000)
    return answer_fault(request, fault)


def answer_uncounted(request: AnyRequest, _: CountersUnavailable) -> Response[bytes]:
    """Redis is away."""
    fault = Fault(
        "service_unavailable", "The counters in Redis do not answer right now; ask again.", retry_after_ms=1_000
    )
    return answer_fault(request, fault)


def answer_undecodable(request: AnyRequest, error: UnicodeDecodeError | RecursionError) -> Response[bytes]:
    """What the framework lets pass of a body that cannot be read: a byte that is not UTF-8, or a depth beyond all."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or not str(last.tb_frame.f_globals.get("__name__")).startswith(DECODER):
        return answer_anything(request, error)
    why = f"not UTF-8: {error.reason}" if isinstance(error, UnicodeDecodeError) else "nested too deeply"
    return answer_fault(request, Fault("invalid_request", f"The body is {why}."))


def answer_anything(request: AnyRequest, error: Exception) -> Response[bytes]:
    """A mistake of ours: the log has it, the client does not."""
    named = f"req_{request_id_of(request)}"
    log.error("request %s failed on %s %s", named, request.method, request.url.path, exc_info=error)
    return answer_fault(request, Fault("server_error", KINDS["server_error"].meaning))


HANDLERS: dict[int | type[Exception], Any] = {
    Fault: answer_fault,
    Refusal: answer_refusal,
    CredentialError: answer_credential_error,
    PasswordsBusy: answer_busy,
    HTTPException: answer_http_exception,
    DatabaseUnavailable: answer_unavailable,
    CountersUnavailable: answer_uncounted,
    UnicodeDecodeError: answer_undecodable,
    RecursionError: answer_undecodable,
    Exception: answer_anything,
}
