"""The proxied endpoints by both ways in: the short one and ordinary ASGI answer the same."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import httpx
import pytest
from fakes import (
    CALLER,
    NOW_NS,
    STREAM,
    TESTER,
    FakeBackend,
    FakeClient,
    FakeDirectory,
    FakeExchange,
    chat_body,
    make_services,
    rows_of,
    turn,
    whole,
)
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from msgspec.structs import replace

from gateway.accounts.directory import KeyFault
from gateway.config.settings import Retries, Server, Settings
from gateway.errors import Fault
from gateway.pipeline.services import Services
from gateway.surfaces import faults
from gateway.surfaces.proxy.openai import (
    OpenAiDoor,
    list_models,
    proxied_routes,
    show_model,
)
from providers.errors import Refused
from providers.wire import Headers

CHAT = "/v1/chat/completions"
BEARER = {"authorization": "Bearer live"}
KEYS: dict[bytes, Any] = {
    b"live": CALLER,
    b"test": TESTER,
    b"ended": KeyFault.REVOKED,
    b"limited": replace(CALLER, allowed_models=frozenset({"other"})),
}
# What differs from call to call, or is written by the HTTP server.
VARYING = {"x-watchllm-request-id", "content-length"}


def steady(headers: Mapping[str, str]) -> dict[str, str]:
    """An answer's headers but for those; a request's name is looked at where it is the provider's."""
    own = {"x-request-id"} if headers["x-request-id"] == headers["x-watchllm-request-id"] else set[str]()
    return {name: value for name, value in headers.items() if name not in VARYING | own}


class House:
    """A gateway's surface over fakes, with both ways in."""

    def __init__(self, step: Any = None, *, bounds: Server | None = None) -> None:
        self.backend = FakeBackend(whole() if step is None else step)
        sandbox = FakeBackend(whole(), name="sandbox", is_free=True)
        settings = Settings(retries=Retries(max_tries=1), server=bounds or Server())
        directory = cast("Any", FakeDirectory(KEYS))
        self.services: Services = make_services(self.backend, sandbox, settings=settings, directory=directory)
        self.door = OpenAiDoor(self.services)

    def app(self) -> Litestar:
        """The ordinary way."""

        def provide() -> Services:
            return self.services

        return Litestar(
            [list_models, show_model, *proxied_routes(self.door, self.services)],
            dependencies={"services": Provide(provide, sync_to_thread=False)},
            exception_handlers=faults.HANDLERS,
            openapi_config=None,
            logging_config=None,
            state=State({"services": self.services}),
        )

    def client(self) -> httpx.AsyncClient:
        """A client of the ordinary way."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", self.app())), base_url="http://gateway.test")

    async def short(self, body: bytes, headers: Headers = ((b"authorization", b"Bearer live"),)) -> FakeClient:
        """Go the short way to its end, as the server's protocol does."""
        client = FakeClient()
        try:
            visit = self.door.knock("chat/completions", headers, dict(headers))
        except Fault as fault:
            self.door.refuse(client, fault)
            return client
        assert visit is not None, "the key is not known"
        answering = self.door.enter(visit, body, client, 0)
        if answering is not None:
            await answering
        return client


@pytest.fixture
async def house() -> House:
    """A house whose provider answers whole."""
    return House()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the ordinary way into the house."""
    async with house.client() as client:
        yield client


# --- the door ---


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        (b"/v1/chat/completions", "chat/completions"),
        (b"/v1/completions", "completions"),
        (b"/v1/embeddings", "embeddings"),
        (b"/v1/chat/completions?api-version=1", "chat/completions"),
        (b"/v1/chat/completions/", None),
        (b"/v1/models", None),
        (b"/", None),
    ],
)
async def test_the_door_knows_its_paths(house: House, path: bytes, endpoint: str | None) -> None:
    """The query aside."""
    assert house.door.endpoint(path) == endpoint


def knock(house: House, *headers: tuple[bytes, bytes]) -> Any:
    """Knock with a good key and further headers."""
    every = [(b"authorization", b"Bearer live"), *headers]
    return house.door.knock("chat/completions", every, dict(every))


@pytest.mark.parametrize("kind", [b"application/json", b"application/json; charset=utf-8", b"APPLICATION/JSON", b""])
async def test_json_is_taken(house: House, kind: bytes) -> None:
    """With any parameter; a client that says nothing is believed."""
    assert knock(house, (b"content-type", kind)).caller == CALLER


@pytest.mark.parametrize(
    "header",
    [
        (b"content-type", b"text/plain"),
        (b"content-type", b"multipart/form-data; boundary=x"),
        (b"content-type", b"application/jsonx"),
        (b"content-encoding", b"gzip"),
        (b"content-encoding", b"br"),
    ],
)
async def test_everything_else_is_415(house: House, header: tuple[bytes, bytes]) -> None:
    """Other types and compressed bodies, before a byte of them is read."""
    with pytest.raises(Fault) as refused:
        knock(house, header)
    assert (refused.value.status, refused.value.code) == (415, "unsupported_media_type")


async def test_a_stranger_is_refused_before_the_type_is_looked_at(house: House) -> None:
    """Nothing of a request is read for a stranger."""
    with pytest.raises(Fault) as refused:
        house.door.knock("chat/completions", [], {b"content-type": b"text/plain"})
    assert refused.value.status == 401


@pytest.mark.parametrize("name", [b"x-watchllm-max-cost-usd", b"x-watchllm-tags"])
def test_a_header_of_ours_comes_once(house: House, name: bytes) -> None:
    """Of two caps one would be dropped in silence; others' headers may come as often as they like."""
    with pytest.raises(Fault, match="came more than once; send it once") as refused:
        knock(house, (name, b"1"), (name, b"2"))
    assert (refused.value.status, refused.value.param) == (400, name.decode())
    assert knock(house, (b"x-forwarded-for", b"a"), (b"x-forwarded-for", b"b"), (name, b"1")).caller == CALLER


async def test_tags_and_session_are_the_rows(house: House) -> None:
    """x-watchllm-tags and x-watchllm-session."""
    visit = knock(house, (b"x-watchllm-tags", b"team=a"), (b"x-watchllm-session", b"s1"), (b"x-watchllm-cache", b"off"))
    assert (visit.tags, visit.session, visit.cache) == ("team=a", "s1", "off")


@pytest.mark.parametrize(("sent", "read"), [("ünï€".encode(), "ünï€"), ("ünï".encode("latin-1"), "ünï")])
async def test_tags_and_session_are_read_as_utf_8(house: House, sent: bytes, read: str) -> None:
    """Bytes that are none are taken as HTTP's oldest definition has it."""
    visit = knock(house, (b"x-watchllm-tags", sent), (b"x-watchllm-session", sent))
    assert (visit.tags, visit.session) == (read, read)


@pytest.mark.parametrize("name", [b"x-watchllm-tags", b"x-watchllm-session"])
async def test_tags_and_session_are_bounded(house: House, name: bytes) -> None:
    """They are stored with every call."""
    with pytest.raises(Fault) as refused:
        knock(house, (name, b"x" * 513))
    assert (refused.value.status, refused.value.param) == (400, name.decode())


async def test_each_call_has_an_id_of_its_own(house: House) -> None:
    """26 characters that no client chooses."""
    ids = {(await house.short(chat_body())).headers["x-watchllm-request-id"] for _ in range(3)}
    assert [len(each) for each in ids] == [26, 26, 26]


async def test_a_visit_holds_while_no_key_changes(house: House) -> None:
    """The next request of a connection need not be known again; after any change it must."""
    visit = knock(house)
    before = house.door.welcomes(visit)
    house.services.directory.revision += 1
    assert (before, house.door.welcomes(visit)) == (True, False)


@pytest.mark.parametrize(("expires_ns", "is_welcome"), [(None, True), (NOW_NS + 1, True), (NOW_NS, False)])
async def test_a_visit_ends_with_its_key(house: House, expires_ns: int | None, is_welcome: bool) -> None:
    """A key that expires between two requests of a connection."""
    visit = knock(house)
    visit = replace(visit, caller=replace(CALLER, expires_ns=expires_ns))
    assert house.door.welcomes(visit) is is_welcome


async def test_an_empty_body_is_refused(house: House) -> None:
    """The message says what is expected."""
    client = await house.short(b"")
    assert (client.status, "JSON object" in client.json["error"]["message"]) == (400, True)


async def test_a_call_counts_as_in_flight_until_it_ends(house: House) -> None:
    """0 at rest."""
    metrics = house.services.metrics
    seen: list[int] = []
    client = FakeClient()
    client.on_write = lambda: seen.append(metrics.requests_in_flight)
    answering = house.door.enter(knock(house), chat_body(), client, 0)
    assert answering is not None
    await answering
    assert (seen, metrics.requests_in_flight) == ([1], 0)


# --- both ways ---

CASES: dict[str, tuple[Any, bytes, dict[str, str]]] = {
    "whole": (whole(headers=[(b"x-request-id", b"u1"), (b"set-cookie", b"a=b")]), chat_body(), BEARER),
    "refused by the provider": (Refused("no", upstream_status=429, retry_after_ms=99_000), chat_body(), BEARER),
    "test key": (whole(), chat_body(), {"x-api-key": "test"}),
    "no key": (whole(), chat_body(), {}),
    "ended key": (whole(), chat_body(), {"api-key": "ended"}),
    "two keys": (whole(), chat_body(), {**BEARER, "x-api-key": "test"}),
    "limited key": (whole(), chat_body(), {"x-api-key": "limited"}),
    "unknown model": (whole(), chat_body(model="nobody"), BEARER),
    "no json": (whole(), b"{", BEARER),
    "not encodable": (whole(), chat_body(temperature="hot"), BEARER),
    "other type": (whole(), chat_body(), {**BEARER, "content-type": "text/plain"}),
    "cache only": (whole(), chat_body(), {**BEARER, "x-watchllm-cache": "only"}),
    "unknown wish": (whole(), chat_body(), {**BEARER, "x-watchllm-cache": "maybe"}),
    "empty": (whole(), b"", BEARER),
}


@pytest.mark.parametrize("case", CASES)
async def test_both_ways_answer_the_same(case: str) -> None:
    """Status, headers and body."""
    step, body, headers = CASES[case]
    house = House(step)
    direct = await house.short(body, [(name.encode(), value.encode()) for name, value in headers.items()])
    async with house.client() as client:
        ordinary = await client.post(CHAT, content=body, headers=headers)
    assert (ordinary.status_code, ordinary.json()) == (direct.status, direct.json)
    assert steady(ordinary.headers) == steady(direct.headers)


async def test_a_key_that_is_not_known_yet_takes_the_ordinary_way(house: House, client: httpx.AsyncClient) -> None:
    """The short way cannot wait until the directory has caught up; the other refuses who is unknown even then."""
    assert house.door.knock("chat/completions", ((b"api-key", b"nobody"),), {b"api-key": b"nobody"}) is None
    answer = await client.post(CHAT, content=chat_body(), headers={"api-key": "nobody"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


async def test_both_ways_stream_the_same() -> None:
    """Events and headers."""
    body = chat_body(stream=True)
    direct = await House(FakeExchange(STREAM)).short(body)
    async with House(FakeExchange(STREAM)).client() as client:
        ordinary = await client.post(CHAT, content=body, headers=BEARER)
    assert ordinary.content == direct.data
    assert steady(ordinary.headers) == steady(direct.headers)


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_the_calls_take_post_only(client: httpx.AsyncClient, path: str, method: str) -> None:
    """405, in the envelope."""
    response = await client.request(method, path, headers=BEARER)
    assert (response.status_code, response.json()["error"]["code"]) == (405, "method_not_allowed")


async def test_a_body_beyond_the_limit_is_413() -> None:
    """By the ordinary way, too."""
    async with House(bounds=Server(max_body_bytes=1_024)).client() as client:
        response = await client.post(CHAT, content=b"x" * 1_025, headers=BEARER)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")


async def test_a_client_that_leaves_the_ordinary_way_has_its_row() -> None:
    """No ASGI server cancels the handler, so it is watched."""
    exchange = FakeExchange(is_prompt=False)
    house = House(exchange)
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    inbox.put_nowait({"type": "http.request", "body": chat_body(stream=True), "more_body": False})
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {
        "type": "http",
        "method": "POST",
        "path": CHAT,
        "raw_path": CHAT.encode(),
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer live")],
        "http_version": "1.1",
        "scheme": "http",
    }
    task = asyncio.get_running_loop().create_task(house.app()(cast("Any", scope), cast("Any", inbox.get), send))
    while exchange.sink is None:
        await turn()
    inbox.put_nowait({"type": "http.disconnect"})
    await task
    assert [(row.status, row.http_status) for row in rows_of(house.services)] == [("cancelled", 499)]
    assert house.services.metrics.requests_in_flight == 0


async def test_a_number_beyond_any_range_is_refused_by_both_ways(house: House, client: httpx.AsyncClient) -> None:
    """JSON allows 1e999; no parser of floats does."""
    body = chat_body(temperature=0).replace(b'"temperature": 0', b'"temperature": 1e999')
    ordinary = await client.post(CHAT, content=body, headers=BEARER)
    direct = await house.short(body)
    assert (ordinary.status_code, direct.status) == (400, 400)


# --- models ---


async def test_models_are_listed_in_openais_shape(client: httpx.AsyncClient) -> None:
    """object, data, and four members each."""
    response = await client.get("/v1/models", headers=BEARER)
    assert response.json() == {
        "object": "list",
        "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "openai"}],
    }


async def test_one_model_is_shown(client: httpx.AsyncClient) -> None:
    """By its id."""
    assert (await client.get("/v1/models/m", headers=BEARER)).json()["id"] == "m"


@pytest.mark.parametrize("name", ["nobody", "vendor/nobody"])
async def test_an_unknown_model_is_404(client: httpx.AsyncClient, name: str) -> None:
    """Names may contain slashes."""
    response = await client.get(f"/v1/models/{name}", headers=BEARER)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


async def test_a_model_that_is_callable_without_being_listed_is_shown(client: httpx.AsyncClient) -> None:
    """A name with a provider's prefix."""
    response = await client.get("/v1/models/openai/new", headers=BEARER)
    assert (response.json()["id"], response.json()["owned_by"]) == ("openai/new", "openai")


async def test_a_test_key_sees_the_sandboxs_models(client: httpx.AsyncClient) -> None:
    """It may name any; those that are known are listed."""
    models = (await client.get("/v1/models", headers={"x-api-key": "test"})).json()["data"]
    assert {model["owned_by"] for model in models} == {"sandbox"}


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/m"])
async def test_models_are_not_for_strangers(client: httpx.AsyncClient, path: str) -> None:
    """A list of models is a configuration."""
    response = await client.get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")


async def test_a_limited_key_sees_its_models_only(client: httpx.AsyncClient) -> None:
    """The list is what the key can call."""
    assert (await client.get("/v1/models", headers={"x-api-key": "limited"})).json()["data"] == []


async def test_a_limited_key_is_not_told_of_others(client: httpx.AsyncClient) -> None:
    """404, as for a model that does not exist."""
    assert (await client.get("/v1/models/m", headers={"x-api-key": "limited"})).status_code == 404
