"""What the document says of bodies: which of them take no other field."""

from typing import Any

import pytest

from gateway.routes import describe_api


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    """Every component of the document."""
    found: dict[str, Any] = describe_api("1")["components"]["schemas"]
    return found


@pytest.mark.parametrize("name", ["KeyBody", "AccountKeyBody", "CredentialBody", "ResetBody", "RotateBody"])
def test_a_body_that_refuses_unknown_fields_says_so(schemas: dict[str, Any], name: str) -> None:
    """Whoever makes a client from the document makes one that is not refused."""
    assert schemas[name]["additionalProperties"] is False
    assert schemas[name]["properties"]


@pytest.mark.parametrize("name", ["RegisterBody", "LoginBody", "KeyView"])
def test_others_leave_it_open(schemas: dict[str, Any], name: str) -> None:
    """What the documents' own clients send beside is passed over, and an answer may have more one day."""
    assert "additionalProperties" not in schemas[name]
