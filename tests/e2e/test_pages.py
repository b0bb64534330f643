"""The pages in a real browser: they show what they should, load nothing from anywhere else and log no error."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Route, async_playwright
from running import Running

from gateway.accounts.master import load_master_key
from gateway.accounts.tenancy.people_store import begin_claim_link
from gateway.accounts.tenancy.tokens import make_claim_token

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
CHROME = os.environ.get("CHROME") or "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
)
WIDTHS = {"desktop": 1280, "phone": 390}


class Sight(msgspec.Struct, frozen=True):
    """A page and what happened on it."""

    page: Page
    # Addresses that it asked for beyond the gateway; each was refused.
    strangers: list[str]
    # Errors and warnings of its console, and exceptions.
    complaints: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Debian's chromium, or what CHROME names."""
    assert Path(CHROME).exists(), f"no browser at {CHROME}: make e2e installs one, or set CHROME"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROME, args=[*FLAGS])
        yield started
        await started.close()


@pytest_asyncio.fixture(loop_scope="module", params=WIDTHS)
async def context(request: pytest.FixtureRequest, browser: Browser) -> AsyncIterator[BrowserContext]:
    """A fresh profile of either size."""
    opened = await browser.new_context(viewport={"width": WIDTHS[request.param], "height": 900})
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def sight(context: BrowserContext, gateway: Running) -> Sight:
    """A page whose every request and every complaint is kept."""
    page = await context.new_page()
    strangers: list[str] = []
    complaints: list[str] = []
    home = f"http://127.0.0.1:{gateway.port}/"

    async def guard(route: Route) -> None:
        if route.request.url.startswith((home, "data:")):
            await route.continue_()
        else:
            strangers.append(route.request.url)
            await route.abort()

    def keep(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def keep_exception(error: Error) -> None:
        complaints.append(error.message)

    await context.route("**/*", guard)
    page.on("console", keep)
    page.on("pageerror", keep_exception)
    return Sight(page, strangers, complaints)


async def open_page(sight: Sight, gateway: Running, path: str, folder: Path) -> str:
    """Open a page, take its picture and return its text."""
    response = await sight.page.goto(f"http://127.0.0.1:{gateway.port}{path}", wait_until="networkidle")
    assert response is not None
    assert response.status == 200
    assert "default-src 'none'" in response.headers["content-security-policy"]
    name = path.strip("/") or "start"
    await sight.page.screenshot(path=folder / f"{name}.png", full_page=False)
    return await sight.page.inner_text("body")


async def overflow(sight: Sight) -> int:
    """How many pixels the page is wider than its window."""
    return int(await sight.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


async def test_the_start_page_shows_the_base_url(sight: Sight, gateway: Running, tmp_path: Path) -> None:
    """A person sees where to point a client, in a window of either size, without anything from elsewhere."""
    text = await open_page(sight, gateway, "/", tmp_path)
    assert gateway.url in text
    assert (sight.strangers, sight.complaints) == ([], [])
    assert await overflow(sight) <= 0


async def test_the_snippets_change_with_their_tabs(sight: Sight, gateway: Running, tmp_path: Path) -> None:
    """Each language's example has the base URL and only one is seen at a time."""
    await open_page(sight, gateway, "/", tmp_path)
    for label, word in (("Python", "from openai import OpenAI"), ("Node.js", "new OpenAI"), ("curl", "curl http")):
        await sight.page.locator("label", has_text=label).click()
        shown = [code for code in await sight.page.locator("pre").all() if await code.is_visible()]
        texts = [await code.inner_text() for code in shown]
        assert len(texts) == 1
        assert word in texts[0]
        assert gateway.url in texts[0]


async def test_the_reference_works_offline(sight: Sight, gateway: Running, tmp_path: Path) -> None:
    """/docs lists the endpoints and asks no other host for anything."""
    text = await open_page(sight, gateway, "/docs", tmp_path)
    assert {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", "/health"} <= set(text.split())
    assert (sight.strangers, sight.complaints) == ([], [])
    assert await overflow(sight) <= 0


async def test_the_start_page_leads_to_the_reference(sight: Sight, gateway: Running, tmp_path: Path) -> None:
    """Its link is followed as a person does."""
    await open_page(sight, gateway, "/", tmp_path)
    await sight.page.get_by_role("link", name="Reference").first.click()
    await sight.page.wait_for_url("**/docs")
    assert "/v1/chat/completions" in await sight.page.inner_text("body")
    assert sight.complaints == []


async def test_the_claim_link_makes_the_operator(
    sight: Sight, gateway: Running, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A person fills in the form that the printed link leads to; the second time the link says that it was used."""
    async with gateway.gateway.app.state.database.write() as connection:
        number = await begin_claim_link(connection)
    master = load_master_key(None, gateway.gateway.services.settings.data_dir)
    path = f"/claim#{make_claim_token(master, number).reveal()}"
    for attempt, words in enumerate(("You are the operator now", "The claim link is wrong or was used")):
        text = await open_page(sight, gateway, "/claim", tmp_path)
        assert "lacks the part behind #" in text
        await sight.page.goto(f"http://127.0.0.1:{gateway.port}{path}")
        await sight.page.reload()
        await sight.page.fill("[name=email]", f"{request.node.callspec.id}{attempt}@example.com")
        await sight.page.fill("[name=password]", "correct horse battery")
        await sight.page.click("button")
        await sight.page.get_by_text(words).wait_for(timeout=10_000)
    assert sight.strangers == []
    # The refusal's status is told by the browser; nothing else is.
    assert [complaint for complaint in sight.complaints if "401" not in complaint] == []
    assert await overflow(sight) <= 0


async def test_every_link_of_the_pages_leads_somewhere(sight: Sight, gateway: Running, tmp_path: Path) -> None:
    """No page links to what is not there: neither a path nor a place on the page."""
    for path in ("/", "/docs"):
        await open_page(sight, gateway, path, tmp_path)
        links: list[str] = await sight.page.eval_on_selector_all("a", "found => found.map(a => a.getAttribute('href'))")
        places: list[str] = await sight.page.eval_on_selector_all("[id]", "found => found.map(e => e.id)")
        anchors = {link.removeprefix("#") for link in links if link.startswith("#")}
        assert anchors <= set(places)
        for link in {link for link in links if link.startswith("/")}:
            answer = await sight.page.request.get(f"http://127.0.0.1:{gateway.port}{link}")
            assert answer.status == 200, link
