"""The OpenAPI document: what the framework derives from its handlers, joined with the endpoints that bypass it."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from importlib import resources
from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.serialization import encode_json

from gateway.envelope import Envelope, EnvelopeA, EnvelopeE, EnvelopeS, Surface
from gateway.surfaces.parameters import BODY, QUERY
from gateway.surfaces.paths import surface_of

# The statuses with which each surface tells a fault, besides those that a handler declares (row C2). Where a surface
# lacks one, such as 413, it says 400.
STATUSES: dict[Surface, tuple[int, ...]] = {
    "W": (400, 401, 403, 404, 413, 414, 415, 429, 431, 500, 503),
    "S": (400, 401, 403, 404, 422, 429, 500),
    "A": (400, 401, 403, 404, 429, 500, 503),
    "E": (400, 401, 403, 404, 429, 500),
}
ENVELOPES: dict[Surface, type[msgspec.Struct]] = {"W": Envelope, "S": EnvelopeS, "A": EnvelopeA, "E": EnvelopeE}
# What is wrong with a body, which these methods have none of.
OF_BODIES, BODILESS = (413, 415), ("get", "head")
# What the framework says of a bad request, and what is never sent: each surface has its own envelope.
_FRAMEWORKS_OWN = "Validation Exception"
# Paths below these are asked with a credential, or change something.
_GUARDED = ("/api/", "/v1/")

# By the guard that knows them: the schemes of v1.openapi.json.
KEYS, PEOPLE = ("key", "xApiKey", "apiKey"), ("accessToken", "session")
SECURITY: dict[str, tuple[str, ...]] = {
    "anybody": (),
    "by_no_other_page": (),
    "with_key": KEYS,
    "by_the_door": KEYS,
    "as_operator": PEOPLE,
    "may_as_person": PEOPLE,
    "may_in_account": (*KEYS, *PEOPLE),
    "may_in_project": (*KEYS, *PEOPLE),
    "may_in_own": (*KEYS, *PEOPLE),
}

# OpenAPI is JSON of an open shape; nothing but the pages reads it.
Document = Mapping[str, Any]


def load_proxy_document() -> dict[str, Any]:
    """Read the hand-written part: the endpoints that are raw ASGI and that the framework cannot describe."""
    data = resources.files("gateway.web").joinpath("v1.openapi.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, Any])


def compose_document(derived: Document, written: Document, routes: Iterable[Any] = ()) -> dict[str, Any]:
    """Make the whole document: what the framework derives, the faults that it does not know of, and what is written.

    ``routes`` are the framework's; what their handlers take and whom they let in, it does not tell either.
    """
    return join_documents(describe_routes(describe_faults(derived), routes), written)


def describe_routes(derived: Document, routes: Iterable[Any]) -> dict[str, Any]:
    """Add to each operation the parameters of its query and the credentials that its guards know."""
    paths = {path: dict(item) for path, item in derived.get("paths", {}).items()}
    for route in routes:
        for handler in getattr(route, "route_handlers", ()):
            for method in map(str.lower, getattr(handler, "http_methods", ())):
                if method in paths.get(route.path_format, {}):
                    known = paths[route.path_format][method]
                    taken = [parameter.describe() for parameter in handler.opt.get(QUERY, {}).values()]
                    told: dict[str, Any] = {"parameters": [*known.get("parameters", ()), *taken]} if taken else {}
                    if BODY in handler.opt:
                        schema = {"$ref": f"#/components/schemas/{handler.opt[BODY]}"}
                        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
                    paths[route.path_format][method] = {**known, **told, "security": find_security(handler)}
    return {**derived, "paths": paths}


def find_security(handler: Any) -> list[dict[str, list[str]]]:
    """Which credentials a handler takes, of which one is enough; none for what is open to anybody."""
    names = {guard.__qualname__.partition(".")[0] for guard in handler.resolve_guards()}
    return [{scheme: []} for name in sorted(names) for scheme in SECURITY[name]]


def describe_faults(derived: Document) -> dict[str, Any]:
    """Add to each operation the answers by which its path's surface tells a fault."""
    components = derived.get("components", {})
    return {
        **derived,
        "paths": {path: _describe_faults(path, item) for path, item in derived.get("paths", {}).items()},
        "components": {**components, "schemas": {**components.get("schemas", {}), **_ENVELOPE_SCHEMAS}},
    }


def join_documents(derived: Document, written: Document) -> dict[str, Any]:
    """Add the paths, tags and components of ``written`` to ``derived``; where both have a path, ``written`` wins.

    Raises ValueError where both define a component: references to it would be ambiguous.
    """
    mine, theirs = derived.get("components", {}), written.get("components", {})
    twice = [f"{kind}/{name}" for kind in theirs for name in theirs[kind] if name in mine.get(kind, {})]
    if twice:
        raise ValueError(f"defined by a handler and by v1.openapi.json: {twice}; rename one of them")
    return {
        **derived,
        "tags": [*written.get("tags", ()), *derived.get("tags", ())],
        "paths": {**written.get("paths", {}), **_without(derived.get("paths", {}), written.get("paths", {}))},
        "components": {kind: {**mine.get(kind, {}), **theirs.get(kind, {})} for kind in sorted({*mine, *theirs})},
    }


def _without(items: Document, known: Document) -> dict[str, Any]:
    return {name: item for name, item in items.items() if name not in known}


def _describe_faults(path: str, item: Document) -> dict[str, Any]:
    surface = surface_of(path, {})
    schema = {"$ref": f"#/components/schemas/{ENVELOPES[surface].__name__}"}
    content = {"application/json": {"schema": schema}}
    statuses = STATUSES[surface] if path.startswith(_GUARDED) else ()
    faults = {str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
    bodiless = _without(faults, dict.fromkeys(map(str, OF_BODIES)))
    described: dict[str, Any] = {}
    for method, operation in item.items():
        own = _without_frameworks(operation.get("responses", {}))
        described[method] = {**operation, "responses": {**(bodiless if method in BODILESS else faults), **own}}
    return described


def _without_frameworks(responses: Document) -> dict[str, Any]:
    def is_frameworks(response: Document) -> bool:
        contents = response.get("content", {}).values()
        return any(content.get("schema", {}).get("description") == _FRAMEWORKS_OWN for content in contents)

    return {status: response for status, response in responses.items() if not is_frameworks(response)}


def _envelope_schemas() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(ENVELOPES.values(), ref_template="#/components/schemas/{name}")
    return schemas


_ENVELOPE_SCHEMAS = _envelope_schemas()


class DocumentPlugin(JsonRenderPlugin):
    """Serves the joined document as /schema/openapi.json."""

    def __init__(self, written: Document) -> None:
        super().__init__()
        self._written = written

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Join and encode the document."""
        return encode_json(compose_document(openapi_schema, self._written, request.app.routes))


def build_openapi_config(*, version: str) -> OpenAPIConfig:
    """Configure the framework to serve the document, and nothing that a browser would load from elsewhere."""
    return OpenAPIConfig(
        title="WatchLLM",
        version=version,
        description="One OpenAI-compatible address for every model, metered to the picodollar.",
        path="/schema",
        render_plugins=[DocumentPlugin(load_proxy_document())],
    )
