"""Every fault has a row; what it shows of a value is quoted and bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import KINDS, MAX_SHOWN_CHARS, Fault, shown

# interface.md, "Status codes beyond the documents".
PROMISED = {
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "request_too_large": 413,
    "unsupported_media_type": 415,
    "upstream_timeout": 504,
    "upstream_truncated": 502,
    "upstream_invalid": 502,
    "upstream_unreachable": 502,
    "invalid_model": 400,
    "cache_miss": 504,
    "service_unavailable": 503,
}


@pytest.mark.parametrize(("code", "status"), PROMISED.items())
def test_a_promised_code_has_its_status(code: str, status: int) -> None:
    """As the interface names them."""
    assert KINDS[code].status == status


@pytest.mark.parametrize("code", KINDS)
def test_every_row_is_an_error_that_says_when_it_is_used(code: str) -> None:
    """A status of 4xx or 5xx, a type, and a sentence for the reference."""
    kind = KINDS[code]
    assert (kind.name or kind.code, 400 <= kind.status < 600, bool(kind.type), kind.meaning[-1]) == (
        code,
        True,
        True,
        ".",
    )


@pytest.mark.parametrize("code", KINDS)
def test_a_fault_is_its_kinds_unless_told_otherwise(code: str) -> None:
    """Status, code and type come from the row."""
    fault = Fault(code, "x")
    kind = KINDS[code]
    assert (fault.status, fault.code, fault.type) == (kind.status, kind.code, kind.type)


def test_a_relayed_error_keeps_the_providers_own() -> None:
    """Status, code and type of its own, under the kind that it is."""
    fault = Fault("invalid_request", "x", status=422, shown_code="odd", shown_type="their_error")
    assert (fault.status, fault.code, fault.type, fault.kind.code) == (422, "odd", "their_error", "invalid_request")


def test_a_fault_without_a_row_is_a_mistake_of_ours() -> None:
    """Codes are promises: they are in the table before they are used."""
    with pytest.raises(KeyError):
        Fault("made_up", "x")


@given(st.text() | st.binary() | st.integers())
def test_a_shown_value_is_one_bounded_line(value: object) -> None:
    """Whatever a caller sends, a message has no line end of its and no megabyte."""
    text = shown(value)
    assert len(text) <= MAX_SHOWN_CHARS + 1
    assert text.isprintable()


def test_a_cut_value_says_that_it_is_cut() -> None:
    """An ellipsis, once."""
    assert shown("x" * 1_000).endswith("…")
