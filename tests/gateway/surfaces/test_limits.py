"""The plans' limits on ordinary routes, by each document's own request (rows C7)."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple, cast

import httpx
import pytest
from fakes import FakeDirectory, make_services
from households import NOW_NS, PASSWORD, House
from limiting import make_limiting
from litestar import Litestar, get, post
from litestar.datastructures import State
from litestar.di import Provide
from litestar.response import Stream
from plans import ACTOR

from gateway.accounts.directory import KeyRecord
from gateway.accounts.tenancy.people import SignedIn
from gateway.accounts.tenancy.sessions import Lifetimes
from gateway.counters.interface import RateWindow
from gateway.errors import Fault
from gateway.limits.plans_store import WantedPlan, set_plan
from gateway.surfaces import faults
from gateway.surfaces.access import note_lost
from gateway.surfaces.api.auth import AUTH_ROUTES
from gateway.surfaces.guards import COOKIE, Identity, anybody, may_as_person, with_key
from gateway.surfaces.limits import answer_fault, count_request, show_limits

RESET_S = {"minute": NOW_NS // 10**9 // 60 * 60 + 60, "hour": NOW_NS // 10**9 // 3_600 * 3_600 + 3_600}
PLANS = ("free", "starter", "pro", "agency", "enterprise")


@get("/v1/usage", guards=[with_key])
async def usage() -> dict[str, Any]:
    """E's."""
    return {"period": "2025-01"}


@get("/api/v1/datasets", guards=[with_key])
async def data_sets() -> list[str]:
    """D's."""
    return []


@get("/api/v1/gpu/available", guards=[with_key])
async def machines() -> dict[str, Any]:
    """A's."""
    return {"gpus": [], "count": 0}


@get("/api/v1/deployments", guards=[with_key])
async def deployments() -> Stream:
    """S's, as a stream."""
    return Stream(iter(["{}"]), media_type="application/json")


@get("/api/v1/metrics/dep-1", guards=[with_key])
async def metrics() -> dict[str, Any]:
    """S's."""
    return {}


@post("/api/v1/predict/dep-1", guards=[with_key])
async def predict() -> dict[str, Any]:
    """S's."""
    return {}


@get("/api/dashboard/stats", guards=[may_as_person()])
async def stats() -> dict[str, Any]:
    """W's, for people."""
    return {}


@get("/api/owners", guards=[may_as_person("account")])
async def owners() -> dict[str, Any]:
    """W's, for a role."""
    return {}


@get("/health", guards=[anybody])
async def health() -> dict[str, Any]:
    """For everybody."""
    return {"status": "ok"}


ROUTES = [usage, data_sets, machines, deployments, metrics, predict, stats, owners, health, *AUTH_ROUTES]


class Town:
    """An application with a route of each document, a key on each plan, and people."""

    def __init__(self, house: House, *, enforce: bool = True) -> None:
        keys = {
            plan.encode(): KeyRecord(
                key_id=plan,
                project_id="p",
                kind="live",
                account_id=f"acct-{plan}",
                plan=plan,
                rate_overrides={"inference_per_hour": 7, "data_per_minute": 8} if plan == "enterprise" else None,
            )
            for plan in PLANS
        }
        keys[b"own"] = KeyRecord(key_id="own", project_id="p", kind="live")
        self.limiting = make_limiting(enforce=enforce)
        self.house = house
        services = make_services(
            directory=cast("Any", FakeDirectory(keys)), limiting=self.limiting, counters=self.limiting.gate.counters
        )
        identity = Identity(
            people=house.people,
            lifetimes=Lifetimes(),
            now_ns=lambda: NOW_NS,
            open_sign_up=True,
            public_url="",
            attempts=self.limiting.attempts,
        )
        self.app = Litestar(
            ROUTES,
            dependencies={
                "services": Provide(lambda: services, sync_to_thread=False),
                "database": Provide(lambda: house.database, sync_to_thread=False),
            },
            before_request=count_request,
            before_send=[note_lost, show_limits],
            after_request=faults.name_answer,
            exception_handlers={**faults.HANDLERS, Fault: answer_fault},
            state=State({"services": services, "identity": identity, "database": house.database}),
            openapi_config=None,
            logging_config=None,
        )

    async def ask(
        self, path: str, key: str = "", method: str = "GET", *, body: Any = None, **headers: str
    ) -> httpx.Response:
        """Ask with a key or other headers."""
        written = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            written["authorization"] = f"Bearer {key}"
        transport = httpx.ASGITransport(cast("Any", self.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            return await client.request(method, path, json=body, headers=written)

    async def fill(self, name: str, subject: str, period: Any, amount: int) -> None:
        """Use up a part of a window."""
        window = RateWindow(policy_key=f"{name}:{subject}", period=period, limit=10**12)
        await self.limiting.gate.counters.take((window,), (amount,), NOW_NS)


def shown(response: httpx.Response) -> tuple[int, int, int]:
    """The three headers, as numbers."""
    limit, remaining, reset = (int(response.headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining", "reset"))
    return limit, remaining, reset


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    """A town that keeps the plans."""
    yield Town(house)


class Limit(NamedTuple):
    """A limit, and a request that counts in it."""

    path: str
    name: str
    period: str
    figure: int
    method: str = "GET"


async def exhaust(town: Town, plan: str, limit: Limit) -> httpx.Response:
    """Prove a limit on both of its sides; gives the refusal."""
    path, name, period, figure, method = limit
    first = await town.ask(path, plan, method)
    assert (first.is_success, shown(first)) == (True, (figure, figure - 1, RESET_S[period]))
    await town.fill(name, f"acct-{plan}", period, figure - 2)
    last, refused = await town.ask(path, plan, method), await town.ask(path, plan, method)
    assert (last.is_success, shown(last)) == (True, (figure, 0, RESET_S[period]))
    assert (refused.status_code, shown(refused)) == (429, (figure, 0, RESET_S[period]))
    assert int(refused.headers["retry-after"]) == RESET_S[period] - NOW_NS // 10**9
    return refused


@pytest.mark.row("E22", "E23", "E24", "E25")
@pytest.mark.parametrize(("plan", "limit"), [("free", 100), ("pro", 1_000), ("enterprise", 7)])
async def test_e_counts_by_the_hour(town: Town, plan: str, limit: int) -> None:
    """Free, pro, and what an enterprise agreed on; in E's envelope."""
    refused = await exhaust(town, plan, Limit("/v1/usage", "inference_per_hour", "hour", limit))
    error = refused.json()["error"]
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    assert error["request_id"].startswith("req_")


@pytest.mark.row("E21")
async def test_an_error_of_e_is_the_documents(town: Town) -> None:
    """The sample: a wrong key."""
    answer = await town.ask("/v1/usage", "EFG_sk_live_xxxxxxxxxxxxxxxx")
    error = answer.json()["error"]
    assert (answer.status_code, set(error)) == (401, {"code", "message", "type", "request_id"})
    assert (error["code"], error["type"]) == ("invalid_api_key", "authentication_error")
    assert error["request_id"].startswith("req_")
    assert isinstance(error["message"], str)


@pytest.mark.row("D3", "D4", "D5")
@pytest.mark.parametrize(("plan", "limit"), [("starter", 100), ("pro", 500), ("enterprise", 8)])
async def test_d_counts_by_the_minute(town: Town, plan: str, limit: int) -> None:
    """Starter, professional, and an enterprise's customized figure."""
    await exhaust(town, plan, Limit("/api/v1/datasets", "data_per_minute", "minute", limit))


@pytest.mark.row("D5")
async def test_an_enterprise_of_d_has_2000_a_minute(town: Town) -> None:
    """Where nothing else was agreed on."""
    other = KeyRecord(key_id="big", project_id="p", kind="live", account_id="acct-big", plan="enterprise")
    assert [window.limit for window in town.limiting.gate.windows_of(other, "data")] == [2_000]


@pytest.mark.row("A2", "A52")
@pytest.mark.parametrize("plan", ["free", "agency"])
async def test_a_has_100_requests_per_window(town: Town, plan: str) -> None:
    """The window is a minute (I15); in A's envelope, where the error is a text."""
    refused = await exhaust(town, plan, Limit("/api/v1/gpu/available", "machines_per_minute", "minute", 100))
    body = refused.json()
    assert (body["code"], body["details"]["limit"]) == ("RATE_LIMITED", 100)
    assert isinstance(body["error"], str)


@pytest.mark.row("S28", "S34")
@pytest.mark.parametrize(
    "limit",
    [
        Limit("/api/v1/deployments", "deployments_per_hour", "hour", 100),
        Limit("/api/v1/predict/dep-1", "predictions_per_minute", "minute", 1_000, "POST"),
        Limit("/api/v1/metrics/dep-1", "metrics_per_hour", "hour", 100),
    ],
    ids=lambda limit: limit.name,
)
async def test_s_counts_each_kind_of_request(town: Town, limit: Limit) -> None:
    """As its table says, in its envelope, with its headers."""
    refused = await exhaust(town, "free", limit)
    body = refused.json()
    assert (body["error"]["code"], set(body["error"])) == ("RATE_LIMITED", {"code", "message", "details"})
    assert body["request_id"].startswith("req-")


LOGIN = {"email": "ann@example.com", "password": PASSWORD}


@pytest.mark.row("S30")
async def test_signing_in_is_limited_to_ten_a_minute(town: Town) -> None:
    """By address and e-mail, right or wrong, before anybody is known; another e-mail is another counter."""
    await town.house.register("ann")
    answers = [await town.ask("/api/v1/auth/login", method="POST", body=LOGIN) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert [shown(answer)[:2] for answer in (answers[0], answers[9], answers[10])] == [(10, 9), (10, 0), (10, 0)]
    refused = await town.ask("/api/v1/auth/login", method="POST", body=LOGIN, x_api_surface="s")
    assert refused.json()["error"]["code"] == "RATE_LIMITED"
    other = await town.ask("/api/v1/auth/login", method="POST", body={**LOGIN, "email": "bob@example.com"})
    assert (other.status_code, shown(other)[:2]) == (401, (10, 9))


async def test_guessing_a_password_is_limited_without_plans(house: House) -> None:
    """Wrong ones count; right ones do not, and tell no limit."""
    town = Town(house, enforce=False)
    await house.register("ann")
    right = [await town.ask("/api/v1/auth/login", method="POST", body=LOGIN) for _ in range(12)]
    wrong = {**LOGIN, "password": "a wrong one"}
    guesses = [await town.ask("/api/v1/auth/login", method="POST", body=wrong) for _ in range(11)]
    assert {answer.status_code for answer in right} == {200}
    assert "x-ratelimit-limit" not in right[0].headers
    assert [answer.status_code for answer in guesses] == [401] * 10 + [429]
    assert shown(guesses[-1])[:2] == (10, 0)


async def test_registering_is_limited_like_signing_in(town: Town) -> None:
    """The same address and e-mail, ten times a minute."""
    body = {**LOGIN, "name": "Ann"}
    answers = [await town.ask("/api/v1/auth/register", method="POST", body=body) for _ in range(11)]
    assert (answers[0].status_code, {answer.status_code for answer in answers[1:10]}) == (201, {400})
    assert answers[10].status_code == 429


@pytest.fixture
async def ann(house: House) -> SignedIn:
    """A person."""
    return await house.register("ann")


async def test_a_person_counts_on_their_accounts_plan(town: Town, ann: SignedIn) -> None:
    """By token as a key does; by the dashboard's cookie in a counter of its own, since a page asks many things."""
    wanted = WantedPlan(account_id=ann.person.account_id, plan="starter")
    await set_plan(town.house.database, wanted, ACTOR, NOW_NS)
    by_token = await town.ask("/api/dashboard/stats", ann.tokens.access_token.reveal())
    by_cookie = await town.ask("/api/dashboard/stats", cookie=f"{COOKIE}={ann.cookie.reveal()}")
    assert (shown(by_token)[:2], shown(by_cookie)[:2]) == ((60, 59), (600, 599))


async def test_a_refusal_by_a_guard_counts_too(town: Town, ann: SignedIn, house: House) -> None:
    """403 to someone who is known tells the limits."""
    viewer = await house.join(ann, "bob", "viewer")
    refused = await town.ask("/api/owners", viewer.tokens.access_token.reveal())
    assert (refused.status_code, shown(refused)[:2]) == (403, (10, 9))


async def test_a_stranger_is_limited_by_address(town: Town) -> None:
    """With a key that nobody knows."""
    answers = [await town.ask("/v1/usage", "rubbish") for _ in range(101)]
    assert [answer.status_code for answer in answers] == [401] * 100 + [429]
    assert shown(answers[-1]) == (100, 0, RESET_S["hour"])


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/api/nothing", 404), ("DELETE", "/api/dashboard/stats", 405)]
)
async def test_what_is_not_there_counts_too(town: Town, ann: SignedIn, method: str, path: str, status: int) -> None:
    """For a person by token and by cookie as for a program, as any other refusal does."""
    token, cookie = ann.tokens.access_token.reveal(), f"{COOKIE}={ann.cookie.reveal()}"
    page = {"cookie": cookie, "origin": "http://gateway.test", "content_type": "application/json"}
    for left in (1, 2):
        answers = [await town.ask(path, key, method) for key in (token, "free")]
        answers.append(await town.ask(path, method=method, **page))
        assert {answer.status_code for answer in answers} == {status}
        assert [shown(answer)[:2] for answer in answers] == [(10, 10 - left)] * 2 + [(600, 600 - left)]
    # Who shows nothing, or nonsense, is told nothing.
    for key in ("", "rubbish"):
        assert "x-ratelimit-limit" not in (await town.ask(path, key, method)).headers
    assert shown(await town.ask("/v1/nothing", "free"))[:2] == (10, 9)


@pytest.mark.parametrize(("path", "key"), [("/health", ""), ("/v1/usage", "own"), ("/nowhere", "free")])
async def test_what_no_plan_governs_tells_no_limit(town: Town, path: str, key: str) -> None:
    """Health, an operator's key, and what is not there."""
    assert "x-ratelimit-limit" not in (await town.ask(path, key)).headers


async def test_without_enforcement_nothing_is_counted(house: House) -> None:
    """A sidecar runs without."""
    town = Town(house, enforce=False)
    answer = await town.ask("/v1/usage", "free")
    assert (answer.status_code, "x-ratelimit-limit" in answer.headers) == (200, False)
