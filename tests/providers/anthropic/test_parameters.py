"""What becomes of every parameter of chat/completions."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from providers.anthropic.parameters import PARAMETERS, Fate, check_parameters, is_given, read_field, read_fields
from providers.errors import Unsupported

Encode = Callable[..., Any]
DROPPED = [name for name, rule in PARAMETERS.items() if rule.fate is Fate.DROPPED]
REFUSED = [name for name, rule in PARAMETERS.items() if rule.fate is Fate.REFUSED]
PASSED = [name for name, rule in PARAMETERS.items() if rule.fate is Fate.PASSED]
NEUTRAL = [(name, value) for name, rule in PARAMETERS.items() for value in rule.neutral]


@pytest.mark.parametrize("name", DROPPED)
def test_a_dropped_parameter_is_named_and_not_sent(encode: Encode, name: str) -> None:
    """Nothing vanishes in silence."""
    sent, request = encode({name: {"a": 1}})
    assert name not in sent
    assert request.dropped == (name,)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_parameter_is_the_callers_error(encode: Encode, name: str) -> None:
    """The reply would lack what was asked for, so the call is not made."""
    with pytest.raises(Unsupported) as caught:
        encode({name: {"a": 1}})
    assert caught.value.param == name


@pytest.mark.parametrize(("name", "value"), NEUTRAL)
def test_a_value_that_asks_for_nothing_is_left_out(encode: Encode, name: str, value: Any) -> None:
    """presence_penalty 0 is what Anthropic does anyway."""
    sent, request = encode({name: value})
    assert name not in sent
    assert request.dropped == ()


@pytest.mark.parametrize("name", PARAMETERS.keys() - {"messages"})
def test_null_is_absent(encode: Encode, name: str) -> None:
    """OpenAI's clients send null for what is not set."""
    assert encode({name: None}) == encode({})


@pytest.mark.parametrize("name", PASSED)
def test_a_member_of_anthropics_own_passes_byte_for_byte(encode: Encode, name: str) -> None:
    """Numbers, order and spaces stay as they came."""
    _, request = encode({name: {"z": 1.50, "a": [1, 2]}})
    assert b'"%b":{"z": 1.5, "a": [1, 2]}' % name.encode() in request.body
    assert request.dropped == ()


def test_an_unknown_parameter_is_dropped_and_named(encode: Encode) -> None:
    """Anthropic refuses members that it does not know."""
    sent, request = encode({"frobnicate": True})
    assert "frobnicate" not in sent
    assert request.dropped == ("frobnicate",)


def test_every_row_has_a_reason() -> None:
    """The table is the documentation."""
    assert [name for name, rule in PARAMETERS.items() if not rule.reason] == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":"\xff"}', b'"x"'])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    """The surface checks it before; the dialect trusts nobody."""
    with pytest.raises(Unsupported):
        read_fields(body)


def test_a_parameter_of_another_type_names_itself() -> None:
    """The caller learns which member to change."""
    with pytest.raises(Unsupported) as caught:
        read_field(read_fields(b'{"temperature":"hot"}'), "temperature", float)
    assert caught.value.param == "temperature"


def test_given_is_neither_absent_nor_null() -> None:
    """The two are the same to OpenAI."""
    values = [None, msgspec.Raw(), msgspec.Raw(b"null"), msgspec.Raw(b"0")]
    assert [is_given(value) for value in values] == [False, False, False, True]


def test_translated_parameters_are_not_checked_here() -> None:
    """Their own rooms read them."""
    dropped: list[str] = []
    check_parameters(read_fields(b'{"temperature":"hot","tools":7}'), dropped)
    assert dropped == []
