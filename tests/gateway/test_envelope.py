"""Faults as surface W writes them: OpenAI's envelope and the headers about retrying."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.envelope import Surface, envelope, fault_headers, render
from gateway.errors import KINDS, Fault


def body_of(fault: Fault) -> Any:
    """The envelope, decoded."""
    return json.loads(envelope(fault))


@pytest.mark.parametrize("code", KINDS)
def test_an_envelope_has_exactly_five_members(code: str) -> None:
    """message, type, param, code and details, for every kind of fault."""
    assert body_of(Fault(code, "No.")) == {
        "error": {"message": "No.", "type": KINDS[code].type, "param": None, "code": KINDS[code].code, "details": {}}
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


# Row C2: the kind, and what it is at E, S and A.
RENDERED: dict[str, tuple[tuple[int, str], tuple[int, str], tuple[int, str]]] = {
    "no_credential": ((401, "invalid_api_key"), (401, "UNAUTHORIZED"), (401, "AUTH_REQUIRED")),
    "invalid_api_key": ((401, "invalid_api_key"), (401, "UNAUTHORIZED"), (401, "AUTH_INVALID")),
    "insufficient_scope": ((403, "insufficient_scope"), (403, "FORBIDDEN"), (403, "FORBIDDEN")),
    "not_found": ((404, "not_found"), (404, "NOT_FOUND"), (404, "NOT_FOUND")),
    "invalid_request": ((400, "invalid_request"), (400, "INVALID_INPUT"), (400, "VALIDATION_ERROR")),
    "rule_broken": ((400, "invalid_request"), (422, "VALIDATION_ERROR"), (400, "VALIDATION_ERROR")),
    "invalid_model": ((404, "not_found"), (404, "NOT_FOUND"), (404, "NOT_FOUND")),
    "rate_limit_exceeded": ((429, "rate_limit_exceeded"), (429, "RATE_LIMITED"), (429, "RATE_LIMITED")),
    "quota_exceeded": ((429, "quota_exceeded"), (429, "RATE_LIMITED"), (429, "RATE_LIMITED")),
    "provider_error": ((500, "api_error"), (500, "SERVICE_ERROR"), (503, "SERVICE_UNAVAILABLE")),
    "maintenance": ((500, "api_error"), (500, "SERVICE_ERROR"), (503, "SERVICE_UNAVAILABLE")),
    "server_error": ((500, "api_error"), (500, "SERVICE_ERROR"), (500, "INTERNAL_ERROR")),
    "method_not_allowed": ((400, "invalid_request"), (400, "INVALID_INPUT"), (400, "VALIDATION_ERROR")),
}


@pytest.mark.parametrize("name", RENDERED)
def test_a_fault_is_what_each_document_calls_it(name: str) -> None:
    """Status and code, by row C2."""
    surfaces: tuple[Surface, ...] = ("E", "S", "A")
    for surface, (status, code) in zip(surfaces, RENDERED[name], strict=True):
        rendered, body = render(Fault(name, "No."), surface, "x")
        told = json.loads(body)
        assert (rendered, told["code"] if surface == "A" else told["error"]["code"]) == (status, code)


@pytest.mark.row("E20")
@pytest.mark.parametrize("name", KINDS)
def test_every_fault_has_a_status_of_the_document(name: str) -> None:
    """A client of E, S or A never meets a status that its document does not know; E's 403 is added by row C2."""
    known = {"E": {400, 401, 403, 404, 429, 500}, "S": {400, 401, 403, 404, 422, 429, 500}}
    known["A"] = {400, 401, 402, 403, 404, 429, 500, 503}
    surfaces: tuple[Surface, ...] = ("E", "S", "A")
    for surface in surfaces:
        assert render(Fault(name, "No."), surface, "x")[0] in known[surface]
    if KINDS[name].status != 403:
        assert render(Fault(name, "No."), "E", "x")[0] != 403


def test_the_envelopes_are_the_documents() -> None:
    """Where the id stands, what ``error`` is, and how a field is named."""
    fault = Fault("rule_broken", "Too short.", param="password", details={"limit": 8})
    assert json.loads(render(fault, "S", "abc")[1]) == {
        "error": {
            "code": "VALIDATION_ERROR",
            "message": "Too short.",
            "details": {"field": "password", "reason": "Too short.", "limit": 8},
        },
        "request_id": "req-abc",
    }
    assert json.loads(render(fault, "A", "abc")[1]) == {
        "error": "Too short.",
        "code": "VALIDATION_ERROR",
        "details": {"field": "password", "limit": 8},
    }
    assert json.loads(render(fault, "E", "abc")[1]) == {
        "error": {
            "code": "invalid_request",
            "message": "Too short.",
            "type": "invalid_request_error",
            "request_id": "req_abc",
        }
    }
    assert render(fault, "W", "abc") == (400, envelope(fault))


@pytest.mark.row("A49")
def test_a_knows_ten_statuses() -> None:
    """Whatever happens; 403 is somebody else's object or a missing permission."""
    statuses = {name: render(Fault(name, "No."), "A", "1")[0] for name in KINDS}
    assert set(statuses.values()) <= {400, 401, 402, 403, 404, 429, 500, 503}
    assert {statuses["foreign"], statuses["insufficient_scope"]} == {403}
