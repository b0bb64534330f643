"""The cache's page in a real browser, with answers that were really served again."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from e2e.paraphrases import ask_again
from e2e.sights import Size, look
from e2e.test_views import find_faults
from e2e.town import ADA, PROJECTS, VIC, Town
from playwright.async_api import Browser, Page, Route, expect

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
# Enough that a bound can be proven.
CALLS, MOST_CALLS = 220, 800
# What happened, and two lines of the question.
MOST_ROW_PX = 110


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


async def change(town: Town, learnt: str, changes: dict[str, Any]) -> None:
    """Set what holds for the project of that page."""
    await town.ask("PATCH", f"/api/projects/{learnt.rpartition('=')[2]}/cache", changes)


async def save(page: Page) -> None:
    """Save the settings and wait until nothing is left to save."""
    await page.get_by_role("button", name="Save").click()
    await page.locator("button[aria-busy=false]:disabled", has_text="Save").wait_for()


@pytest.mark.parametrize("size", ["desktop", "phone"])
async def test_the_curve_is_the_reports(browser: Browser, town: Town, learnt: str, size: Size) -> None:
    """What the slider says at each bound is what the API's report says."""
    project_id = learnt.rpartition("=")[2]
    await change(town, learnt, {"mode": "semantic", "max_wrong_hit_rate": 0.2, "max_wrong_rate": None})
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
    await change(town, learnt, {"mode": "shadow", "max_wrong_hit_rate": 0.01, "max_wrong_rate": None})
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


async def test_saving_settings_leaves_the_mode_that_was_turned_on(browser: Browser, town: Town, learnt: str) -> None:
    """The form shows what is in force, and sends nothing but what was changed in it."""
    project_id = learnt.rpartition("=")[2]
    await change(
        town, learnt, {"mode": "shadow", "max_wrong_hit_rate": 0.01, "max_wrong_rate": None, "tool_calls": False}
    )
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open(learnt)
        await page.get_by_label("Keep answers that call tools").check()
        await page.get_by_label("Your bound").focus()
        await page.keyboard.press("End")
        await page.get_by_role("button", name="Turn on at this bound").click()
        modes = page.get_by_role("group", name="Mode")
        await expect(modes.get_by_role("button", name="Semantic")).to_have_attribute("aria-pressed", "true")
        # Somebody else's change, which the page does not know of.
        await change(town, learnt, {"ttl_s": 7_200})
        await save(page)
        policy = await town.ask("GET", f"/api/projects/{project_id}/cache")
        assert (policy["mode"], policy["tool_calls"], policy["ttl_s"]) == ("semantic", True, 7_200)
        assert sight.complaints == []


async def test_a_bound_of_the_other_kind_takes_the_first_ones_place(browser: Browser, town: Town, learnt: str) -> None:
    """One bound holds; what is told of it is of the same whole as the bound."""
    project_id = learnt.rpartition("=")[2]
    await change(town, learnt, {"mode": "semantic", "max_wrong_hit_rate": 0.2, "max_wrong_rate": None})
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open(learnt)
        await page.get_by_text("Of them wrong").wait_for()
        await page.get_by_role("button", name="Wrong of all requests").click()
        await page.locator("dt").get_by_text("Wrong of all requests").wait_for()
        assert await page.get_by_text("Of them wrong").count() == 0
        await page.get_by_label("Your bound").focus()
        await page.keyboard.press("End")
        await page.get_by_role("button", name="Change the bound").click()
        await page.get_by_role("button", name="In force").wait_for()
        policy = await town.ask("GET", f"/api/projects/{project_id}/cache")
        loosest = (await town.ask("GET", f"/api/projects/{project_id}/cache/report"))["curve"]
        wanted = max(point["max_wrong_rate"] for point in loosest if "max_wrong_rate" in point)
        assert (policy["max_wrong_rate"], policy["max_wrong_hit_rate"]) == (wanted, None)
        assert sight.complaints == []


async def test_a_bound_beside_the_curve_is_told_as_it_is(browser: Browser, town: Town, learnt: str) -> None:
    """The slider stands at it, and says whose figures are shown."""
    await change(town, learnt, {"mode": "semantic", "max_wrong_hit_rate": 0.3, "max_wrong_rate": None})
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open(learnt)
        await page.get_by_text("Your bound: at most 30% wrong of what is served").wait_for()
        await page.get_by_text("no point at 30%: the figures are those of the nearest, 20%").wait_for()
        await page.get_by_role("button", name="In force").wait_for()
        await sight.photograph("cache-own-bound")
        assert await find_faults(sight) == []
        await page.get_by_label("Your bound").focus()
        await page.keyboard.press("ArrowLeft")
        await page.get_by_text("Your bound: at most 20% wrong of what is served").wait_for()
        await page.get_by_role("button", name="Change the bound").wait_for()
        assert sight.complaints == []


async def test_a_bound_that_serves_nothing_claims_no_errors(browser: Browser, town: Town) -> None:
    """Where nothing was served, nothing is known of how much of it would be wrong: no figure, and no line at 100 %."""
    project_id, key = town.projects[PROJECTS[1]]
    await town.ask("PATCH", f"/api/projects/{project_id}/cache", {"mode": "shadow", "max_wrong_hit_rate": 0.01})
    for question in ask_again(12):
        call = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}]}
        await town.client.post("/v1/chat/completions", json=call, headers={"authorization": f"Bearer {key}"})
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open(f"/cache?project={project_id}")
        await page.get_by_text("From 200 on a bound can be proven").wait_for()
        report = await town.ask("GET", f"/api/projects/{project_id}/cache/report")
        assert {point["threshold"] for point in report["curve"]} == {None}
        figure = page.locator("dl", has_text="Of them wrong")
        assert await figure.locator("dd").inner_text() == "–\nnothing is served"
        drawn = await page.locator("figure.chart tbody tr").first.locator("td").all_inner_texts()
        assert drawn == ["0%", "nothing is served", "nothing is served"]
        assert sight.complaints == []


@pytest.mark.parametrize(("typed", "seconds"), [("0.5", 1_800), ("1.25", 4_500)])
async def test_answers_are_kept_for_parts_of_an_hour(
    browser: Browser, town: Town, learnt: str, typed: str, seconds: int
) -> None:
    """And what is no whole number of hours hinders no other change."""
    project_id = learnt.rpartition("=")[2]
    await change(town, learnt, {"ttl_s": 100, "tool_calls": False})
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        hours = page.get_by_label("Kept for, in hours")
        await sight.open(learnt)
        await expect(hours).to_have_value("0.02778")
        await page.get_by_label("Keep answers that call tools").check()
        await save(page)
        policy = await town.ask("GET", f"/api/projects/{project_id}/cache")
        assert (policy["ttl_s"], policy["tool_calls"]) == (100, True)
        await hours.fill(typed)
        await save(page)
        assert (await town.ask("GET", f"/api/projects/{project_id}/cache"))["ttl_s"] == seconds
        assert sight.complaints == []


async def test_a_judge_is_named_and_taken_away(browser: Browser, town: Town, learnt: str) -> None:
    """One that nobody answers for is told, and what was in force stays."""
    project_id = learnt.rpartition("=")[2]
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open(learnt)
        judge = page.get_by_label("Judge")
        for name in ("gpt-4o-mini", ""):
            await judge.fill(name)
            await save(page)
            assert (await town.ask("GET", f"/api/projects/{project_id}/cache"))["semantic_judge_model"] == name
        await judge.fill("nobody-has-it")
        await page.get_by_role("button", name="Save").click()
        await page.get_by_text("No configured provider has the model 'nobody-has-it'").wait_for()
        assert (await town.ask("GET", f"/api/projects/{project_id}/cache"))["semantic_judge_model"] == ""


async def test_more_hours_than_a_year_has_are_not_sent(browser: Browser, town: Town, learnt: str) -> None:
    """The field says so, before the API would."""
    project_id = learnt.rpartition("=")[2]
    await change(town, learnt, {"ttl_s": 3_600})
    async with look(browser, town.gateway, email=ADA) as sight:
        hours = sight.page.get_by_label("Kept for, in hours")
        await sight.open(learnt)
        await hours.fill("1000000000")
        await sight.page.get_by_role("button", name="Save").click()
        assert await hours.evaluate("field => field.validity.rangeOverflow")
        assert (await town.ask("GET", f"/api/projects/{project_id}/cache"))["ttl_s"] == 3_600
        assert sight.complaints == []


@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("question", [None, "Wherefore art thou, and how long " * 60, "w" * 2_000])
async def test_finds_fit_their_card(
    browser: Browser, town: Town, learnt: str, size: Size, question: str | None
) -> None:
    """However long a question is and whatever stands in it, its verdict and what to do are seen."""

    async def lengthen(route: Route) -> None:
        response = await route.fetch()
        data = await response.json()
        for hit in data["hits"]:
            hit["question"] = question or hit["question"]
        await route.fulfill(response=response, json=data)

    async with look(browser, town.gateway, size=size, email=ADA) as sight:
        page = sight.page
        await page.route("**/cache/hits?*", lengthen)
        await sight.open(learnt)
        button = page.get_by_role("button", name="Look").first
        await button.scroll_into_view_if_needed()
        table = page.locator(".table", has=button)
        assert await table.evaluate("box => box.scrollWidth - box.clientWidth") == 0
        assert await table.locator("tbody tr").first.evaluate("row => row.clientHeight") < MOST_ROW_PX
        if question != "w" * 2_000:
            await sight.photograph(f"finds-{size}-{'long' if question else 'own'}")
        assert (sight.complaints, await sight.overflow()) == ([], 0)


async def test_a_find_is_looked_at_in_a_narrow_window(browser: Browser, town: Town, learnt: str) -> None:
    """It lies within the window, and Escape gives the focus back to the button that opened it."""
    async with look(browser, town.gateway, size="phone", email=ADA) as sight:
        page = sight.page
        await sight.open(learnt)
        button = page.get_by_role("button", name="Look").first
        await button.focus()
        await page.keyboard.press("Enter")
        await page.get_by_text("The answer that it stands for").wait_for()
        box = await page.get_by_role("dialog", name="A find").bounding_box()
        assert box is not None
        assert (box["x"], box["width"]) == (0, 390)
        await sight.photograph("find-phone")
        await page.keyboard.press("Escape")
        await expect(button).to_be_focused()
        assert (sight.complaints, await sight.overflow()) == ([], 0)


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
