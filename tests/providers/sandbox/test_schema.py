"""Values invented from a JSON schema."""

import json
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.sandbox.schema import invent


class Leaf(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=30, max_length=40)]
    size: Annotated[int, msgspec.Meta(gt=4, le=10, multiple_of=5)]
    share: Annotated[float, msgspec.Meta(gt=0.1, lt=0.2)]
    kind: Literal["b", "a"]
    note: str | None


class Tree(msgspec.Struct):
    leaf: Leaf
    leaves: Annotated[list[Leaf], msgspec.Meta(min_length=3)]
    pair: tuple[int, str]
    children: list["Tree"]
    parent: "Tree | None"
    flag: bool
    table: dict[str, int]


def test_a_value_is_valid_under_its_schema() -> None:
    """References, recursion, alternatives, bounds and enumerations make a value that msgspec accepts."""
    value = invent(msgspec.json.schema(Tree))
    assert msgspec.convert(value, Tree).leaf.kind == "a"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "value"),
        ({"type": "string", "format": "email"}, "user@example.com"),
        ({"type": "string", "minLength": 7}, "valuexx"),
        ({"type": "string", "maxLength": 2}, "va"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -5}, -5),
        ({"type": "integer", "exclusiveMaximum": 1}, 0),
        ({"type": "integer", "minimum": 5, "multipleOf": 4}, 8),
        ({"type": "number", "minimum": 1, "maximum": 2}, 1.5),
        ({"type": "number"}, 1),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["string", "null"]}, "value"),
        ({"const": 7}, 7),
        ({"enum": ["red", "green"]}, "red"),
        ({"type": "object"}, {}),
        ({"properties": {"city": {"type": "string"}}}, {"city": "city"}),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [1, 1, 1]),
        ({"type": "array", "maxItems": 0}, []),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"oneOf": [{"$ref": "#/$defs/a~1b"}], "$defs": {"a/b": {"const": 2}}}, 2),
        (
            {"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}], "type": "object"},
            {"a": 1, "b": 2},
        ),
        ({"$ref": "#/nowhere"}, "value"),
        (True, "value"),
        (None, "value"),
        (7, "value"),
    ],
)
def test_a_schema_has_its_value(schema: object, value: object) -> None:
    """What each keyword makes."""
    assert invent(schema) == value


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}] * 9},
        {"anyOf": [{"$ref": "#"}] * 9},
        {"properties": {str(i): {"$ref": "#"} for i in range(9)}},
        {"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]},
        {"type": "array", "minItems": 64, "items": {"$ref": "#"}},
    ],
)
def test_a_schema_without_end_has_an_end(schema: object) -> None:
    """Recursion that multiplies is bounded in depth and in values."""
    assert len(json.dumps(invent(schema))) < 100_000


KEYWORDS = [
    "type",
    "properties",
    "items",
    "anyOf",
    "allOf",
    "$ref",
    "enum",
    "minimum",
    "maxLength",
    "required",
    "minItems",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_json_has_a_value(schema: object) -> None:
    """Whatever stands in the place of a schema, something is made, and always the same."""
    assert msgspec.json.encode(invent(schema)) == msgspec.json.encode(invent(schema))
