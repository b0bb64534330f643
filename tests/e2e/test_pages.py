"""The reference in a real browser: it shows what it should, loads nothing from anywhere else and logs no error."""

import pytest
from e2e.sights import Size, look
from playwright.async_api import Browser
from running import Running

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.parametrize("size", ["desktop", "phone"])
async def test_the_reference_works_offline(browser: Browser, gateway: Running, size: Size) -> None:
    """/docs lists the endpoints and asks no other host for anything, in a window of either size."""
    async with look(browser, gateway, size=size) as sight:
        await sight.open("/docs")
        words = set((await sight.text()).split())
        assert {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", "/health"} <= words
        assert (sight.strangers, sight.complaints) == ([], [])
        assert await sight.overflow() == 0


async def test_every_link_of_the_reference_leads_somewhere(browser: Browser, gateway: Running) -> None:
    """It links to nothing that is not there: neither a path nor a place on the page."""
    async with look(browser, gateway) as sight:
        await sight.open("/docs")
        links: list[str] = await sight.page.eval_on_selector_all("a", "found => found.map(a => a.getAttribute('href'))")
        places: list[str] = await sight.page.eval_on_selector_all("[id]", "found => found.map(e => e.id)")
        assert {link.removeprefix("#") for link in links if link.startswith("#")} <= set(places)
        for link in {link for link in links if link.startswith("/")}:
            assert (await sight.page.request.get(f"{sight.home}{link}")).status == 200, link
