"""The log in a real browser: its rows are the API's, filters stand in the address, and the tail is live."""

import csv
import io
import re

import msgspec
import pytest
from e2e.sights import Scheme, Size, look
from e2e.test_views import find_faults
from e2e.town import ADA, BOB, PROJECTS, Town
from playwright.async_api import Browser, expect

from gateway.ids import new_id

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


async def call(town: Town, question: str) -> str:
    """Send one call of the first project; returns its id."""
    _, key = town.projects[PROJECTS[0]]
    answer = await town.client.post(
        "/v1/chat/completions",
        json={"model": "gpt-4o", "messages": [{"role": "user", "content": question}]},
        headers={"authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 200
    return str(answer.headers["x-watchllm-request-id"])


async def fail(town: Town, code: str) -> None:
    """Let a call of the first project have failed just now."""
    services = town.gateway.gateway.services
    project_id, _ = town.projects[PROJECTS[0]]
    now_ns = services.now_ns()
    known = next(row for row in town.gateway.rows if row.project_id == project_id)
    row = msgspec.structs.replace(
        known, request_id=new_id(now_ns), created_ns=now_ns, status="failed", http_status=502, error_code=code,
        is_cached=False, cache_layer="", saved_pusd=0, cost_pusd=0,
    )  # fmt: skip
    services.recorder.record(row)
    await services.recorder.flush()


@pytest.mark.parametrize(("scheme", "size"), [("light", "desktop"), ("dark", "phone")])
async def test_the_log_is_whole(browser: Browser, town: Town, scheme: Scheme, size: Size) -> None:
    """It shows calls, fits its window, says nothing to the console, and axe finds no fault."""
    async with look(browser, town.gateway, size=size, scheme=scheme, email=ADA) as sight:
        await sight.open("/requests?range=24h")
        await sight.page.get_by_role("button", name="gpt-4o").first.wait_for()
        await sight.photograph(f"requests-{scheme}-{size}")
        assert (sight.strangers, sight.complaints, await sight.overflow()) == ([], [], 0)
        assert await find_faults(sight) == []


async def test_a_long_log_keeps_few_rows_in_the_page(browser: Browser, town: Town) -> None:
    """Pages are fetched as one scrolls; only what is in view is there."""
    async with look(browser, town.gateway, email=ADA) as sight:
        await sight.open("/requests?range=90d")
        log = sight.page.get_by_role("region", name="Requests")
        await log.get_by_role("button").first.wait_for()
        for _ in range(12):
            await log.evaluate("box => box.scrollBy(0, 4000)")
            await sight.page.wait_for_timeout(40)
        await sight.page.get_by_text(re.compile(r"^[2-9]\d\d requests")).wait_for()
        assert await log.locator("tbody tr").count() < 60
        assert sight.complaints == []


@pytest.mark.parametrize(("width", "is_whole"), [(390, False), (800, True), (1280, True)])
async def test_what_went_wrong_is_legible_in_the_log(browser: Browser, town: Town, width: int, is_whole: bool) -> None:
    """Its code is there to the last letter, or ends in three dots; the moment and the cost are never cut."""
    await fail(town, "upstream_unreachable")
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await page.set_viewport_size({"width": width, "height": 844})
        await sight.open("/requests?range=24h&status=failed")
        badge = page.locator("tbody .badge", has_text="upstream_unreachable").first
        await badge.wait_for()
        hidden_px = await badge.evaluate("badge => badge.scrollWidth - badge.clientWidth")
        assert (hidden_px <= 0) == is_whole
        # A flex box would cut without the dots.
        shown = "badge => [getComputedStyle(badge).display, getComputedStyle(badge).textOverflow]"
        assert await badge.evaluate(shown) == ["inline-block", "ellipsis"]
        assert "upstream_unreachable" in (await badge.get_attribute("title") or "")
        await sight.photograph(f"requests-failed-{width}")
        await sight.open("/requests?range=90d&cache=hit")
        await page.locator("tbody .badge").first.wait_for()
        assert await page.locator(".log").evaluate("box => box.scrollWidth - box.clientWidth") == 0
        cut = "cells => cells.filter(cell => cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.innerText)"
        assert await page.locator("tbody :is(td:first-child, td:last-child)").evaluate_all(cut) == []
        assert (sight.complaints, await sight.overflow()) == ([], 0)


async def test_filters_stand_in_the_address(browser: Browser, town: Town) -> None:
    """What is chosen narrows the rows as it does at the API, and a link keeps it."""
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open("/requests?range=24h")
        await page.get_by_label("Model").fill("gpt-4o-mini")
        await page.get_by_label("Cache", exact=True).select_option("hit")
        await page.wait_for_url("**cache=hit**")
        await page.wait_for_url("**model=gpt-4o-mini**")
        answer = await town.ask("GET", "/api/requests?range=24h&model=gpt-4o-mini&cache=hit&limit=500")
        wanted = len(answer["requests"])
        await page.get_by_text(f"{wanted} request").wait_for()
        await page.reload()
        await page.get_by_text(f"{wanted} request").wait_for()
        models = await page.locator("tbody .link").all_inner_texts()
        assert set(models) == {"gpt-4o-mini"}
        link = await page.get_by_role("link", name="CSV").get_attribute("href")
        exported = await page.request.get(f"{sight.home}{link}")
        assert len(list(csv.reader(io.StringIO(await exported.text())))) == wanted + 1
        await page.get_by_role("button", name="Clear").click()
        await page.wait_for_url(lambda url: "cache=" not in url)
        assert sight.complaints == []


async def test_a_call_shows_up_live_and_in_every_detail(browser: Browser, town: Town) -> None:
    """Without reloading: its row, then its tries, tokens and price, which are the API's."""
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open("/requests?range=1h")
        live = page.get_by_role("button", name="Live")
        await live.click()
        await expect(live).to_have_class("button on")
        counted = page.get_by_text(re.compile(r"^\d+ requests? in all"))
        before = int((await counted.inner_text()).split()[0])
        call_id = await call(town, "Is anybody watching?")
        await page.get_by_text(f"{before + 1} requests in all").wait_for()
        await page.locator("tbody .link").first.click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_text(call_id).wait_for()
        told = await town.ask("GET", f"/api/requests/{call_id}")
        for words in (told["upstream_model"], "Fresh input", "the bundled price", "Timeline"):
            await dialog.get_by_text(words).first.wait_for()
        await sight.photograph("request")
        assert await find_faults(sight) == []
        await page.keyboard.press("Escape")
        await dialog.wait_for(state="detached")
        assert sight.complaints == []


@pytest.mark.parametrize("width", [390, 768, 900])
async def test_a_call_is_seen_and_closed_in_a_narrow_window(browser: Browser, town: Town, width: int) -> None:
    """Where the menu is put away, what stands at the side is not: it lies within the window and can be left."""
    async with look(browser, town.gateway, size="phone", email=ADA) as sight:
        page = sight.page
        await page.set_viewport_size({"width": width, "height": 844})
        await sight.open("/requests?range=24h")
        await page.locator("tbody .link").first.click()
        dialog = page.get_by_role("dialog", name="Request")
        await dialog.get_by_text("Timeline").wait_for()
        box = await dialog.bounding_box()
        assert box is not None
        assert (box["x"] >= 0, box["x"] + box["width"], box["y"], box["height"]) == (True, width, 0, 844)
        await sight.photograph(f"request-{width}")
        assert await find_faults(sight) == []
        await dialog.get_by_role("button", name="Close").click()
        await dialog.wait_for(state="detached")
        await page.get_by_label("Outcome").select_option("complete")
        await page.wait_for_url("**status=complete**")
        assert (sight.complaints, await sight.overflow()) == ([], 0)


async def test_a_wrong_answer_is_taken_back(browser: Browser, town: Town) -> None:
    """From the call's own page: its kept answer goes, and who got it is named."""
    first, second = await call(town, "Who said so?"), await call(town, "Who said so?")
    async with look(browser, town.gateway, email=ADA) as sight:
        await sight.open(f"/requests?request={first}")
        await sight.page.get_by_role("button", name="This answer was wrong").click()
        await sight.page.get_by_role("link", name=second).wait_for()
        assert sight.complaints == []


async def test_another_account_finds_no_call(browser: Browser, town: Town) -> None:
    """Neither in the log nor by its id."""
    call_id = await call(town, "Ours alone")
    async with look(browser, town.gateway, email=BOB) as sight:
        await sight.open("/requests")
        await sight.page.get_by_text("No call fits").wait_for()
        await sight.open(f"/requests?request={call_id}")
        await sight.page.get_by_role("alert").wait_for()


async def test_a_projects_prompts_are_kept_by_a_switch(browser: Browser, town: Town) -> None:
    """Off at first; on, a call's detail has its question and answer; off again, they are gone at once."""
    project_id, _ = town.projects[PROJECTS[0]]
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        dialog, switch = page.get_by_role("dialog"), page.get_by_label("Keep questions and answers")
        apply = page.get_by_role("button", name="Apply", exact=True)
        await sight.open(f"/projects/{project_id}")
        await expect(switch).not_to_be_checked()
        await switch.check()
        await page.get_by_label("Deleted after, in days").fill("7")
        await apply.click()
        await page.get_by_text("Of calls since").wait_for()
        setting = await town.ask("GET", f"/api/projects/{project_id}/prompts")
        assert (setting["keep"], setting["retention_days"]) == (True, 7)
        await sight.photograph("project-prompts")
        assert await find_faults(sight) == []
        call_id = await call(town, "Who reads this?")
        await sight.open(f"/requests?request={call_id}")
        await dialog.get_by_text("Who reads this?", exact=True).wait_for()
        await expect(dialog.get_by_role("heading", name="Question and answer")).to_be_visible()
        await sight.photograph("request-content")
        assert await find_faults(sight) == []
        await sight.open(f"/projects/{project_id}")
        await switch.uncheck()
        await apply.click()
        await expect(page.get_by_text("This deletes what was kept")).to_have_count(0)
        await sight.open(f"/requests?request={call_id}")
        await dialog.get_by_text("Asked for").wait_for()
        await expect(dialog.get_by_role("heading", name="Question and answer")).to_have_count(0)
        assert (sight.strangers, sight.complaints) == ([], [])
