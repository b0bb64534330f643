"""What a body may be sent as to an ordinary route."""

import gzip
from typing import Any, cast

import httpx
import msgspec
import pytest
from litestar import Litestar, Request, delete, get, post
from litestar.params import JSONBody

from gateway.surfaces import faults
from gateway.surfaces.media import check_length, check_media, check_types

BODY = b'{"name":"a"}'


class Body(msgspec.Struct, frozen=True):
    """A body."""

    name: str
    count: int | None = None
    parts: list[bool] = []


@post("/things", status_code=200)
async def make(data: JSONBody[Body]) -> str:
    """Take one."""
    return data.name


@get("/things")
async def look() -> str:
    """Take none."""
    return "a"


@delete("/things", status_code=200)
async def end() -> str:
    """Take none, whatever comes."""
    return "a"


async def check(request: Request[Any, Any, Any]) -> None:
    """As the application does it."""
    check_length(request)
    check_media(request)
    await check_types(request)


APP = Litestar(
    [make, look, end],
    before_request=check,
    exception_handlers=faults.HANDLERS,
    request_max_body_size=64,
    openapi_config=None,
    logging_config=None,
)


async def ask(method: str, headers: dict[str, str], content: bytes | None = BODY) -> httpx.Response:
    """Ask for a thing."""
    transport = httpx.ASGITransport(cast("Any", APP))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        return await client.request(method, "/things", headers=headers, content=content)


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/json; x=1",
    ],
)
async def test_json_is_taken(kind: str | None) -> None:
    """With any parameter but another charset; a client that says nothing is believed."""
    answer = await ask("POST", {} if kind is None else {"content-type": kind})
    assert (answer.status_code, answer.text) == (200, "a")


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"content-type": "text/plain"}, "'text/plain'"),
        ({"content-type": "application/x-www-form-urlencoded"}, "'application/x-www-form-urlencoded'"),
        ({"content-type": "multipart/form-data; boundary=x"}, "'multipart/form-data'"),
        ({"content-type": "application/jsonx"}, "'application/jsonx'"),
        ({"content-type": "application/json; charset=utf-16"}, "charset is 'utf-16'"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, "content-encoding is 'gzip'"),
    ],
)
async def test_everything_else_is_415(headers: dict[str, str], named: str) -> None:
    """And told by what it is, not as JSON that is broken."""
    content = gzip.compress(BODY) if "content-encoding" in headers else BODY
    for method in ("POST", "DELETE"):
        answer = await ask(method, headers, content)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (415, "unsupported_media_type")
        assert named in error["message"]


async def test_what_has_no_body_may_name_any_type() -> None:
    """Nothing is read of it."""
    headers = {"content-type": "text/plain"}
    assert [(await ask(method, headers, None)).status_code for method in ("GET", "DELETE")] == [200, 200]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "a", "count": "5"}, "count"),
        ({"name": "a", "count": "null"}, "count"),
        ({"name": "a", "parts": [True, "true"]}, "parts[1]"),
        ({"name": "a", "parts": [0]}, "parts[0]"),
        ({"name": 5}, "name"),
        ({"name": "a", "count": 5.5}, "count"),
    ],
)
async def test_a_value_has_the_type_that_it_is_written_with(body: dict[str, Any], param: str) -> None:
    """Nothing is taken for what it only looks like."""
    answer = await ask("POST", {}, msgspec.json.encode(body))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_request", param)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_body_over_the_limit_is_refused_by_what_it_says(method: str) -> None:
    """Also where nobody would read it."""
    answer = await ask(method, {}, b" " * 65)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert "64 bytes" in answer.text
