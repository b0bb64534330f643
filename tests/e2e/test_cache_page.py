"""The cache's page in a real browser, with answers that were really served again."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from e2e.paraphrases import ask_again
from e2e.sights import Size, look
from e2e.test_views import find_faults
from e2e.town import ADA, PROJECTS, VIC, Town
from playwright.async_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
# Enough that a bound can be proven.
CALLS, MOST_CALLS = 220, 800


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def learnt(town: Town) -> AsyncIterator[str]:
    """A project whose cache has served like questions again; its path on the page."""
    project_id, key = town.projects[PROJECTS[2]]
    body = {"mode": "semantic", "max_wrong_hit_rate": 0.2, "prompts": True}
    await town.ask("PATCH", f"/api/projects/{project_id}/cache", body)
    for number, question in enumerate(ask_again(MOST_CALLS)):
        call = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}]}
        await town.client.post("/v1/chat/completions", json=call, headers={"authorization": f"Bearer {key}"})
        if number >= CALLS and number % 20 == 0:
            found = await town.ask("GET", f"/api/projects/{project_id}/cache/hits?limit=1")
            if found["hits"]:
                break
    yield f"/cache?project={project_id}"


@pytest.mark.parametrize("size", ["desktop", "phone"])
async def test_the_curve_is_the_reports(browser: Browser, town: Town, learnt: str, size: Size) -> None:
    """What the slider says at each bound is what the API's report says."""
    project_id = learnt.rpartition("=")[2]
    async with look(browser, town.gateway, size=size, email=ADA) as sight:
        page = sight.page
        await sight.open(learnt)
        slider = page.get_by_label("Your bound")
        await slider.wait_for()
        report = await town.ask("GET", f"/api/projects/{project_id}/cache/report")
        strictest, *_, loosest = [point for point in report["curve"] if "max_wrong_hit_rate" in point]
        for key, point in (("Home", strictest), ("End", loosest)):
            await slider.focus()
            await page.keyboard.press(key)
            await (
                page.get_by_text(f"at most {point['max_wrong_hit_rate'] * 100:g}% wrong")
                .or_(page.get_by_text(f"at most {point['max_wrong_hit_rate'] * 100:g}%").first)
                .first.wait_for()
            )
        assert (sight.strangers, sight.complaints, await sight.overflow()) == ([], [], 0)
        assert await find_faults(sight) == []
        await sight.photograph(f"cache-{size}")


async def test_the_cache_is_turned_on_at_a_bound(browser: Browser, town: Town, learnt: str) -> None:
    """The slider's place becomes the project's bound."""
    project_id = learnt.rpartition("=")[2]
    await town.ask("PATCH", f"/api/projects/{project_id}/cache", {"mode": "shadow", "max_wrong_hit_rate": 0.01})
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open(learnt)
        await page.get_by_label("Your bound").focus()
        await page.keyboard.press("End")
        await page.get_by_role("button", name="Turn on at this bound").click()
        await page.get_by_role("button", name="In force").wait_for()
        policy = await town.ask("GET", f"/api/projects/{project_id}/cache")
        assert (policy["mode"], policy["max_wrong_hit_rate"]) == ("semantic", 0.2)
        assert sight.complaints == []


async def test_a_find_is_looked_at_and_taken_back(browser: Browser, town: Town, learnt: str) -> None:
    """With its question, its entry and its neighbours; then it is gone."""
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open(learnt)
        await page.get_by_role("button", name="Look").first.click()
        await page.get_by_text("The answer that it stands for").wait_for()
        await page.get_by_role("button", name="This answer was wrong").click()
        await page.get_by_text("taken back").wait_for()
        assert sight.complaints == []


async def test_everything_is_purged_after_asking(browser: Browser, town: Town) -> None:
    """A project's answers go only when that was confirmed."""
    project_id, _ = town.projects[PROJECTS[1]]
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open(f"/cache?project={project_id}")
        await page.get_by_role("button", name="Purge everything").click()
        await page.get_by_role("button", name="Purge", exact=True).last.click()
        await page.get_by_text("forgotten").wait_for()
        purged = await town.ask("DELETE", f"/api/projects/{project_id}/cache")
        assert purged["purged"] == 0
        assert sight.complaints == []


async def test_a_viewer_cannot_turn_it_on(browser: Browser, town: Town, learnt: str) -> None:
    """They see the curve and no button that would be refused."""
    async with look(browser, town.gateway, email=VIC) as sight:
        await sight.open(learnt)
        await sight.page.get_by_label("Your bound").wait_for()
        for name in ("Save", "Purge everything"):
            assert await sight.page.get_by_role("button", name=name).is_disabled()
        assert sight.complaints == []
