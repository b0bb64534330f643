"""What a request's head must be, whoever answers it: one Host, a path, and a body that is framed in one way."""

import logging
import re

import httptools

from gateway.errors import Fault, shown

MAX_URL_BYTES = 8_192
MAX_PORT = 65_535
# A name, an IPv4 address or an IPv6 one in brackets, and a port.
HOST = re.compile(rb"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")

log = logging.getLogger("gateway.server")

Headers = list[tuple[bytes, bytes]]


def check_target(url: bytes) -> Fault | None:
    """What is wrong with the request's target."""
    if len(url) > MAX_URL_BYTES:
        return Fault("invalid_request", f"The request's path is over {MAX_URL_BYTES} bytes.", status=414)
    if not url.startswith(b"/"):
        return Fault("invalid_request", "The request's target is not a path.")
    return None


def check_headers(headers: Headers, single: dict[bytes, bytes], *, is_http_11: bool) -> Fault | None:
    """What is wrong with the headers; ``single`` are the same by name, the last where there are several."""
    host = single.get(b"host")
    if len(single) != len(headers) or host is None:
        hosts = sum(name == b"host" for name, _ in headers)
        if hosts != 1 and (hosts or is_http_11):
            return Fault("invalid_request", f"The request has {hosts} Host headers; HTTP/1.1 asks for one.")
    if host is not None:
        match = HOST.fullmatch(host)
        if match is None or int(match[1] or 0) > MAX_PORT:
            return Fault("invalid_request", f"The Host header {shown(host.decode('latin-1'))} is not a host.")
    coding = single.get(b"transfer-encoding")
    if coding is not None and coding.strip().lower() != b"chunked":
        name = shown(coding.decode("latin-1"))
        return Fault("invalid_request", f"The transfer-encoding {name} is not known; send chunked.", status=501)
    return None


def unknown_version(version: str) -> Fault:
    """The refusal of what is written as HTTP/1.1 is and calls itself something else."""
    return Fault("invalid_request", f"HTTP/{version} is not spoken here; send HTTP/1.1.", status=505)


def head_too_large(limit_bytes: int) -> Fault:
    """The refusal of a head over the limit."""
    return Fault("invalid_request", f"The request's head is over {limit_bytes} bytes.", status=431)


def parsing_failed(error: Exception) -> Fault:
    """The refusal of what the parser gave up: bytes that are no HTTP, or a fault of the gateway's own."""
    if isinstance(error, httptools.HttpParserCallbackError):
        log.error("a request could not be taken", exc_info=error.__context__ or error)
        return Fault("server_error", "The gateway failed; its log has the reason.")
    return Fault("invalid_request", "The bytes are not a valid HTTP/1.1 request.")


def too_many_connections(limit: int) -> Fault:
    """What a client is told that connects when all connections are in use."""
    return Fault("service_unavailable", f"All {limit} connections of [server] max_connections are in use.")


def too_slow(part: str) -> Fault:
    """What a client is told whose headers or body take too long."""
    return Fault("request_timeout", f"The request's {part} did not arrive in time.")
