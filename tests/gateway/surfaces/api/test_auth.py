"""Registering and signing in, by the documents' literal requests (rows S2-S4, A3, A4, C1)."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from desks import Desk as Whole
from households import House, make_claim

from gateway.config.settings import Settings
from gateway.surfaces.api.auth import AUTH_ROUTES
from gateway.surfaces.guards import COOKIE, anybody

PASSWORD = "secure-password"
SERVEML = {"email": "user@example.com", "username": "johndoe", "password": PASSWORD, "full_name": "John Doe"}
AISERVE = {"email": "user@example.com", "password": "secure_password123", "name": "User Name"}
OTHER = {"email": "other@example.com"}
CREATED = "2026-09-21T14:13:20Z"


class Desk(Whole):
    """The routes below /api/v1/auth."""

    async def auth(self, verb: str, body: Any = None, method: str = "POST", **headers: str) -> httpx.Response:
        """Ask one of them."""
        return await self.ask(method, f"/api/v1/auth/{verb}", body, **headers)

    async def me(self, token: str) -> httpx.Response:
        """Ask who one is."""
        return await self.auth("me", method="GET", authorization=f"Bearer {token}")


@pytest.fixture
async def desk(house: House) -> AsyncIterator[Desk]:
    """A desk where anybody may register."""
    yield Desk(house)


@pytest.mark.row("S2")
async def test_registering_as_s_says(desk: Desk) -> None:
    """Every field of the document, with a token that works."""
    answer = await desk.auth("register", SERVEML)
    body = answer.json()
    assert (answer.status_code, body["token_type"]) == (201, "bearer")
    user = body["user"]
    assert (user["email"], user["username"], user["created_at"]) == ("user@example.com", "johndoe", CREATED)
    assert user["id"].startswith("user-")
    assert (await desk.me(body["access_token"])).json()["id"] == user["id"]


@pytest.mark.row("A3")
async def test_registering_as_a_says(desk: Desk) -> None:
    """201 and the user."""
    answer = await desk.auth("register", AISERVE)
    user = answer.json()["user"]
    assert answer.status_code == 201
    assert (user["email"], user["name"], user["created_at"]) == ("user@example.com", "User Name", CREATED)
    assert str(uuid.UUID(user["id"])) == user["id"]


@pytest.mark.row("S3")
async def test_signing_in_as_s_says(desk: Desk) -> None:
    """A bearer."""
    await desk.auth("register", SERVEML)
    answer = await desk.auth("login", {"email": "user@example.com", "password": PASSWORD})
    assert (answer.status_code, answer.json()["token_type"]) == (200, "bearer")
    assert (await desk.me(answer.json()["access_token"])).status_code == 200


@pytest.mark.row("A4")
async def test_signing_in_as_a_says(desk: Desk) -> None:
    """The user, and tokens for a day."""
    await desk.auth("register", AISERVE)
    answer = await desk.auth("login", {"email": "user@example.com", "password": "secure_password123"})
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
    token = (await desk.auth("register", SERVEML)).json()["access_token"]
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
    """A4's tokens object; the second use of one token is refused, and ends all that came from the sign-in."""
    first = (await desk.auth("register", AISERVE)).json()["tokens"]["refresh_token"]
    answer = await desk.auth("refresh", {"refresh_token": first})
    assert (answer.status_code, sorted(answer.json())) == (200, ["access_token", "expires_in", "refresh_token"])
    assert (await desk.me(answer.json()["access_token"])).status_code == 200
    assert (await desk.auth("refresh", {"refresh_token": first})).status_code == 401
    assert (await desk.auth("refresh", {"refresh_token": answer.json()["refresh_token"]})).status_code == 401
    assert (await desk.me(answer.json()["access_token"])).status_code == 401


async def test_signing_out_ends_token_and_cookie(desk: Desk) -> None:
    """And takes the cookie from the browser."""
    token = (await desk.auth("register", SERVEML)).json()["access_token"]
    answer = await desk.auth("logout", authorization=f"Bearer {token}")
    assert (answer.status_code, answer.json()["success"], "Max-Age=0" in answer.headers["set-cookie"]) == (
        200,
        True,
        True,
    )
    assert (await desk.me(token)).status_code == 401


@pytest.mark.parametrize(("public_url", "is_secure"), [("", True), ("https://a.test", True), ("http://a.test", False)])
async def test_the_cookie_is_for_the_dashboard_alone(house: House, public_url: str, is_secure: bool) -> None:
    """No script reads it, no other site sends it, and no plain HTTP carries it unless the operator says so."""
    cookie = (await Desk(house, public_url=public_url).auth("register", SERVEML)).headers["set-cookie"].lower()
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
    answer = await desk.auth(verb, body)
    told = answer.json()
    assert (answer.status_code, told["code"], sorted(told)) == (status, code, ["code", "details", "error"])
    assert answer.headers["x-request-id"].startswith("req_")


async def test_a_host_of_s_gets_the_envelope_of_s(desk: Desk) -> None:
    """Row C2: a broken rule is 422 there, and the field is named."""
    answer = await desk.auth("register", {**SERVEML, "password": "short"}, host="api.serveml.com")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"]["field"]) == (422, "VALIDATION_ERROR", "password")
    assert answer.json()["request_id"].startswith("req-")


async def test_an_address_is_taken_once(desk: Desk) -> None:
    """Whatever its spelling."""
    await desk.auth("register", SERVEML)
    answer = await desk.auth("register", {**AISERVE, "email": "USER@example.COM"})
    assert (answer.status_code, answer.json()["details"]["field"]) == (400, "email")


async def test_what_is_refused_of_a_registration_is_told_as_its_body_speaks(
    desk: Desk, subtests: pytest.Subtests
) -> None:
    """A username makes it S's, in whatever it fails; without one it is A's."""
    await desk.auth("register", SERVEML)
    faulty: tuple[dict[str, Any], ...] = (
        {}, {**OTHER, "password": "short"}, {**OTHER, "email": "nowhere"}, {**OTHER, "password": 5}
    )  # fmt: skip
    for change in faulty:
        with subtests.test(change=change):
            as_s, as_a = [(await desk.auth("register", {**body, **change})).json() for body in (SERVEML, AISERVE)]
            assert ("request_id" in as_s, "request_id" in as_a) == (True, False)


async def test_another_page_signs_nobody_in(desk: Desk) -> None:
    """A browser would act in a session that the page chose; programs send no Origin, our own page its own."""
    signed_in = (await desk.auth("register", SERVEML, origin="http://gateway.test")).json()
    account = (await desk.ask("GET", "/api/accounts", by=signed_in["access_token"])).json()["accounts"][0]["id"]
    change = {"current_password": PASSWORD, "new_password": PASSWORD + "2"}
    asked: tuple[tuple[str, dict[str, str]], ...] = (
        ("/api/v1/auth/register", {**SERVEML, **OTHER}),
        ("/api/v1/auth/login", SERVEML),
        ("/api/v1/auth/password", change),
        ("/api/accounts/switch", {"account_id": account}),
    )
    for origin in ("https://evil.test", "null", "http://gateway.test.evil.test"):
        for path, body in asked:
            answer = await desk.ask("POST", path, body, by=signed_in["access_token"], origin=origin)
            assert (answer.status_code, "set-cookie" in answer.headers) == (403, False), (path, origin)
    assert (await desk.auth("login", SERVEML)).status_code == 200


async def test_sign_up_can_be_closed(house: House) -> None:
    """[accounts] open_sign_up."""
    answer = await Desk(house, open_sign_up=False).auth("register", AISERVE)
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


async def test_a_password_stands_in_no_answer(desk: Desk) -> None:
    """Right or wrong."""
    for verb, body in (("register", SERVEML), ("login", SERVEML), ("login", {**SERVEML, "password": "other-secret"})):
        text = (await desk.auth(verb, body)).text
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
    first = (await desk.auth("register", AISERVE)).json()
    old, new = AISERVE["password"], "another password"
    change = {"current_password": old, "new_password": new}
    assert (await desk.auth("password", change)).json()["code"] == "AUTH_REQUIRED"
    bearer = f"Bearer {first['access_token']}"
    wrong = await desk.auth("password", {**change, "current_password": "wrong"}, authorization=bearer)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "AUTH_INVALID")
    answer = await desk.auth("password", change, authorization=bearer)
    assert (answer.status_code, COOKIE in answer.headers["set-cookie"]) == (200, True)
    assert (await desk.me(first["access_token"])).status_code == 401
    assert (await desk.me(answer.json()["access_token"])).status_code == 200
    for password, status in ((old, 401), (new, 200)):
        assert (await desk.auth("login", {"email": AISERVE["email"], "password": password})).status_code == status


@pytest.mark.parametrize(
    ("old", "new", "status"), [("wrong", "another horse", 401), (PASSWORD, "short", 400), (PASSWORD, "x" * 1025, 400)]
)
async def test_a_password_that_stays_ends_nothing(desk: Desk, old: str, new: str, status: int) -> None:
    """Neither a wrong old one nor a bad new one."""
    token = (await desk.auth("register", SERVEML)).json()["access_token"]
    body = {"current_password": old, "new_password": new}
    assert (await desk.auth("password", body, authorization=f"Bearer {token}")).status_code == status
    assert (await desk.me(token)).status_code == 200


async def test_the_claim_link_makes_one_operator(desk: Desk) -> None:
    """Of people who are there already; after that it is worth nothing."""
    tokens = [(await desk.auth("register", body)).json()["access_token"] for body in (SERVEML, {**AISERVE, **OTHER})]
    body = {"claim": make_claim(0).reveal()}
    answers = [await desk.auth("claim", body, authorization=f"Bearer {token}") for token in tokens]
    assert [answer.status_code for answer in answers] == [200, 400]
    assert "watchllm admin link" in answers[1].json()["error"]


async def test_who_registers_by_the_claim_link_is_the_operator(house: House) -> None:
    """Also where sign-up is closed."""
    desk = Desk(house, open_sign_up=False)
    answer = await desk.auth("register", {**AISERVE, "claim": make_claim(0).reveal()})
    me = await desk.ask("GET", "/api/users/me", by=answer.json()["access_token"])
    assert (answer.status_code, me.json()["operator"]) == (201, True)
    wrong = await desk.auth("register", {**AISERVE, **OTHER, "claim": make_claim(0).reveal()})
    assert wrong.status_code == 400


@pytest.mark.row("S21")
async def test_s_tells_a_missing_token(desk: Desk) -> None:
    """401 UNAUTHORIZED."""
    answer = await desk.auth("me", method="GET")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.row("A50")
async def test_a_tells_a_missing_token(desk: Desk) -> None:
    """401 AUTH_REQUIRED."""
    answer = await desk.auth("logout")
    assert (answer.status_code, answer.json()["code"]) == (401, "AUTH_REQUIRED")


@pytest.mark.row("A51")
async def test_a_tells_a_bad_token(desk: Desk) -> None:
    """401 AUTH_INVALID, for a token and for a password."""
    answers = [
        await desk.auth("logout", authorization="Bearer a.b.c"),
        await desk.auth("login", {"email": "no@b.test", "password": PASSWORD}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, "AUTH_INVALID")] * 2


@pytest.mark.row("A48")
async def test_the_envelope_of_a(desk: Desk) -> None:
    """The error is a string; code and details stand beside it."""
    told = (await desk.auth("register", {**AISERVE, "password": "short"})).json()
    assert sorted(told) == ["code", "details", "error"]
    assert (type(told["error"]), told["code"], type(told["details"])) == (str, "VALIDATION_ERROR", dict)


@pytest.mark.row("A56")
async def test_a_tells_what_does_not_fit(desk: Desk) -> None:
    """400 VALIDATION_ERROR, for a wrong type and for a broken rule."""
    bodies = [{"email": 1, "password": PASSWORD}, {**AISERVE, "email": "nobody"}, {}]
    answers = [await desk.auth("register", body) for body in bodies]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(400, "VALIDATION_ERROR")}


@pytest.mark.row("S20")
async def test_the_envelope_of_s(desk: Desk) -> None:
    """Code, message and details with field and reason; the request's id stands outside."""
    answer = await desk.auth("register", {**SERVEML, "password": "short"}, host="api.serveml.com")
    told = answer.json()
    assert (sorted(told), sorted(told["error"])) == (["error", "request_id"], ["code", "details", "message"])
    assert sorted(told["error"]["details"]) == ["field", "reason"]
    assert told["request_id"].startswith("req-")
    assert told["request_id"].removeprefix("req-") == answer.headers["x-request-id"].removeprefix("req_")


@pytest.mark.row("S25")
async def test_s_tells_a_broken_rule(desk: Desk) -> None:
    """422 VALIDATION_ERROR: it could be read, and breaks a rule."""
    answer = await desk.auth("register", {**SERVEML, "email": "nobody"}, host="api.serveml.com")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")


@pytest.mark.row("S24")
async def test_s_tells_what_cannot_be_read(desk: Desk) -> None:
    """400 INVALID_INPUT: a wrong type, or a field that is not there."""
    answers = [
        await desk.auth("register", body, host="api.serveml.com") for body in ({"email": 1, "password": "x"}, {}, [1])
    ]
    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in answers} == {(400, "INVALID_INPUT")}


@pytest.mark.row("S22")
async def test_s_tells_what_is_not_allowed(house: House) -> None:
    """403 FORBIDDEN."""
    answer = await Desk(house, open_sign_up=False).auth("register", SERVEML, host="api.serveml.com")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")


@pytest.mark.row("S1")
async def test_a_bearer_is_a_persons_token(desk: Desk) -> None:
    """`Authorization: Bearer <JWT>` below /api/v1; registering and signing in are public."""
    token = (await desk.auth("register", SERVEML)).json()["access_token"]
    assert token.count(".") == 2
    assert ((await desk.me(token)).status_code, (await desk.auth("me", method="GET")).status_code) == (200, 401)


@pytest.mark.row("S23")
async def test_s_tells_what_is_not_there(desk: Desk) -> None:
    """404 NOT_FOUND in its envelope."""
    answer = await desk.ask("GET", "/api/v1/status/dep-0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


@pytest.mark.row("A55")
async def test_a_tells_what_is_not_there(desk: Desk) -> None:
    """404 NOT_FOUND in its envelope."""
    answer = await desk.ask("GET", "/api/v1/gpu/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.row("D23")
async def test_d_tells_faults_as_s_does(desk: Desk) -> None:
    """Its document has no errors: S's envelope."""
    answer = await desk.ask("GET", "/api/v1/dashboards/nothing")
    told = answer.json()
    assert (answer.status_code, told["error"]["code"], told["request_id"][:4]) == (404, "NOT_FOUND", "req-")


@pytest.mark.row("S29")
async def test_s_tells_a_fault_of_ours(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 SERVICE_ERROR, without a word of what went wrong."""

    async def fail(*_: object) -> None:
        raise RuntimeError("c4n4ry")

    monkeypatch.setattr(desk.house.people, "find_by_access_token", fail)
    answer = await desk.me("a.b.c")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "SERVICE_ERROR")
    assert "c4n4ry" not in answer.text
