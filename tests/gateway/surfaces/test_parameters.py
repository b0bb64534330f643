"""The parameters of an address: a NUL in none of them, none that nobody reads, and each told as it is checked."""

from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar, Request, get
from litestar.params import FromPath

from gateway.surfaces import faults
from gateway.surfaces.parameters import (
    Parameter,
    asked,
    asked_in_full,
    check_address,
    count_of,
    takes,
)


@get(
    "/things/{thing:str}",
    opt=takes(
        Parameter(name="model", meaning="Any text"),
        Parameter(name="provider", meaning="One of two", choices=("a", "b")),
        Parameter(name="key", meaning="A number", most=20, default=7),
    ),
)
async def look(request: Request[Any, Any, Any], thing: FromPath[str]) -> str:
    """Show one."""
    return f"{thing} {sorted(asked(request).items())} {count_of(request, 'key')}"


@get("/needed", opt=takes(Parameter(name="scope", meaning="What it limits", is_required=True)))
async def need(request: Request[Any, Any, Any]) -> str:
    """Show what must be there, and is not empty."""
    return asked_in_full(request)["scope"]


@get("/once", opt=takes(Parameter(name="model", meaning="Any text"), Parameter(name="key", meaning="Another")))
async def look_once(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Show what was given."""
    return asked_in_full(request)


async def check(request: Request[Any, Any, Any]) -> None:
    """As the application does it."""
    check_address(request)


APP = Litestar(
    [look, look_once, need],
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
    assert (await ask("/once?model=a&key=b")).json() == {"model": "a", "key": "b"}
    refused = [("/once?model=a&model=a", "model"), ("/once?modle=a", "modle"), ("/once?key=", "key")]
    for address, param in (*refused, ("/things/a?model=a&model=", "model")):
        answer = await ask(address)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    "address", ["/things/a", "/things/a?model=%2500", "/things/a?model=", "/things/a?model=%C3%A9"]
)
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


async def test_only_what_a_route_takes_is_read_and_empty_is_not_given() -> None:
    """With the default of what is left out."""
    answers = [await ask(f"/things/x{query}") for query in ("", "?model=&key=", "?model=m&provider=b&key=20")]
    assert [answer.text for answer in answers] == [
        "x [] 7",
        "x [] 7",
        "x [('key', '20'), ('model', 'm'), ('provider', 'b')] 20",
    ]


@pytest.mark.parametrize(
    ("address", "param", "words"),
    [
        ("/things/a?provider=c", "provider", "provider='c' is none of a, b."),
        ("/things/a?key=21", "key", "key='21' is not a whole number from 1 to 20."),
        ("/things/a?key=0", "key", "key='0' is not"),
        ("/things/a?key=%D9%A3", "key", "is not a whole number"),
        ("/needed", "scope", "'scope' is missing: What it limits."),
        ("/needed?scope=", "scope", "'scope' is empty"),
    ],
)
async def test_what_a_route_does_not_take_is_refused(address: str, param: str, words: str) -> None:
    """By what it declares, which is what the OpenAPI document tells."""
    answer = await ask(address)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert words in answer.json()["error"]["message"]


def test_a_parameter_is_told_as_it_is_checked() -> None:
    """In OpenAPI's words."""
    count = Parameter(name="limit", meaning="The most", most=20, default=7)
    word = Parameter(name="by", meaning="What", choices=("a", "b"), is_required=True)
    assert count.describe() == {
        "name": "limit",
        "in": "query",
        "description": "The most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 20, "default": 7},
    }
    assert (word.describe()["schema"], word.describe()["required"]) == ({"type": "string", "enum": ["a", "b"]}, True)


def test_nobody_reads_a_query_past_its_declaration() -> None:
    """What is read elsewhere would be told nowhere."""
    folder = Path(faults.__file__).parent
    readers = {path.name for path in folder.rglob("*.py") if "query_params" in path.read_text(encoding="utf-8")}
    assert readers == {"parameters.py"}
