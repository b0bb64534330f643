"""The parameters of an address, as far as all ordinary routes agree on them.

No database takes a NUL, and nothing here has one in its name: an address with one is refused in one place, whatever
would have read it.
"""

import difflib
from collections.abc import Collection
from typing import Any

from litestar import Request

from gateway.errors import Fault, shown

AnyRequest = Request[Any, Any, Any]
_NUL, _ESCAPED_NUL = "\0", b"%00"


def check_address(request: AnyRequest) -> None:
    """Refuse a NUL in the path or in a parameter. Raises Fault."""
    path: str = request.scope["path"]
    if _NUL in path:
        raise Fault("not_found", f"There is nothing at {path!r}; GET /docs lists all paths.")
    query: bytes = request.scope["query_string"]
    if _ESCAPED_NUL not in query and b"\0" not in query:
        return
    for name, value in request.query_params.multi_items():
        if _NUL in name or _NUL in value:
            raise Fault("invalid_request", f"{shown(name)} is {shown(value)}: a NUL is in no name.", param=name)


def read_once(request: AnyRequest, known: Collection[str]) -> dict[str, str]:
    """Read parameters of which each may stand once; of two values one would be passed over. Raises Fault."""
    refuse_unknown(request, known)
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise Fault("invalid_request", f"{shown(name)} is there more than once: give it one value.", param=name)
        given[name] = value
    return given


def refuse_unknown(request: AnyRequest, known: Collection[str]) -> None:
    """Refuse a parameter that nobody reads: a filter that is mistyped would show more than was asked for.

    Raises Fault, which names the one that was meant.
    """
    for name in request.query_params:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            meant = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(sorted(known))}."
            raise Fault("invalid_request", f"There is no parameter {shown(name)} here. {meant}", param=name)
