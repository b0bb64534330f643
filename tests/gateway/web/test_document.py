"""Proves the hand-written part of the OpenAPI document and its joining."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.web.document import join_documents, load_proxy_document

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
