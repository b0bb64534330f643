"""The frame is seen before its script is there, and answers before it is known who looks at it."""

import asyncio
import re

import pytest
from e2e.sights import Sight, look
from e2e.town import ADA, Town
from playwright.async_api import Browser, Route, expect

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
SCRIPT = re.compile(r"/assets/index-[^/]*\.js")
# All but the document and its script.
ALL_ELSE = re.compile(r"/(api|health|assets/(?!index-))")
THEMED = "document.documentElement.dataset.theme"


async def hold(sight: Sight, pattern: re.Pattern[str]) -> asyncio.Event:
    """Keep what the page asks for from it until the event is set."""
    released = asyncio.Event()

    async def wait(route: Route) -> None:
        await released.wait()
        await route.continue_()

    await sight.page.route(pattern, wait)
    return released


async def test_a_button_that_is_pressed_before_its_script_is_there_waits_for_it(browser: Browser, town: Town) -> None:
    """And the theme that was chosen is the frame's from its first picture on."""
    async with look(browser, town.gateway, email=ADA) as sight:
        script = await hold(sight, SCRIPT)
        for theme, following in (("system", "light"), ("light", "dark")):
            script.clear()
            await sight.page.goto(f"{sight.home}/budgets", wait_until="commit")
            await sight.page.get_by_role("link", name="Requests").wait_for()
            assert await sight.page.evaluate(THEMED) == theme
            # What the button is called, the script alone knows.
            await sight.page.get_by_role("button", name="Theme: system").click()
            assert await sight.page.evaluate(THEMED) == theme
            script.set()
            await sight.page.get_by_role("button", name=f"Theme: {following}").wait_for()
            assert await sight.page.evaluate(THEMED) == following
        await expect(sight.page.get_by_role("link", name="Budgets")).to_have_attribute("aria-current", "page")
        await sight.settle()
        assert (sight.strangers, sight.complaints) == ([], [])


async def test_the_frame_answers_before_it_is_known_who_looks(browser: Browser, town: Town) -> None:
    """It waits for the document and the script alone, two ways there and back; and stays the same frame afterwards."""
    async with look(browser, town.gateway, size="phone", email=ADA) as sight:
        known = await hold(sight, ALL_ELSE)
        await sight.page.goto(f"{sight.home}/budgets", wait_until="commit")
        menu = await sight.page.get_by_role("button", name="Menu").element_handle()
        assert menu is not None
        await menu.click()
        await sight.page.get_by_role("button", name="Close the menu").wait_for()
        assert "Ada" not in await sight.text()
        known.set()
        await sight.page.get_by_text("Ada", exact=True).wait_for()
        assert await sight.page.get_by_role("button", name="Close the menu").count() == 1
        assert await menu.evaluate("button => button.isConnected")
        await sight.settle()
        assert (sight.strangers, sight.complaints) == ([], [])


async def test_a_session_that_is_over_leads_to_signing_in(browser: Browser, town: Town) -> None:
    """Though the document came with the frame: only the session's end is known late."""
    async with look(browser, town.gateway) as sight:
        await sight.page.context.add_cookies([{"name": "watchllm_session", "value": "over", "url": sight.home}])
        await sight.page.goto(f"{sight.home}/budgets")
        await sight.page.wait_for_url("**/login?next=%2Fbudgets")
        await sight.page.get_by_role("button", name="Sign in").wait_for()
        assert await sight.page.get_by_role("navigation").count() == 0
