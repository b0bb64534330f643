"""What a body may be sent as to an ordinary route: JSON in UTF-8, uncompressed; who names no type is taken at that.

Its values have the types that they are written with: the framework would take "5" for 5, and 1 for true.

A page elsewhere can have a browser send a text or a form without asking anybody, JSON it cannot.
"""

from typing import Any

import msgspec
from litestar import Request

from gateway.errors import Fault, refuse_body, shown

AnyRequest = Request[Any, Any, Any]
JSON = "application/json"
# ASCII is a part of it.
CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})
BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


def check_length(request: AnyRequest) -> None:
    """Refuse a body over the limit before a byte of it is read, also where nobody would read it. Raises Fault."""
    limit_bytes = request.route_handler.resolve_request_max_body_size()
    length_bytes = request.content_length
    if limit_bytes is not None and length_bytes is not None and length_bytes > limit_bytes:
        raise refuse_body(limit_bytes)


def check_media(request: AnyRequest) -> None:
    """Refuse the body of a request, before a byte of it is read, if it is sent as anything else. Raises Fault."""
    headers = request.headers
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    if request.method in BODILESS or not has_body:
        return
    encoding = headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise Fault(
            "unsupported_media_type", f"The body's content-encoding is {shown(encoding)}; send it uncompressed."
        )
    kind, *parameters = headers.get("content-type", JSON).split(";")
    if kind.strip().lower() not in (JSON, ""):
        raise Fault(
            "unsupported_media_type", f"The body's content-type is {shown(kind.strip())}; this endpoint takes {JSON}."
        )
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in CHARSETS:
            raise Fault("unsupported_media_type", f"The body's charset is {shown(value.strip())}; JSON is UTF-8.")


async def check_types(request: AnyRequest) -> None:
    """Refuse a body that only fits where texts are taken for numbers. Raises Fault; any other fault is told later."""
    field = request.scope["route_handler"].parsed_data_field
    if field is None or request.method in BODILESS:
        return
    body = await request.body()
    try:
        msgspec.json.decode(body, type=field.annotation)
    except msgspec.ValidationError as strict:
        try:
            msgspec.convert(msgspec.json.decode(body), field.annotation, strict=False)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        message, _, path = str(strict).partition(" - at `")
        name = path.strip("`").removeprefix("$").removeprefix(".")
        raise Fault("invalid_request", f"{name!r}: {message}." if name else f"{message}.", param=name or None) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
