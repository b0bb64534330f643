"""JSON Schema as far as the OpenAPI document uses it: what does not fit, and values that do."""

from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
# Words that say nothing about what fits.
SILENT = {"description", "title", "examples", "example", "default", "format", "deprecated", "discriminator", "nullable"}
KNOWN = {
    *SILENT, "$ref", "type", "enum", "const", "oneOf", "anyOf", "allOf", "properties", "required", "items",
    "additionalProperties", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern",
    "exclusiveMinimum", "contentMediaType",
}  # fmt: skip
MAX_DEPTH = 4
ANY_TEXT = st.text(max_size=40) | st.sampled_from(["", "\0", "\ud7ff", "0", "null", "../..", "%", "'--", "a" * 300])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)


def follow(schema: Schema, document: Schema) -> Schema:
    """Read a reference."""
    while "$ref" in schema:
        node: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        schema = node
    return schema


def find_misfit(value: Any, schema: Schema, document: Schema, place: str = "$") -> str | None:
    """Say where a value does not fit a schema; None: it does."""
    schema = follow(schema, document)
    assert not schema.keys() - KNOWN, f"the document uses words that are not checked: {schema.keys() - KNOWN}"
    for word in ("oneOf", "anyOf"):
        if word in schema and all(find_misfit(value, each, document, place) for each in schema[word]):
            return f"{place}: none of {word}"
    for each in schema.get("allOf", ()):
        if found := find_misfit(value, each, document, place):
            return found
    if "enum" in schema and value not in schema["enum"]:
        return f"{place}: {value!r} is not one of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        return f"{place}: {value!r} is not {schema['const']!r}"
    return _find_wrong_type(value, schema, place) or _find_misfit_inside(value, schema, document, place)


def _find_wrong_type(value: Any, schema: Schema, place: str) -> str | None:
    given = schema.get("type")
    wanted = [given] if isinstance(given, str) else given
    if wanted is None or any(_is_of(value, name) for name in wanted):
        return None
    return f"{place}: {value!r} is no {given}"


def _is_of(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _find_misfit_inside(value: Any, schema: Schema, document: Schema, place: str) -> str | None:
    if isinstance(value, list) and "items" in schema:
        found = (find_misfit(each, schema["items"], document, f"{place}[{n}]") for n, each in enumerate(value))
        return next(filter(None, found), None)
    if not isinstance(value, dict):
        return None
    missing = set(schema.get("required", ())) - value.keys()
    if missing:
        return f"{place}: {sorted(missing)} are missing"
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name, each in value.items():
        inside = known.get(name, others)
        if inside is False:
            return f"{place}.{name}: is not in the document"
        if isinstance(inside, dict) and (found_inside := find_misfit(each, inside, document, f"{place}.{name}")):
            return found_inside
    return None


def values(schema: Schema, document: Schema, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that fit a schema, its bounds of length and size aside."""
    schema = follow(schema, document)
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return st.one_of([values(each, document, depth + 1) for each in schema[word]])
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    given = schema.get("type", "any")
    kinds: list[str] = [given] if isinstance(given, str) else given
    return st.one_of([_values_of(kind, schema, document, depth) for kind in kinds])


def _values_of(kind: str, schema: Schema, document: Schema, depth: int) -> st.SearchStrategy[Any]:
    if kind == "object":
        known = schema.get("properties", {})
        needed = set(schema.get("required", ()))
        if depth > MAX_DEPTH:
            known = {name: each for name, each in known.items() if name in needed}
        inside = {name: values(each, document, depth + 1) for name, each in known.items()}
        return st.fixed_dictionaries(
            {name: each for name, each in inside.items() if name in needed},
            optional={name: each for name, each in inside.items() if name not in needed},
        )
    if kind == "array":
        inner = schema.get("items")
        return st.lists(ANY_JSON if not inner or depth > MAX_DEPTH else values(inner, document, depth + 1), max_size=3)
    plain: dict[str, st.SearchStrategy[Any]] = {
        "string": ANY_TEXT,
        "integer": st.integers(-2, 2_000) | st.integers(),
        "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-2, 4),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return plain.get(kind, ANY_JSON)
