"""The parameters of an address: what a route takes in its query, and what all ordinary routes agree on.

A route names its parameters once, in its ``opt``. From there they are read, checked and told in the OpenAPI document;
what is not named there is not read.

No database takes a NUL, and nothing here has one in its name: an address with one is refused in one place, whatever
would have read it.
"""

import difflib
from typing import Any

import msgspec
from litestar import Request

from gateway.errors import Fault, shown

AnyRequest = Request[Any, Any, Any]
_NUL, _ESCAPED_NUL = "\0", b"%00"
# Where a route keeps what it takes in its query, and which component of the OpenAPI document its body is where the
# framework does not read it.
QUERY, BODY = "query", "body"


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a query, as it is told and as it is checked."""

    name: str
    # A sentence without its full stop.
    meaning: str
    # None: any text that whoever reads it can use.
    choices: tuple[str, ...] | None = None
    # It is a whole number from 1 to this.
    most: int | None = None
    default: str | int | None = None
    is_required: bool = False

    def describe(self) -> dict[str, Any]:
        """Tell it in OpenAPI's words."""
        schema: dict[str, Any] = {"type": "string"}
        if self.most is not None:
            schema = {"type": "integer", "minimum": 1, "maximum": self.most}
        if self.choices is not None:
            schema["enum"] = list(self.choices)
        if self.default is not None:
            schema["default"] = self.default
        told = {"name": self.name, "in": "query", "description": f"{self.meaning}.", "schema": schema}
        return {**told, "required": True} if self.is_required else told

    def check(self, value: str) -> None:
        """Refuse a value that it does not take. Raises Fault."""
        if self.choices is not None and value not in self.choices:
            message = f"{self.name}={shown(value)} is none of {', '.join(self.choices)}."
            raise Fault("invalid_request", message, param=self.name)
        if self.most is not None and not _is_count(value, self.most):
            message = f"{self.name}={shown(value)} is not a whole number from 1 to {self.most}."
            raise Fault("invalid_request", message, param=self.name)


def takes(*parameters: Parameter) -> dict[str, Any]:
    """What a route takes in its query, as its ``opt``."""
    return {QUERY: {parameter.name: parameter for parameter in parameters}}


def _is_count(value: str, most: int) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= len(str(most)) and 1 <= int(value) <= most


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


def asked(request: AnyRequest) -> dict[str, str]:
    """What a request gives of the parameters that its route takes, without empty ones. Raises Fault.

    Another parameter, or one that is there twice, is refused: a filter that is passed over shows more than was asked
    for.
    """
    _refuse_others(request)
    given: dict[str, str] = {}
    for name, parameter in _taken(request).items():
        value = request.query_params.get(name)
        if value:
            parameter.check(value)
            given[name] = value
        elif parameter.is_required:
            raise Fault("invalid_request", f"{name!r} is missing: {parameter.meaning}.", param=name)
    return given


def asked_in_full(request: AnyRequest) -> dict[str, str]:
    """As ``asked``, where nothing may be empty either, as a script sends it whose variable is not set. Raises Fault."""
    _refuse_others(request)
    for name, value in request.query_params.items():
        if not value:
            raise Fault("invalid_request", f"'{name}' is empty: give it a value or leave it out.", param=name)
    return asked(request)


def count_of(request: AnyRequest, name: str) -> int:
    """A whole number that a request gives, or its default; raises Fault."""
    default = _taken(request)[name].default
    given = asked(request).get(name)
    return int(default or 1) if given is None else int(given)


def _refuse_others(request: AnyRequest) -> None:
    """Refuse a parameter that the route does not take, naming the one that was meant, and one that is there twice."""
    known = _taken(request)
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            those = f"There are {', '.join(sorted(known))}." if known else "It takes none."
            meant = f"Did you mean {close[0]!r}?" if close else those
            raise Fault("invalid_request", f"There is no parameter {shown(name)} here. {meant}", param=name)
        if name in seen:
            raise Fault("invalid_request", f"{shown(name)} is there more than once: give it one value.", param=name)
        seen.add(name)


def _taken(request: AnyRequest) -> dict[str, Parameter]:
    taken: dict[str, Parameter] = request.scope["route_handler"].opt[QUERY]
    return taken
