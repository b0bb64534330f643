"""Proves the hand-written part of the OpenAPI document and its joining."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.routes import describe_api
from gateway.web.document import STATUSES, compose_document, describe_faults, join_documents, load_proxy_document

ENDPOINTS = {"/v1/chat/completions", "/v1/completions", "/v1/embeddings"}


def references(node: object) -> Iterator[str]:
    """Yield every $ref below a node."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def test_every_proxied_endpoint_is_described() -> None:
    """What bypasses the framework is written by hand, and nothing else is."""
    assert load_proxy_document()["paths"].keys() == ENDPOINTS


def test_every_reference_leads_somewhere() -> None:
    """A reader's tool does not stop at a broken link."""
    document = load_proxy_document()
    for reference in set(references(document)):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node


def test_every_component_is_used() -> None:
    """What nothing refers to goes."""
    document = load_proxy_document()
    used = set(references(document))
    defined = {
        f"#/components/{kind}/{name}"
        for kind, items in document["components"].items()
        for name in items
        if kind != "securitySchemes"
    }
    assert defined == used


def test_every_operation_is_told_apart() -> None:
    """Generators name functions by operationId."""
    ids = [operation["operationId"] for item in load_proxy_document()["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_joining_keeps_both_and_prefers_the_written_path() -> None:
    """The written description of a path is the richer one."""
    derived = {"info": {}, "paths": {"/a": {"get": {}}, "/b": {}}, "components": {"schemas": {"X": {}}}}
    written = {
        "tags": [{"name": "T"}],
        "paths": {"/a": {"post": {}}},
        "components": {"schemas": {"Y": {}}, "headers": {}},
    }
    assert join_documents(derived, written) == {
        "info": {},
        "tags": [{"name": "T"}],
        "paths": {"/a": {"post": {}}, "/b": {}},
        "components": {"schemas": {"X": {}, "Y": {}}, "headers": {}},
    }


def test_a_component_has_one_definition() -> None:
    """Two schemas of one name would make every reference ambiguous."""
    part = {"components": {"schemas": {"X": {}}}}
    with pytest.raises(ValueError, match="schemas/X"):
        join_documents(part, part)


def test_the_examples_are_json() -> None:
    """They are shown, and pasted."""
    assert json.dumps(load_proxy_document())


FRAMEWORKS = {"content": {"application/json": {"schema": {"description": "Validation Exception"}}}}
SURFACES = {
    "/api/account": ("W", "Envelope"),
    "/api/v1/deploy": ("S", "EnvelopeS"),
    "/api/v1/auth/login": ("A", "EnvelopeA"),
    "/v1/usage": ("E", "EnvelopeE"),
}


@pytest.mark.parametrize("path", SURFACES)
def test_a_fault_is_described_as_its_surface_tells_it(path: str) -> None:
    """Its statuses and its envelope; what the framework believes of a bad request goes, what a handler says stays."""
    surface, name = SURFACES[path]
    own = {"200": {"description": "own"}, "503": {"description": "mine"}, "400": FRAMEWORKS}
    described = describe_faults({"paths": {path: {"get": {"responses": own}, "post": {"responses": own}}}})
    responses = described["paths"][path]["post"]["responses"]
    # What is asked without a body has none that is wrong.
    assert described["paths"][path]["get"]["responses"].keys() == responses.keys() - {"413", "415"}
    assert responses.keys() == {str(status) for status in STATUSES[surface]} | {"200", "503"}  # type: ignore[index]
    assert (responses["200"], responses["503"]) == (own["200"], own["503"])
    reference = f"#/components/schemas/{name}"
    assert responses["400"]["content"]["application/json"]["schema"]["$ref"] == reference
    assert name in described["components"]["schemas"]


def test_an_open_page_tells_no_fault() -> None:
    """/health has no credential to be wrong."""
    described = describe_faults({"paths": {"/health": {"get": {"responses": {"200": {}}}}}})
    assert described["paths"]["/health"]["get"]["responses"] == {"200": {}}


def test_every_reference_of_the_whole_leads_somewhere() -> None:
    """The envelopes' insides too."""
    paths = {path: {"get": {"responses": {}}} for path in SURFACES}
    document = compose_document({"paths": paths}, load_proxy_document())
    for reference in set(references(document)):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """The document that a running gateway serves."""
    return describe_api("1")


def test_every_operation_says_who_may_ask(whole: dict[str, Any]) -> None:
    """By schemes that are there; nothing but what is open to anybody goes without."""
    told = {
        f"{method.upper()} {path}": [next(iter(each)) for each in operation["security"]]
        for path, item in whole["paths"].items()
        for method, operation in item.items()
    }
    keys, people = ["key", "xApiKey", "apiKey"], ["accessToken", "session"]
    assert {name for name, schemes in told.items() if not schemes} == {
        "GET /",
        "GET /health",
        "GET /metrics",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/refresh",
        "POST /api/v1/auth/register",
    }
    assert told["POST /v1/chat/completions"] == told["GET /v1/models"] == keys
    assert told["GET /api/users"] == told["POST /api/v1/auth/password"] == people
    assert told["GET /api/overview"] == told["POST /api/budgets"] == [*keys, *people]
    assert {scheme for schemes in told.values() for scheme in schemes} == whole["components"]["securitySchemes"].keys()


@pytest.mark.parametrize("path", sorted(ENDPOINTS))
def test_a_proxied_call_tells_its_refusals_and_what_steers_it(path: str) -> None:
    """The statuses of money, time and our own mistakes; every header of README's table."""
    document = load_proxy_document()
    operation = document["paths"][path]["post"]
    assert operation["responses"].keys() >= {"402", "408", "500"}
    names = {
        document["components"]["parameters"][each["$ref"].rpartition("/")[2]]["name"]
        for each in operation["parameters"]
    }
    assert names == {
        "cache-control",
        "x-watchllm-cache",
        "x-watchllm-cache-ttl",
        "x-watchllm-max-cost-usd",
        "x-watchllm-max-wrong-hit-rate",
        "x-watchllm-max-wrong-rate",
        "x-watchllm-session",
        "x-watchllm-tags",
    }


def test_what_the_framework_does_not_read_is_told_too(whole: dict[str, Any]) -> None:
    """A quote's body is a chat's; the metrics are not for every address."""
    body = whole["paths"]["/v1/quote"]["post"]["requestBody"]
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ChatRequest"}
    assert whole["paths"]["/metrics"]["get"]["responses"].keys() == {"200", "403"}


def test_the_parameters_of_views_are_told(whole: dict[str, Any]) -> None:
    """Each with what it takes."""
    paths = {
        "/api/projects/{project_id}/usage": {"from", "to", "limit", "model", "project_id"},
        "/api/projects/{project_id}/usage/export": {"from", "to", "limit", "model", "project_id"},
        "/api/overview": {"range", "from", "to", "project_id"},
        "/api/dashboard/stats": {"period"},
        "/v1/usage": {"period"},
        "/api/simulation": {"model", "range", "from", "to", "project_id"},
        "/api/budgets/simulation": {"scope", "scope_id", "installation", "window", "limit_usd"},
        "/api/providers/health": {"range", "from", "to", "project_id"},
        "/api/catalogue": {"search", "provider", "callable", "limit", "after"},
    }
    for path, names in paths.items():
        assert {each["name"] for each in whole["paths"][path]["get"]["parameters"]} == names
    purge = whole["paths"]["/api/projects/{project_id}/cache"]["delete"]["parameters"]
    assert {each["name"] for each in purge} == {"project_id", "tag", "model", "before", "entry"}
    assert len(whole["paths"]["/api/requests"]["get"]["parameters"]) == 21
