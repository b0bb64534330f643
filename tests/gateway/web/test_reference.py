"""Proves that any OpenAPI document becomes a page, and that nothing in it becomes markup."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from gateway.web.document import load_proxy_document
from gateway.web.reference import render_reference

EVIL = '<script>alert("1")</script>'
VOID = {"meta", "link", "br"}


class Checker(HTMLParser):
    """Collects ids and links, and fails where tags are not nested."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found["href"] or ""] if tag == "a" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def render(**changes: Any) -> tuple[str, Checker]:
    document = {"info": {"title": "T", "version": "1"}, **load_proxy_document(), **changes}
    page = render_reference(document=document, look="").decode()
    checker = Checker()
    checker.feed(page)
    assert checker.open == ["path", "path"] * page.count("<svg") or checker.open == []
    return page, checker


def operation(**parts: Any) -> dict[str, Any]:
    return {"/x": {"get": parts}}


def test_every_link_inside_the_page_arrives() -> None:
    """The side bar and the types lead to what they name."""
    _, checker = render()
    inside = {link.removeprefix("#") for link in checker.links if link.startswith("#")}
    assert inside <= set(checker.ids)


def test_no_id_comes_twice() -> None:
    """An anchor is one place."""
    _, checker = render()
    assert len(checker.ids) == len(set(checker.ids))


def test_an_operation_shows_all_its_parts() -> None:
    """Parameters, body, example, statuses and headers are there."""
    page, _ = render()
    for text in ("x-watchllm-cache", "messages", "Hello!", ">504<", "x-watchllm-cost-usd", "required", "POST"):
        assert text in page


PLACES: list[dict[str, Any]] = [
    {"info": {"title": EVIL, "version": EVIL, "description": EVIL}},
    {"tags": [{"name": EVIL, "description": EVIL}], "paths": operation(tags=[EVIL])},
    {"paths": {f"/{EVIL}": {"get": {"summary": EVIL, "description": EVIL}}}},
    {"paths": operation(parameters=[{"name": EVIL, "in": EVIL, "description": EVIL, "schema": {"type": EVIL}}])},
    {"paths": operation(requestBody={"content": {EVIL: {"schema": {"enum": [EVIL]}, "example": {EVIL: EVIL}}}})},
    {"paths": operation(responses={EVIL: {"description": EVIL, "headers": {EVIL: {"description": EVIL}}}})},
    {"components": {"schemas": {EVIL: {"properties": {EVIL: {"default": EVIL, "format": EVIL}}}}}, "paths": {}},
    {"components": {"securitySchemes": {EVIL: {}}}, "paths": operation(description=f"`{EVIL}`")},
]


@pytest.mark.parametrize("changes", PLACES)
def test_nothing_becomes_markup(changes: dict[str, Any]) -> None:
    """Titles, names, examples and code alike are escaped."""
    page, _ = render(**changes)
    assert "<script" not in page


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"type": "string", "format": "date"}, "string (date)"),
        ({"type": "array", "items": {"type": "integer"}}, "array of integer"),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "string or integer"),
        ({"$ref": "#/components/schemas/ChatMessage"}, '<a href="#schema-ChatMessage">ChatMessage</a>'),
        ({}, "any"),
    ],
)
def test_a_type_is_named(schema: dict[str, Any], shown: str) -> None:
    """Types read as words, and named ones are links."""
    page, _ = render(paths=operation(parameters=[{"name": "p", "in": "query", "schema": schema}]))
    assert f'<span class="type">{shown}</span>' in page


def test_inline_objects_are_unfolded() -> None:
    """Fields of a field are named by their path."""
    page, _ = render()
    assert re.search(r"<code>error\.code</code>", page)


def test_a_schema_that_holds_itself_ends() -> None:
    """References are links, so a cycle is no loop."""
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}}
    page, _ = render(components={"schemas": {"Node": node}}, paths={})
    assert "schema-Node" in page


def test_a_broken_reference_is_no_error() -> None:
    """A page with a gap is better than none."""
    page, _ = render(paths=operation(requestBody={"$ref": "#/components/requestBodies/Nothing"}))
    assert "/x" in page
