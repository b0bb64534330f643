"""Faults as surface W writes them: OpenAI's envelope and the headers about retrying."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.envelope import envelope, fault_headers
from gateway.errors import KINDS, Fault


def body_of(fault: Fault) -> Any:
    """The envelope, decoded."""
    return json.loads(envelope(fault))


@pytest.mark.parametrize("code", KINDS)
def test_an_envelope_has_exactly_five_members(code: str) -> None:
    """message, type, param, code and details, for every kind of fault."""
    assert body_of(Fault(code, "No.")) == {
        "error": {"message": "No.", "type": KINDS[code].type, "param": None, "code": code, "details": {}}
    }


def test_param_and_details_are_told() -> None:
    """Which field, and what to know about it."""
    error = body_of(Fault("invalid_request", "No.", param="n", details={"limit": 128, "near": None}))["error"]
    assert (error["param"], error["details"]) == ("n", {"limit": 128, "near": None})


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_message_is_one_line_of_json(message: str) -> None:
    """It is also the data of an error event, which ends at a line end."""
    written = envelope(Fault("server_error", message))
    assert b"\n" not in written
    assert json.loads(written)["error"]["message"] == message


@pytest.mark.parametrize(
    ("retry_after_ms", "seconds"), [(0, "0"), (1, "1"), (999, "1"), (1_000, "1"), (1_001, "2"), (86_400_000, "86400")]
)
def test_a_wait_is_told_in_seconds_rounded_up_and_in_ms(retry_after_ms: int, seconds: str) -> None:
    """Rounded down, a client would come too early."""
    assert fault_headers(Fault("maintenance", "x", retry_after_ms=retry_after_ms)) == [
        ("retry-after", seconds),
        ("retry-after-ms", str(retry_after_ms)),
    ]


@pytest.mark.parametrize(("should_retry", "written"), [(True, "true"), (False, "false")])
def test_a_word_on_retrying_is_a_header(should_retry: bool, written: str) -> None:
    """The official clients obey x-should-retry."""
    assert fault_headers(Fault("maintenance", "x", should_retry=should_retry)) == [("x-should-retry", written)]


def test_a_fault_without_a_word_on_retrying_has_no_header() -> None:
    """Clients then decide by the status."""
    assert fault_headers(Fault("invalid_request", "x")) == []


def test_a_401_names_the_scheme() -> None:
    """RFC 9110 section 11.6.1."""
    assert ("www-authenticate", "Bearer") in fault_headers(Fault("invalid_api_key", "x"))
