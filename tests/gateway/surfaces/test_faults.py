"""What ordinary handlers raise: always an envelope, never a page or a trace."""

from collections.abc import AsyncIterator
from typing import Any, Literal, cast

import httpx
import msgspec
import pytest
from litestar import Litestar, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody

from gateway.accounts.credentials import CredentialInvalid, UnknownCredential
from gateway.db import DatabaseUnavailable
from gateway.errors import Fault
from gateway.surfaces import faults

RAISED: dict[str, Exception] = {
    "fault": Fault("invalid_model", "No.", param="model", retry_after_ms=1_500),
    "down": DatabaseUnavailable("postgresql://user:c4n4ry@host is away"),
    "refused": CredentialInvalid("the secret has 0 characters", "api_key"),
    "missing": UnknownCredential("there is no credential for 'groq' here"),
    "bug": RuntimeError("c4n4ry"),
    "bad": HTTPException(status_code=400, detail="bad page", extra={"page": "x"}),
    "unauthorized": HTTPException(status_code=401),
    "forbidden": HTTPException(status_code=403),
    "large": HTTPException(status_code=413),
    "media": HTTPException(status_code=415),
    "teapot": HTTPException(status_code=418),
    "gateway": HTTPException(status_code=503, detail="later"),
}


@get("/raise/{name:str}")
async def fail(name: FromPath[str]) -> None:
    """Raise what the table says."""
    raise RAISED[name]


@post("/store")
async def store() -> None:
    """Take nothing but POST."""


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """A body."""

    kind: Literal["a", "b"]
    mode: Literal["x", "y"] | msgspec.UnsetType | None = msgspec.UNSET


@post("/wish")
async def wish(data: JSONBody[Wish]) -> None:
    """Take a body, or find a mistake of our own."""
    if data.kind == "b":
        b"\xff".decode()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a small app with the gateway's handlers."""
    app = Litestar([fail, store, wish], exception_handlers=faults.HANDLERS, openapi_config=None, logging_config=None)
    transport = httpx.ASGITransport(cast("Any", app))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        yield client


def error_of(response: httpx.Response) -> Any:
    """The inside of the envelope, which has exactly its five members."""
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "details"}
    return error


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("fault", 400, "invalid_model"),
        ("down", 503, "service_unavailable"),
        ("refused", 400, "invalid_request"),
        ("missing", 404, "not_found"),
        ("bug", 500, "server_error"),
        ("bad", 400, "invalid_request"),
        ("unauthorized", 401, "invalid_api_key"),
        ("forbidden", 403, "insufficient_scope"),
        ("large", 413, "request_too_large"),
        ("media", 415, "unsupported_media_type"),
        ("teapot", 418, "invalid_request"),
        ("gateway", 503, "server_error"),
    ],
)
async def test_whatever_is_raised_is_an_envelope(client: httpx.AsyncClient, name: str, status: int, code: str) -> None:
    """JSON, with the status and the code that say it."""
    response = await client.get(f"/raise/{name}")
    assert (response.status_code, error_of(response)["code"]) == (status, code)
    assert response.headers["content-type"] == "application/json"


async def test_a_mistake_of_ours_is_found_in_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """By the id that the answer has; the client is told nothing else."""
    response = await client.get("/raise/bug")
    (record,) = caplog.records
    assert response.headers["x-request-id"] in record.getMessage()
    assert "/raise/bug" in record.getMessage()
    assert record.exc_info is not None
    assert "c4n4ry" not in response.text


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b"", "The body is empty; this endpoint takes a JSON object.", None),
        (b"{", "The body is not valid JSON: Input data was truncated.", None),
        (b"[]", "The body is not what this endpoint takes: expected `object`, got `array`.", None),
        (b'{"kind":"a\xff"}', "The body is not UTF-8: invalid start byte.", None),
        (b'{"kind":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "The body is nested too deeply.", None),
        (b"{}", "'kind' is missing.", "kind"),
        (b'{"kind":5}', "'kind': Expected `str`, got `int`.", "kind"),
        (b'{"kind":"z"}', "'kind' is 'z'; it takes one of a, b.", "kind"),
        (b'{"kind":"a","mode":"z"}', "'mode' is 'z'; it takes one of x, y.", "mode"),
        (b'{"kind":"a","z":1}', "There is no field 'z' here; GET /docs lists those that there are.", "z"),
    ],
)
async def test_a_body_that_cannot_be_taken_is_told_why(
    client: httpx.AsyncClient, body: bytes, message: str, param: str | None
) -> None:
    """Which field, what it says and what it takes; none is a fault of the gateway's."""
    response = await client.post("/wish", content=body, headers={"content-type": "application/json"})
    error = error_of(response)
    assert (response.status_code, error["message"], error["param"]) == (400, message, param)


async def test_a_text_of_our_own_that_cannot_be_read_is_our_own_fault(client: httpx.AsyncClient) -> None:
    """Not the request's."""
    assert (await client.post("/wish", json={"kind": "b"})).status_code == 500


async def test_an_unknown_path_is_404(client: httpx.AsyncClient) -> None:
    """With the way to the list of paths."""
    response = await client.get("/nowhere")
    assert (response.status_code, error_of(response)["code"]) == (404, "not_found")
    assert "'/nowhere'" in error_of(response)["message"]


async def test_a_wrong_method_is_405(client: httpx.AsyncClient) -> None:
    """The path exists, but not for this method; the message and a header tell those that it takes."""
    response = await client.get("/store")
    assert (response.status_code, error_of(response)["code"]) == (405, "method_not_allowed")
    assert "does not take GET; it takes OPTIONS, POST." in error_of(response)["message"]
    assert response.headers["allow"] == "OPTIONS, POST"


async def test_a_fault_keeps_its_headers(client: httpx.AsyncClient) -> None:
    """What clients need to decide about a retry."""
    response = await client.get("/raise/fault")
    assert (response.headers["retry-after"], response.headers["retry-after-ms"]) == ("2", "1500")


@pytest.mark.parametrize("name", ["bug", "down"])
async def test_what_an_exception_says_is_not_for_the_client(client: httpx.AsyncClient, name: str) -> None:
    """It may hold anything, an address with a password for one."""
    assert "c4n4ry" not in (await client.get(f"/raise/{name}")).text


async def test_a_bug_is_in_the_log(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    """With method, path and trace."""
    await client.get("/raise/bug")
    assert "GET /raise/bug" in caplog.text
    assert "RuntimeError: c4n4ry" in caplog.text


async def test_a_refusal_by_the_framework_keeps_its_details(client: httpx.AsyncClient) -> None:
    """Which parameter, and what is wrong with it."""
    assert "page" in error_of(await client.get("/raise/bad"))["message"]
