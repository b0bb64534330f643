"""The OpenAPI document: what the framework derives from its handlers, joined with the endpoints that bypass it."""

from collections.abc import Mapping
from importlib import resources
from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.serialization import encode_json

# OpenAPI is JSON of an open shape; nothing but the pages reads it.
Document = Mapping[str, Any]


def load_proxy_document() -> dict[str, Any]:
    """Read the hand-written part: the endpoints that are raw ASGI and that the framework cannot describe."""
    data = resources.files("gateway.web").joinpath("v1.openapi.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, Any])


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


def _without(paths: Document, known: Document) -> dict[str, Any]:
    return {path: item for path, item in paths.items() if path not in known}


class DocumentPlugin(JsonRenderPlugin):
    """Serves the joined document as /schema/openapi.json."""

    def __init__(self, written: Document) -> None:
        super().__init__()
        self._written = written

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Join and encode the document."""
        return encode_json(join_documents(openapi_schema, self._written))


def build_openapi_config(*, version: str) -> OpenAPIConfig:
    """Configure the framework to serve the document, and nothing that a browser would load from elsewhere."""
    return OpenAPIConfig(
        title="WatchLLM",
        version=version,
        description="One OpenAI-compatible address for every model, metered to the picodollar.",
        path="/schema",
        render_plugins=[DocumentPlugin(load_proxy_document())],
    )
