"""The parameters of an address: a NUL in none of them, and none that nobody reads."""

from typing import Any, cast

import httpx
import pytest
from litestar import Litestar, Request, get
from litestar.params import FromPath

from gateway.surfaces import faults
from gateway.surfaces.parameters import check_address, read_once, refuse_unknown


@get("/things/{thing:str}")
async def look(request: Request[Any, Any, Any], thing: FromPath[str]) -> str:
    """Show one."""
    refuse_unknown(request, ("model", "provider", "key"))
    return thing + request.query_params.get("model", "")


@get("/once")
async def look_once(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Show what was given."""
    return read_once(request, ("model", "key"))


async def check(request: Request[Any, Any, Any]) -> None:
    """As the application does it."""
    check_address(request)


APP = Litestar(
    [look, look_once],
    before_request=check,
    exception_handlers=faults.HANDLERS,
    openapi_config=None,
    logging_config=None,
)


async def ask(address: str) -> httpx.Response:
    """Ask at an address that is written out."""
    transport = httpx.ASGITransport(cast("Any", APP))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        return await client.get(address)


async def test_what_may_stand_once_is_read() -> None:
    """Of two values one would be passed over, so it is refused as a name is that nobody reads."""
    assert (await ask("/once?model=a&key=")).json() == {"model": "a", "key": ""}
    for address, param in (("/once?model=a&model=a", "model"), ("/once?modle=a", "modle")):
        answer = await ask(address)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("address", ["/things/a", "/things/a?model=%2500", "/things/a?model=", "/things/a?key=%C3%A9"])
async def test_what_has_no_nul_is_taken(address: str) -> None:
    """One that is escaped twice is none."""
    assert (await ask(address)).status_code == 200


@pytest.mark.parametrize(
    ("address", "status", "param"),
    [
        ("/things/a%00b", 404, None),
        ("/things/a?model=%00", 400, "model"),
        ("/things/a?model=a&provider=x%00y", 400, "provider"),
        ("/things/a?mo%00del=a", 400, "mo\0del"),
    ],
)
async def test_a_nul_is_refused(address: str, status: int, param: str | None) -> None:
    """No database takes it."""
    answer = await ask(address)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


@pytest.mark.parametrize(
    ("name", "words"), [("modle", "'modle' here. Did you mean 'model'?"), ("x", "There are key, model, provider.")]
)
async def test_a_parameter_that_nobody_reads_is_refused(name: str, words: str) -> None:
    """A close name is told, or else all that there are."""
    answer = await ask(f"/things/a?{name}=1")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)
    assert words in answer.json()["error"]["message"]
