"""Splicing JSON: what is named changes, every other byte stays."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import splice

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(['"model"', "{", "]", "\\", ","]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=6) | st.sampled_from(["model", "stream"]), VALUES, max_size=6)
LAYOUTS: list[dict[str, Any]] = [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}]


# To draw an object takes longer than to splice it: each is drawn once for all that is done to it.
@given(OBJECTS, st.sampled_from(LAYOUTS), st.sampled_from(["model", "stream", "absent"]))
def test_what_is_named_changes_and_nothing_else(value: dict[str, Any], layout: dict[str, Any], name: str) -> None:
    """Whatever the object and its layout."""
    find_members(value, layout)
    replace_one_value(value, layout)
    remove_one_member(value, layout, name)
    append_members(value, layout)
    if "to" not in value:
        rename_one_member(value, layout)


def find_members(value: dict[str, Any], layout: dict[str, Any]) -> None:
    """Each member's name and value are what a JSON parser reads there, whatever the layout."""
    body = json.dumps(value, **layout).encode()
    assert {m.name: json.loads(body[m.value_start : m.value_end]) for m in splice.members(body)} == value


def replace_one_value(value: dict[str, Any], layout: dict[str, Any]) -> None:
    """After a replacement the object differs in that member alone, and the bytes around it are untouched."""
    body = json.dumps(value | {"model": "a"}, **layout).encode()
    member = splice.find(body, "model")
    assert member is not None
    changed = splice.replace(body, "model", b'"b/c"')
    assert json.loads(changed) == value | {"model": "b/c"}
    assert changed[: member.value_start] + b'"a"' + changed[member.value_start + 5 :] == body


def remove_one_member(value: dict[str, Any], layout: dict[str, Any], name: str) -> None:
    """The rest of the object stays."""
    body = json.dumps(value, **layout).encode()
    assert json.loads(splice.remove(body, name)) == {k: v for k, v in value.items() if k != name}


def append_members(value: dict[str, Any], layout: dict[str, Any]) -> None:
    """Also to an empty object, where no comma belongs."""
    body = json.dumps(value, **layout).encode()
    assert json.loads(splice.append(body, b'"x-a":1,"x_b":"2"')) == value | {"x-a": 1, "x_b": "2"}


def rename_one_member(value: dict[str, Any], layout: dict[str, Any]) -> None:
    """Only the name's bytes change."""
    body = json.dumps(value | {"max_tokens": [1]}, **layout).encode()
    assert json.loads(splice.rename(body, "max_tokens", "to")) == value | {"to": [1]}


@pytest.mark.parametrize("size", [0, 1, splice.COPIED_BYTES - 20, splice.COPIED_BYTES, 2 * splice.COPIED_BYTES])
@pytest.mark.parametrize("form", ['{"a":"%s"}', '{"a":"%s" } \n', '{"a":"}%s{"}', '{"a":{"b":"%s"}\t}'])
def test_parts_to_be_sent_are_the_whole(form: str, size: int) -> None:
    """Whether a body is copied or not, the bytes that leave are the same."""
    body = (form % ("x" * size)).encode()
    assert b"".join(splice.append_apart(body, b'"y":1')) == splice.append(body, b'"y":1')


def test_nothing_stands_before_the_first_member_of_a_large_object() -> None:
    """An object of nothing but blanks gets no comma."""
    body = b"{" + b" " * splice.COPIED_BYTES + b"}"
    assert json.loads(b"".join(splice.append_apart(body, b'"y":1'))) == {"y": 1}


def test_duplicates_are_all_listed_and_all_removed() -> None:
    """A parser would see the last only; whoever checks must see each."""
    body = b'{"model":"a","x":1,"model":"b"}'
    assert [m.name for m in splice.members(body)] == ["model", "x", "model"]
    assert splice.remove(body, "model") == b'{"x":1}'


def test_an_escaped_name_is_decoded() -> None:
    """JSON may write a name with escapes."""
    assert splice.find(b'{"mod\\u0065l":"a"}', "model") is not None


def test_what_is_not_there_cannot_be_replaced() -> None:
    """Silence would lose a change."""
    with pytest.raises(KeyError):
        splice.replace(b'{"a":"model"}', "model", b"1")


@given(st.integers(1, 200), st.booleans(), st.integers(1, 100))
def test_depth_is_exact_whatever_strings_hold(depth: int, in_string: bool, limit: int) -> None:
    """Brackets inside strings are no depth; more than the limit is found, the limit itself passes."""
    noise = '"' + "[{" * 300 + '"' if in_string else "[]," * 300 + "1"
    body = ('{"n":[' + noise + '],"x":' + "[" * (depth - 1) + "]" * (depth - 1) + "}").encode()
    if depth == 1:
        body = body.replace(b'"x":', b'"x":1')
    assert splice.depth_exceeds(body, max(limit, 3)) == (max(depth, 2 if in_string else 3) > max(limit, 3))


@pytest.mark.parametrize(
    ("data", "mended"),
    [
        (b'"a"', None),
        (b'"\\ud83d\\ude00"', None),
        (b'"\\\\ud83d"', None),
        (b'"\\ud83d"', b'"\\ufffd"'),
        (b'"\\uDE00\\ud83d"', b'"\\ufffd\\ufffd"'),
        (b'"\\ud83d\\ud83d\\ude00"', b'"\\ufffd\\ud83d\\ude00"'),
        (b'"\\ud83d \\ude00"', b'"\\ufffd \\ufffd"'),
        (b'\xef\xbb\xbf"a"', b'"a"'),
        (b'{"a":-Infinity,"b":[NaN, Infinity]}', b'{"a":null,"b":[null, null]}'),
        (b'{"a":NaN,"b":", NaN"}', b'{"a":null,"b":", NaN"}'),
        (b'{"a":":NaN \\"NaN"}', None),
    ],
)
def test_only_what_strict_readers_refuse_is_mended(data: bytes, mended: bytes | None) -> None:
    """Pairs stay, and what only looks like a half of a character, or like a number that is none."""
    assert splice.mend(data) == mended


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"a", "a"), ("\u20ac".encode(), "\u20ac"), (b"a\xff", "a\ufffd"), (b"\xe2\x82", "\ufffd")],
)
def test_bytes_become_text(data: bytes, text: str) -> None:
    """What is UTF-8 stays as it is."""
    assert splice.as_text(data).decode() == text
