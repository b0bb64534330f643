"""Proves the pages: the greeting for programs, the dashboard for browsers, and what stands in where none was built."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from raw_asking import Transport

from gateway.surfaces import pages
from gateway.surfaces.faults import HANDLERS
from gateway.surfaces.ops import OpsParts, build_ops_router
from gateway.surfaces.pages import build_pages_router
from gateway.telemetry import Metrics
from gateway.web.dashboard import PATHS, POLICY, STRANGERS, Asset, Dashboard, Page
from gateway.web.document import build_openapi_config

NOW_NS = 1_736_935_200_123_456_789
NOW = "2025-01-15T10:00:00Z"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
UNBUILT = Dashboard(index=None, framed=None, assets={})
PAGE = Page(
    body=b"<!doctype html><title>page</title>",
    zipped=None,
    media_type="text/html",
    tag='"page"',
    cache_control="no-cache",
    policy=POLICY.format(script=" 'sha256-a'", style=" 'sha256-b'"),
    script="/assets/index-1.js",
)
FRAMED = msgspec.structs.replace(PAGE, body=b"<!doctype html><title>page</title><nav></nav>", tag='"framed"')
SCRIPT = Asset(
    body=b"let a = 1;",
    zipped=b"zipped",
    media_type="text/javascript",
    tag='"script"',
    cache_control="public, max-age=31536000, immutable",
)
BUILT = Dashboard(index=PAGE, framed=FRAMED, assets={"index-1.js": SCRIPT})


def make_app(dashboard: Dashboard = UNBUILT, public_url: str = "") -> Litestar:
    ops = OpsParts(
        metrics=Metrics(version="1.2.3"), checks={}, allow=(), now_ns=lambda: NOW_NS, ticks_ns=iter(range(9)).__next__
    )
    router = build_pages_router(version="1.2.3", public_url=public_url, now_ns=lambda: NOW_NS, dashboard=dashboard)
    return Litestar(
        [build_ops_router(ops), router],
        openapi_config=build_openapi_config(version="1.2.3"),
        exception_handlers=HANDLERS,
        logging_config=None,
    )


@pytest.fixture(scope="module")
def unbuilt_app() -> Litestar:
    return make_app()


@pytest.fixture(scope="module")
def built_app() -> Litestar:
    return make_app(BUILT)


@pytest.fixture
async def client(unbuilt_app: Litestar) -> AsyncIterator[AsyncTestClient[Litestar]]:
    """A gateway without a dashboard."""
    async with AsyncTestClient(unbuilt_app, base_url="http://llm.example:8080") as client:
        yield client


@pytest.fixture
async def built(built_app: Litestar) -> AsyncIterator[AsyncTestClient[Litestar]]:
    """A gateway with one."""
    async with AsyncTestClient(built_app, base_url="http://llm.example:8080") as client:
        yield client


async def ask(client: AsyncTestClient[Litestar], path: str, **headers: str) -> httpx.Response:
    given: Any = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.get(path, headers={"accept": BROWSER, "accept-encoding": "identity", **given})


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "application/json, text/html",
        "text/html;q=0.1, */*",
        "text/html;q=0",
        "text/html;q=0, */*;q=0",
        "text/html;q=x",
        "text/html;level=1;q=0.3, application/*;q=0.4",
        ";q=1",
    ],
)
async def test_a_program_gets_the_greeting(built: AsyncTestClient[Litestar], accept: str) -> None:
    """Row S18, literally."""
    reply = await ask(built, "/", accept=accept)
    assert reply.json() == {
        "status": "healthy",
        "message": "Welcome to ServeML API",
        "version": "1.0.0",
        "timestamp": NOW,
    }
    assert reply.headers["vary"] == "accept, host"


@pytest.mark.parametrize("accept", ["text/html", "TEXT/HTML, */*", "text/*;q=0.2, */*;q=0.1", "text/html ; q=0.5"])
async def test_who_would_rather_have_a_page_gets_it(built: AsyncTestClient[Litestar], accept: str) -> None:
    """However that is written."""
    assert (await ask(built, "/", accept=accept)).content == PAGE.body


@pytest.mark.parametrize("path", ["/", *(path.replace("{first:str}", "proj_1") for path in PATHS)])
async def test_a_browser_gets_the_dashboard_at_all_its_addresses(built: AsyncTestClient[Litestar], path: str) -> None:
    """A link into it works, and so does loading it anew."""
    reply = await ask(built, path)
    assert reply.status_code == 200
    assert reply.content == PAGE.body
    assert reply.headers["content-security-policy"] == PAGE.policy
    assert reply.headers["cache-control"] == "no-cache"
    assert "accept" in reply.headers["vary"]


@pytest.mark.parametrize("path", ["/", "/budgets", "/welcome", "/login"])
@pytest.mark.parametrize("cookie", ["watchllm_session=x", ""])
async def test_who_has_a_session_gets_the_frame_and_is_asked_at_once(
    built: AsyncTestClient[Litestar], path: str, cookie: str
) -> None:
    """While the script is on its way, on every page but those of strangers; nobody else is asked in vain."""
    answer = await ask(built, path, accept=BROWSER, **({"cookie": cookie} if cookie else {}))
    is_framed = bool(cookie) and path not in (*STRANGERS, "/welcome")
    assert answer.content == (FRAMED if is_framed else PAGE).body
    assert answer.headers["etag"] == (FRAMED if is_framed else PAGE).tag
    script, *asked = answer.headers["link"].split(", ")
    assert script == "</assets/index-1.js>; rel=modulepreload; crossorigin=anonymous"
    preload = "rel=preload; as=fetch; crossorigin=anonymous"
    expected = [f"</api/users/me>; {preload}", f"</api/account>; {preload}"]
    assert asked == (expected if cookie and path != "/login" else [])


async def test_what_a_browser_has_is_not_sent_again(built: AsyncTestClient[Litestar]) -> None:
    """By its tag, of the page as of its files."""
    for path, tag in (("/overview", PAGE.tag), ("/assets/index-1.js", SCRIPT.tag)):
        reply = await ask(built, path, if_none_match=f'"other", W/{tag}')
        assert (reply.status_code, reply.content) == (304, b"")
        assert reply.headers["etag"] == tag


async def test_a_file_is_compressed_for_who_takes_it(built: AsyncTestClient[Litestar]) -> None:
    """And kept for ever by either."""
    plain = await ask(built, "/assets/index-1.js")
    assert (plain.content, plain.headers.get("content-encoding")) == (SCRIPT.body, None)
    transport = await Transport(built.app, "127.0.0.1").get("/assets/index-1.js", {"accept-encoding": "gzip, br"})
    assert (transport.text, transport.headers["content-encoding"]) == ("zipped", "gzip")
    for headers in (plain.headers, transport.headers):
        assert "immutable" in headers["cache-control"]
        assert headers["vary"] == "accept-encoding"
        assert headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("name", ["index-0.js", "..%2F..%2Fclaim.py", "index.html"])
async def test_nothing_but_the_build_has_an_address(built: AsyncTestClient[Litestar], name: str) -> None:
    """Files are found by name in what was read at the start, never on the disk."""
    assert (await ask(built, f"/assets/{name}")).status_code == 404


async def test_without_a_build_the_page_says_how_to_make_one(client: AsyncTestClient[Litestar]) -> None:
    """It names the base URL as the browser knows the gateway, and links to the reference."""
    for path in ("/", "/requests"):
        reply = await ask(client, path)
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert "make install" in reply.text
        assert "<code>http://llm.example:8080/v1</code>" in reply.text
        assert 'href="/docs"' in reply.text
        assert reply.headers["vary"] == "accept, host"


async def test_the_configured_address_wins() -> None:
    """Behind a proxy that ends TLS, the Host header does not tell the scheme."""
    async with AsyncTestClient(make_app(public_url="https://llm.example.org/")) as client:
        assert "<code>https://llm.example.org/v1</code>" in (await ask(client, "/")).text


@pytest.mark.parametrize("host", ["a<script>", "a b", "a@b", 'a"b', "a/b"])
async def test_a_strange_host_is_not_shown(unbuilt_app: Litestar, host: str) -> None:
    """The page never repeats what no address can be."""
    reply = await Transport(unbuilt_app, "127.0.0.1").get("/", {"host": host, "accept": BROWSER})
    assert host not in reply.text
    assert "<script" not in reply.text


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_without_a_script_may_load_nothing(client: AsyncTestClient[Litestar], path: str) -> None:
    """It works offline, and an injected script would not run."""
    reply = await ask(client, path)
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not any(word in reply.text for word in ("<script", "@import", 'style="', "onclick", "<iframe"))


async def test_the_reference_shows_every_endpoint(client: AsyncTestClient[Litestar]) -> None:
    """Row D22: endpoints of the framework and the hand-written ones."""
    text = (await client.get("/docs")).text
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/health", "/metrics"):
        assert f">{path}</a>" in text


async def test_the_reference_is_made_once(client: AsyncTestClient[Litestar], monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may ask for it, and to write it holds everybody up for a tenth of a second."""
    first = await client.get("/docs")
    monkeypatch.setattr(pages, "render_reference", None)
    assert (await client.get("/docs")).content == first.content


async def test_the_document_is_served(client: AsyncTestClient[Litestar]) -> None:
    """interface.md: the OpenAPI document is at /schema/openapi.json."""
    document = (await client.get("/schema/openapi.json")).json()
    assert {"/health", "/v1/chat/completions"} <= document["paths"].keys()
    assert document["openapi"].startswith("3.1")
