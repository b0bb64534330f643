"""Who gets in: access tokens and cookies of people, keys of programs, and nobody past a route without a guard."""

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from fakes import CALLER, FakeDirectory, make_services
from households import NOW_NS, House
from litestar import Litestar, Request, get, post
from litestar.datastructures import State

from gateway.accounts.tenancy.people import SignedIn
from gateway.accounts.tenancy.sessions import Lifetimes
from gateway.surfaces import faults
from gateway.surfaces.guards import COOKIE, Identity, anybody, key_of, may_as_person, origin_of, person_of, with_key

ACCOUNT_OWNER = may_as_person("account")


@get("/open", guards=[anybody])
async def open_to_all() -> str:
    """Anybody."""
    return "open"


@get("/keyed", guards=[with_key])
async def keyed(request: Request[Any, Any, Any]) -> str:
    """A key."""
    return key_of(request).key_id


@get("/me", guards=[may_as_person()])
async def signed_in_only(request: Request[Any, Any, Any]) -> str:
    """A person."""
    return person_of(request).user_id


@post("/me", guards=[may_as_person()], status_code=200)
async def write(request: Request[Any, Any, Any]) -> str:
    """A person who changes something."""
    return person_of(request).user_id


@get("/account", guards=[ACCOUNT_OWNER])
async def owners_only() -> str:
    """A person with a permission."""
    return "owner"


class Gate:
    """An application with a route of each kind, and the people of a real database."""

    def __init__(self, house: House, public_url: str = "") -> None:
        self.now_ns = NOW_NS
        identity = Identity(
            people=house.people,
            lifetimes=Lifetimes(),
            now_ns=lambda: self.now_ns,
            open_sign_up=True,
            public_url=public_url,
        )
        services = make_services(directory=cast("Any", FakeDirectory({b"live": CALLER})))
        self.app = Litestar(
            [open_to_all, keyed, signed_in_only, write, owners_only],
            exception_handlers=faults.HANDLERS,
            state=State({"services": services, "identity": identity}),
            openapi_config=None,
            logging_config=None,
        )

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Ask with these headers, underscores for hyphens; the status, and the body or the error's code."""
        transport = httpx.ASGITransport(cast("Any", self.app))
        written = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            answer = await client.request(method, path, headers=written)
        return answer.status_code, answer.text if answer.is_success else answer.json()["error"]["code"]


@pytest.fixture
async def gate(house: House) -> AsyncIterator[Gate]:
    """The gate of the house."""
    yield Gate(house)


@pytest.fixture
async def ann(house: House) -> SignedIn:
    """A person."""
    return await house.register("ann")


def bearer(person: SignedIn) -> dict[str, str]:
    """Her token."""
    return {"authorization": f"Bearer {person.tokens.access_token.reveal()}"}


def cookie(person: SignedIn) -> dict[str, str]:
    """Her cookie."""
    return {"cookie": f"{COOKIE}={person.cookie.reveal()}"}


async def test_a_token_and_a_cookie_let_a_person_in(gate: Gate, ann: SignedIn) -> None:
    """Both stand for one session."""
    answers = [await gate.ask("/me", **bearer(ann)), await gate.ask("/me", **cookie(ann))]
    assert answers == [(200, ann.person.user_id)] * 2


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer a.b.c"},
        {"authorization": "Bearer live"},
        {"authorization": "Basic dTpw"},
        {"cookie": f"{COOKIE}=stolen"},
        {"cookie": f"{COOKIE}="},
    ],
    ids=["nothing", "no token of ours", "a key", "another scheme", "another cookie", "an empty cookie"],
)
async def test_nothing_else_does(gate: Gate, headers: dict[str, str]) -> None:
    """401, and the code of the document."""
    assert await gate.ask("/me", **headers) == (401, "invalid_api_key")


async def test_a_session_that_ended_lets_nobody_in(gate: Gate, house: House, ann: SignedIn) -> None:
    """Neither its token nor its cookie."""
    await house.people.logout(ann.person, "", NOW_NS)
    assert [await gate.ask("/me", **each) for each in (bearer(ann), cookie(ann))] == [(401, "invalid_api_key")] * 2


async def test_a_role_without_the_permission_is_403(gate: Gate, house: House, ann: SignedIn) -> None:
    """An owner may, a viewer of the same account may not."""
    viewer = await house.join(ann, "bob", "viewer")
    answers = [await gate.ask("/account", **bearer(ann)), await gate.ask("/account", **bearer(viewer))]
    assert answers == [(200, "owner"), (403, "insufficient_scope")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://gateway.test", "content_type": "application/json"}, 200),
        ({"origin": "https://gateway.test", "content_type": "application/json; charset=utf-8"}, 200),
        ({"content_type": "application/json"}, 403),
        ({"origin": "https://evil.test", "content_type": "application/json"}, 403),
        ({"origin": "https://gateway.test.evil.test", "content_type": "application/json"}, 403),
        ({"origin": "null", "content_type": "application/json"}, 403),
        ({"origin": "http://gateway.test", "content_type": "text/plain"}, 415),
        ({"origin": "http://gateway.test"}, 415),
    ],
)
async def test_a_write_by_cookie_needs_our_own_page(
    gate: Gate, ann: SignedIn, headers: dict[str, str], status: int
) -> None:
    """A browser sends the cookie along whatever page asked."""
    assert (await gate.ask("/me", "POST", **cookie(ann), **headers))[0] == status


async def test_a_write_by_token_needs_no_origin(gate: Gate, ann: SignedIn) -> None:
    """Nothing sends a token along unasked."""
    assert (await gate.ask("/me", "POST", **bearer(ann)))[0] == 200


async def test_the_public_address_is_the_only_origin(house: House, ann: SignedIn) -> None:
    """Where it is configured, what the Host header says is nothing."""
    gate = Gate(house, public_url="https://llm.example.org/")
    asked = {"content_type": "application/json", **cookie(ann)}
    answers = [
        (await gate.ask("/me", "POST", origin=origin, **asked))[0]
        for origin in ("https://llm.example.org", "http://gateway.test", "http://llm.example.org")
    ]
    assert answers == [200, 403, 403]


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://llm.example.org", "https://llm.example.org"),
        ("https://LLM.example.org:8443/a/b", "https://llm.example.org:8443"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_an_origin_is_an_address_without_its_path(url: str, origin: str) -> None:
    """As browsers write it."""
    assert origin_of(url) == origin


async def test_a_key_opens_what_keys_open(gate: Gate, ann: SignedIn) -> None:
    """And a person's token does not."""
    answers = [await gate.ask("/keyed", authorization="Bearer live"), await gate.ask("/keyed", **bearer(ann))]
    assert answers == [(200, CALLER.key_id), (401, "invalid_api_key")]


async def test_an_open_route_asks_for_nothing(gate: Gate) -> None:
    """Signing in is one."""
    assert await gate.ask("/open", authorization="Bearer rubbish") == (200, "open")
