"""Values invented from a JSON schema: the same for the same schema, and valid under it.

Objects have every property, arrays one item or as many as they must; ``pattern`` and ``not`` are not looked at.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

MAX_DEPTH = 12
MAX_VALUES = 500
MAX_ITEMS = 64
MAX_LENGTH = 1_000

_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "date-time": "2024-01-01T12:00:00Z",
        "date": "2024-01-01",
        "time": "12:00:00Z",
        "duration": "P1D",
        "email": "user@example.com",
        "hostname": "example.com",
        "ipv4": "192.0.2.1",
        "ipv6": "2001:db8::1",
        "uri": "https://example.com/",
        "uuid": "00000000-0000-4000-8000-000000000000",
    }
)

Schema = dict[str, object]


def invent(schema: object) -> object:
    """Make a JSON value for a schema; anything that is no schema gets a string."""
    return _Inventor(_fields(schema)).value(schema, "value", 0)


class _Inventor:
    """Walks one schema; bounded in depth and in values, since references may multiply without end."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._left = MAX_VALUES
        self._by_type: Mapping[str, Callable[[Schema, str, int], object]] = {
            "object": self._object,
            "array": self._array,
            "string": _string,
            "integer": _integer,
            "number": _number,
            "boolean": lambda _schema, _name, _depth: True,
            "null": lambda _schema, _name, _depth: None,
        }

    def value(self, given: object, name: str, depth: int) -> object:
        """Make the value of a subschema that stands under ``name``."""
        self._left -= 1
        schema = self._resolve(_fields(given), depth)
        if "const" in schema:
            return schema["const"]
        choices = _items(schema.get("enum"))
        if choices:
            return choices[0]
        return self._by_type[_type_of(schema, self._is_deep(depth))](schema, name, depth)

    def _is_deep(self, depth: int) -> bool:
        return depth >= MAX_DEPTH or self._left <= 0

    def _is_endless(self, depth: int) -> bool:
        """Tell whether even what is required does not end: then the value is not valid, but there is one."""
        return depth > 2 * MAX_DEPTH or self._left <= -MAX_VALUES

    def _resolve(self, schema: Schema, depth: int) -> Schema:
        """Follow references, take the first alternative (the shallowest one when deep), and merge ``allOf``."""
        for _ in range(MAX_DEPTH):
            if isinstance(schema.get("$ref"), str):
                schema = self._lookup(str(schema["$ref"]))
                continue
            alternatives = _items(schema.get("anyOf")) or _items(schema.get("oneOf"))
            if not alternatives:
                break
            chosen = _fields(_null_of(alternatives) if self._is_deep(depth) else alternatives[0])
            schema = {name: part for name, part in schema.items() if name not in ("anyOf", "oneOf")} | chosen
        for part in _items(schema.get("allOf")):
            self._left -= 1
            if self._is_deep(depth):
                break
            schema = _merge(schema, self._resolve(_fields(part), depth + 1))
        return schema

    def _lookup(self, reference: str) -> Schema:
        place: object = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            place = _fields(place).get(step.replace("~1", "/").replace("~0", "~"))
        return _fields(place)

    def _object(self, schema: Schema, _name: str, depth: int) -> object:
        properties = _fields(schema.get("properties"))
        required = _items(schema.get("required"))
        names = [name for name in properties if not self._is_deep(depth) or name in required]
        if self._is_endless(depth):
            return {}
        return {name: self.value(properties[name], name, depth + 1) for name in names}

    def _array(self, schema: Schema, name: str, depth: int) -> object:
        least = _whole(schema.get("minItems"), 0)
        most = _whole(schema.get("maxItems"), MAX_ITEMS)
        prefix = _items(schema.get("prefixItems"))
        wanted = least if self._is_deep(depth) else max(least, 1, len(prefix))
        if self._is_endless(depth):
            return []
        kinds = [*prefix, *[schema.get("items")] * MAX_ITEMS]
        return [self.value(kinds[i], name, depth + 1) for i in range(min(wanted, most, MAX_ITEMS))]


def _string(schema: Schema, name: str, _depth: int) -> object:
    format_name = schema.get("format")
    text = _FORMATS.get(format_name, name) if isinstance(format_name, str) else name
    least = min(_whole(schema.get("minLength"), 0), MAX_LENGTH)
    return text.ljust(least, "x")[: _whole(schema.get("maxLength"), MAX_LENGTH)]


def _integer(schema: Schema, _name: str, _depth: int) -> object:
    step = _whole(schema.get("multipleOf"), 1) or 1
    low, high = _bounds(schema)
    start = 1 if low is None else int(low) + (low > int(low))
    if low is not None and start == schema.get("exclusiveMinimum"):
        start += 1
    start = -(-start // step) * step
    if high is None or (start <= high and start != schema.get("exclusiveMaximum")):
        return start
    top = int(high // 1)
    top -= top == schema.get("exclusiveMaximum")
    return top // step * step


def _number(schema: Schema, name: str, depth: int) -> object:
    low, high = _bounds(schema)
    whole = _integer(schema, name, depth)
    if low is None or high is None or "multipleOf" in schema:
        return whole
    return (low + high) / 2


def _bounds(schema: Schema) -> tuple[float | None, float | None]:
    def bound(*names: str) -> float | None:
        values = [value for value in map(schema.get, names) if isinstance(value, int | float)]
        return values[0] if values else None

    return bound("exclusiveMinimum", "minimum"), bound("exclusiveMaximum", "maximum")


def _type_of(schema: Schema, deep: bool) -> str:
    given = schema.get("type")
    kinds = [kind for kind in (_items(given) or [given]) if isinstance(kind, str) and kind in _TYPES]
    if deep and "null" in kinds:
        return "null"
    if kinds:
        return kinds[0]
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})


def _null_of(alternatives: list[object]) -> object:
    nulls = [alternative for alternative in alternatives if _fields(alternative).get("type") == "null"]
    return (nulls or alternatives)[0]


def _merge(schema: Schema, part: Schema) -> Schema:
    properties = _fields(schema.get("properties")) | _fields(part.get("properties"))
    required = [*_items(schema.get("required")), *_items(part.get("required"))]
    merged = {**schema, **part}
    return {**merged, "properties": properties, "required": required} if properties else merged


def _fields(value: object) -> Schema:
    return msgspec.convert(value, Schema) if isinstance(value, dict) else {}


def _items(value: object) -> list[object]:
    return msgspec.convert(value, list[object]) if isinstance(value, list) else []


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and value >= 0 else otherwise
