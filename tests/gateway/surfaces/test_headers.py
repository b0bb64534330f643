"""Every answer of an ordinary route is guarded in browsers, a refusal too; a proxied call's answer is as it was."""

from typing import Any, cast

import httpx
import pytest
from litestar import Litestar, Response, get

from gateway.errors import Fault
from gateway.surfaces import faults
from gateway.surfaces.headers import guard_answers

PLAIN = "default-src 'none'; frame-ancestors 'none'"


@get("/json")
async def answer() -> dict[str, int]:
    """Data."""
    return {"a": 1}


@get("/page")
async def page() -> Response[str]:
    """A page with its own policy."""
    return Response("", headers={"Content-Security-Policy": "default-src 'self'"})


@get("/fault")
async def fail() -> None:
    """A refusal."""
    raise Fault("no_credential", "No.")


@get("/v1/chat/completions")
async def proxied() -> str:
    """What programs call."""
    return ""


async def ask(path: str, public_url: str = "") -> httpx.Headers:
    """The headers of an answer."""
    app = Litestar(
        [answer, page, fail, proxied],
        exception_handlers=faults.HANDLERS,
        before_send=[guard_answers(public_url, frozenset({"/v1/chat/completions"}))],
        openapi_config=None,
        logging_config=None,
    )
    transport = httpx.ASGITransport(cast("Any", app))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        return (await client.get(path)).headers


@pytest.mark.parametrize("path", ["/json", "/fault", "/nowhere"])
async def test_an_answer_is_no_page(path: str) -> None:
    """No type is guessed, no frame holds it, nothing in it runs, and no address goes on."""
    headers = await ask(path)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == PLAIN
    assert "strict-transport-security" not in headers


async def test_a_page_keeps_its_own_policy() -> None:
    """One, not two."""
    assert (await ask("/page")).get_list("content-security-policy") == ["default-src 'self'"]


@pytest.mark.parametrize(("public_url", "is_strict"), [("https://a.test", True), ("http://a.test", False), ("", False)])
async def test_https_stays_https(public_url: str, is_strict: bool) -> None:
    """Where the operator says that it is."""
    for path in ("/json", "/fault"):
        assert ("strict-transport-security" in await ask(path, public_url)) is is_strict


async def test_a_proxied_call_gets_nothing() -> None:
    """Its two ways in answer alike."""
    assert "x-content-type-options" not in await ask("/v1/chat/completions")
