"""Registering and signing in, by the documents' literal requests (rows S2-S4, A3, A4, C1)."""

import uuid
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from households import NOW_NS, House
from litestar import Litestar
from litestar.datastructures import State

from gateway.accounts.tenancy.sessions import Lifetimes
from gateway.config.settings import Settings
from gateway.surfaces import faults
from gateway.surfaces.api.auth import AUTH_ROUTES
from gateway.surfaces.guards import COOKIE, Identity, anybody

PASSWORD = "secure-password"
SERVEML = {"email": "user@example.com", "username": "johndoe", "password": PASSWORD, "full_name": "John Doe"}
AISERVE = {"email": "user@example.com", "password": "secure_password123", "name": "User Name"}
CREATED = "2026-09-21T14:13:20Z"


class Desk:
    """The five routes over a real database."""

    def __init__(self, house: House, *, open_sign_up: bool = True, public_url: str = "") -> None:
        self.identity = Identity(
            people=house.people,
            lifetimes=Lifetimes(),
            now_ns=lambda: NOW_NS,
            open_sign_up=open_sign_up,
            public_url=public_url,
        )
        self.app = Litestar(
            list(AUTH_ROUTES),
            after_request=faults.name_answer,
            exception_handlers=faults.HANDLERS,
            state=State({"identity": self.identity}),
            openapi_config=None,
            logging_config=None,
        )

    async def ask(self, verb: str, body: Any = None, method: str = "POST", **headers: str) -> httpx.Response:
        """Ask with a JSON body."""
        transport = httpx.ASGITransport(cast("Any", self.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            written = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, f"/api/v1/auth/{verb}", json=body, headers=written)

    async def me(self, token: str) -> httpx.Response:
        """Ask who one is."""
        return await self.ask("me", method="GET", authorization=f"Bearer {token}")


@pytest.fixture
async def desk(house: House) -> AsyncIterator[Desk]:
    """A desk where anybody may register."""
    yield Desk(house)


@pytest.mark.row("S2")
async def test_registering_as_s_says(desk: Desk) -> None:
    """Every field of the document, with a token that works."""
    answer = await desk.ask("register", SERVEML)
    body = answer.json()
    assert (answer.status_code, body["token_type"]) == (201, "bearer")
    user = body["user"]
    assert (user["email"], user["username"], user["created_at"]) == ("user@example.com", "johndoe", CREATED)
    assert user["id"].startswith("user-")
    assert (await desk.me(body["access_token"])).json()["id"] == user["id"]


@pytest.mark.row("A3")
async def test_registering_as_a_says(desk: Desk) -> None:
    """201 and the user."""
    answer = await desk.ask("register", AISERVE)
    user = answer.json()["user"]
    assert answer.status_code == 201
    assert (user["email"], user["name"], user["created_at"]) == ("user@example.com", "User Name", CREATED)
    assert str(uuid.UUID(user["id"])) == user["id"]


@pytest.mark.row("S3")
async def test_signing_in_as_s_says(desk: Desk) -> None:
    """A bearer."""
    await desk.ask("register", SERVEML)
    answer = await desk.ask("login", {"email": "user@example.com", "password": PASSWORD})
    assert (answer.status_code, answer.json()["token_type"]) == (200, "bearer")
    assert (await desk.me(answer.json()["access_token"])).status_code == 200


@pytest.mark.row("A4")
async def test_signing_in_as_a_says(desk: Desk) -> None:
    """The user, and tokens for a day."""
    await desk.ask("register", AISERVE)
    answer = await desk.ask("login", {"email": "user@example.com", "password": "secure_password123"})
    body = answer.json()
    assert (answer.status_code, body["tokens"]["expires_in"], body["user"]["email"]) == (
        200,
        86_400,
        "user@example.com",
    )
    assert (await desk.me(body["tokens"]["access_token"])).status_code == 200
    assert body["tokens"]["refresh_token"]


@pytest.mark.row("S4")
async def test_who_one_is(desk: Desk) -> None:
    """Every field of the document, and no other."""
    token = (await desk.ask("register", SERVEML)).json()["access_token"]
    answer = await desk.me(token)
    body = answer.json()
    assert body.pop("id").startswith("user-")
    assert (answer.status_code, body) == (
        200,
        {
            "email": "user@example.com",
            "username": "johndoe",
            "full_name": "John Doe",
            "created_at": CREATED,
            "deployment_count": 0,
            "total_predictions": 0,
        },
    )


async def test_a_refresh_token_works_once(desk: Desk) -> None:
    """A4's tokens object; the second use of one token is refused."""
    first = (await desk.ask("register", AISERVE)).json()["tokens"]["refresh_token"]
    answer = await desk.ask("refresh", {"refresh_token": first})
    assert (answer.status_code, sorted(answer.json())) == (200, ["access_token", "expires_in", "refresh_token"])
    assert (await desk.me(answer.json()["access_token"])).status_code == 200
    assert (await desk.ask("refresh", {"refresh_token": first})).status_code in (400, 401)


async def test_signing_out_ends_token_and_cookie(desk: Desk) -> None:
    """And takes the cookie from the browser."""
    token = (await desk.ask("register", SERVEML)).json()["access_token"]
    answer = await desk.ask("logout", authorization=f"Bearer {token}")
    assert (answer.status_code, answer.json()["success"], "Max-Age=0" in answer.headers["set-cookie"]) == (
        200,
        True,
        True,
    )
    assert (await desk.me(token)).status_code == 401


@pytest.mark.parametrize(("public_url", "is_secure"), [("", True), ("https://a.test", True), ("http://a.test", False)])
async def test_the_cookie_is_for_the_dashboard_alone(house: House, public_url: str, is_secure: bool) -> None:
    """No script reads it, no other site sends it, and no plain HTTP carries it unless the operator says so."""
    cookie = (await Desk(house, public_url=public_url).ask("register", SERVEML)).headers["set-cookie"].lower()
    assert cookie.startswith(f"{COOKIE}=")
    assert ("httponly" in cookie, "samesite=lax" in cookie, "secure" in cookie) == (True, True, is_secure)


REFUSALS: dict[str, tuple[str, Any, int, str]] = {
    "no password": ("register", {"email": "a@b.test"}, 400, "VALIDATION_ERROR"),
    "no JSON object": ("register", [1], 400, "VALIDATION_ERROR"),
    "a wrong type": ("login", {"email": 1, "password": "x"}, 400, "VALIDATION_ERROR"),
    "a short password": ("register", {"email": "a@b.test", "password": "short"}, 400, "VALIDATION_ERROR"),
    "no address": ("register", {"email": "nobody", "password": PASSWORD}, 400, "VALIDATION_ERROR"),
    "an unknown person": ("login", {"email": "no@b.test", "password": PASSWORD}, 401, "AUTH_INVALID"),
    "an unknown refresh token": ("refresh", {"refresh_token": "x"}, 401, "AUTH_INVALID"),
    "no credential": ("logout", {}, 401, "AUTH_REQUIRED"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_refusal_is_the_documents(desk: Desk, case: str) -> None:
    """A's envelope: the message as ``error``, the code beside it; and the request has a name."""
    verb, body, status, code = REFUSALS[case]
    answer = await desk.ask(verb, body)
    told = answer.json()
    assert (answer.status_code, told["code"], sorted(told)) == (status, code, ["code", "details", "error"])
    assert answer.headers["x-request-id"].startswith("req_")


async def test_a_host_of_s_gets_the_envelope_of_s(desk: Desk) -> None:
    """Row C2: a broken rule is 422 there, and the field is named."""
    answer = await desk.ask("register", {**SERVEML, "password": "short"}, host="api.serveml.com")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"]["field"]) == (422, "VALIDATION_ERROR", "password")
    assert answer.json()["request_id"].startswith("req-")


async def test_an_address_is_taken_once(desk: Desk) -> None:
    """Whatever its spelling."""
    await desk.ask("register", SERVEML)
    answer = await desk.ask("register", {**AISERVE, "email": "USER@example.COM"})
    assert (answer.status_code, answer.json()["details"]["field"]) == (400, "email")


async def test_sign_up_can_be_closed(house: House) -> None:
    """[accounts] open_sign_up."""
    answer = await Desk(house, open_sign_up=False).ask("register", SERVEML)
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


async def test_a_password_stands_in_no_answer(desk: Desk) -> None:
    """Right or wrong."""
    for verb, body in (("register", SERVEML), ("login", SERVEML), ("login", {**SERVEML, "password": "other-secret"})):
        text = (await desk.ask(verb, body)).text
        assert (PASSWORD in text, "other-secret" in text) == (False, False)


@pytest.mark.row("A1")
def test_every_route_of_a_wants_a_token_but_the_public_ones() -> None:
    """Below /api/v1, on port 8080, JSON; registering, signing in and renewing are what needs none."""
    assert Settings().server.port == 8080
    public = {
        path
        for handler in AUTH_ROUTES
        for path in handler.paths
        if anybody in (handler.guards or ()) and path.startswith("/api/v1/")
    }
    assert public == {"/api/v1/auth/register", "/api/v1/auth/login", "/api/v1/auth/refresh"}
    assert all(path.startswith("/api/v1/auth/") for handler in AUTH_ROUTES for path in handler.paths)


async def test_a_changed_password_ends_every_session(desk: Desk) -> None:
    """Also the one that changed it, whose answer signs in anew; the old password is wrong from then on."""
    first = (await desk.ask("register", AISERVE)).json()
    old, new = AISERVE["password"], "another password"
    change = {"current_password": old, "new_password": new}
    assert (await desk.ask("password", change)).json()["code"] == "AUTH_REQUIRED"
    bearer = f"Bearer {first['access_token']}"
    wrong = await desk.ask("password", {**change, "current_password": "wrong"}, authorization=bearer)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "AUTH_INVALID")
    answer = await desk.ask("password", change, authorization=bearer)
    assert (answer.status_code, COOKIE in answer.headers["set-cookie"]) == (200, True)
    assert (await desk.me(first["access_token"])).status_code == 401
    assert (await desk.me(answer.json()["access_token"])).status_code == 200
    for password, status in ((old, 401), (new, 200)):
        assert (await desk.ask("login", {"email": AISERVE["email"], "password": password})).status_code == status
