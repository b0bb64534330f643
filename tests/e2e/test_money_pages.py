"""What the pages say about money that nobody could count, in a real browser."""

import pytest
from e2e.sights import Scheme, Size, look
from e2e.test_views import find_faults
from e2e.town import ADA, BOB, Town
from playwright.async_api import Browser

from gateway.caching.semantic.store import Decision, write_decisions

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
NEW = "openai/brand-new-1"
LOOKS: tuple[tuple[Scheme, Size], ...] = (("light", "desktop"), ("dark", "phone"))


@pytest.mark.parametrize(("scheme", "size"), LOOKS)
async def test_calls_without_a_price_are_told(browser: Browser, town: Town, scheme: Scheme, size: Size) -> None:
    """On the overview with a way to Models and prices, there with a row for the configuration; to nobody else."""
    # Of a project without a budget: one that governs it would refuse the call.
    key = (await town.ask("POST", "/api/projects", {"name": f"Trial in {scheme}"}))["api_key"]
    body = {"model": NEW, "messages": [{"role": "user", "content": f"Hi {scheme}"}]}
    answer = await town.client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    async with look(browser, town.gateway, size=size, scheme=scheme, email=ADA) as sight:
        page = sight.page
        await sight.open("/")
        await page.get_by_text("without a known price").wait_for()
        await sight.photograph(f"unpriced-hint-{scheme}-{size}")
        assert await find_faults(sight) == []
        await page.get_by_role("link", name="See which").click()
        card = page.get_by_role("region", name="Calls without a price")
        await card.get_by_text(NEW).first.wait_for()
        written = await card.locator("pre").first.inner_text()
        assert 'provider = "openai"\nmodel = "brand-new-1"\neffective_from = "20' in written
        assert "watchllm ledger rerate --from 20" in await card.locator("pre").last.inner_text()
        await sight.settle()
        await sight.photograph(f"unpriced-{scheme}-{size}")
        assert (sight.strangers, sight.complaints, await sight.overflow()) == ([], [], 0)
        assert await find_faults(sight) == []
    async with look(browser, town.gateway, email=BOB) as sight:
        await sight.open("/models")
        await sight.page.get_by_text("gpt-4o").first.wait_for()
        assert await sight.page.get_by_text("without a price").count() == 0


@pytest.mark.parametrize(("scheme", "size"), LOOKS)
async def test_a_limit_is_tried_while_it_is_typed(browser: Browser, town: Town, scheme: Scheme, size: Size) -> None:
    """The form says what the API says; a budget that is there tells its past too."""
    told = await town.ask("GET", "/api/budgets/simulation?scope=account&window=day&limit_usd=0.05")
    assert 0 < told["reached"] < len(told["past"])
    async with look(browser, town.gateway, size=size, scheme=scheme, email=ADA) as sight:
        page = sight.page
        await sight.open("/budgets")
        await page.get_by_text("Before this month").first.click()
        await page.get_by_text("so far in this month").wait_for()
        await sight.photograph(f"budgets-past-{scheme}-{size}")
        await page.get_by_role("button", name="New budget").click()
        await page.get_by_label("Every").select_option("day")
        await page.get_by_label("At most, in USD").fill("0.05")
        words = f"{told['reached']} of the last {len(told['past'])} days would have reached it."
        await page.get_by_text(words).wait_for()
        assert await page.locator("dialog .bars i").count() == len(told["past"])
        assert await page.locator("dialog .bars i.over").count() == told["reached"]
        await sight.photograph(f"budget-trial-{scheme}-{size}")
        assert (sight.strangers, sight.complaints, await sight.overflow()) == ([], [], 0)
        assert await find_faults(sight) == []


async def test_a_first_day_foretells_no_interval(browser: Browser, town: Town) -> None:
    """Of one value there is none to print, nor is it a wide one."""
    key = (await town.ask("POST", "/api/projects", {"name": "First day"}, email=BOB))["api_key"]
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Good morning"}]}
    answer = await town.client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    told = await town.ask("GET", "/api/overview/forecast", email=BOB)
    assert told["low_usd"] == told["high_usd"] == told["spent_usd"] > 0
    for email, words in ((BOB, "No whole day of history yet"), (ADA, "80% sure")):
        async with look(browser, town.gateway, email=email) as sight:
            await sight.open("/?range=24h")
            card = sight.page.get_by_role("region", name="To the end of the month")
            await card.get_by_text(words).wait_for()
            has_interval = email == ADA
            assert await card.get_by_text("sure").count() == has_interval
            assert await card.get_by_text("a wide one").count() == 0
            assert sight.complaints == []


async def test_what_like_questions_saved_is_measured(browser: Browser, town: Town) -> None:
    """Nothing is claimed with too few calls that were held back; with enough the API's figure stands there."""
    async with look(browser, town.gateway, email=ADA) as sight:
        await sight.open("/?range=7d")
        await sight.page.get_by_text("Not enough data to measure it").wait_for()
        await sight.photograph("measured-too-few")
    await hold_back(town, 60)
    for scheme, size in LOOKS:
        async with look(browser, town.gateway, size=size, scheme=scheme, email=ADA) as sight:
            await sight.open("/?range=7d")
            told = await town.ask("GET", "/api/overview/holdout?range=7d")
            line = sight.page.get_by_text("Measured by 60 calls that were held back")
            await line.wait_for()
            shown = await line.locator("data").evaluate_all("found => found.map(each => each.value)")
            figures = [told[name] for name in ("saved_semantic_usd", "measured_usd", "low_usd", "high_usd")]
            assert [float(text.lstrip("$")) for text in shown] == figures
            await sight.photograph(f"measured-{scheme}-{size}")
            assert (sight.strangers, sight.complaints, await sight.overflow()) == ([], [], 0)
            assert await find_faults(sight) == []


async def hold_back(town: Town, count: int) -> None:
    """Let so many of a project's latest calls have been held back from the semantic cache."""
    owned = {project for project, _ in town.projects.values()}
    rows = [row for row in town.gateway.rows if row.project_id in owned and not row.is_cached and row.cost_pusd]
    decisions = [
        Decision(
            request_id=row.request_id, project_id=row.project_id, decision="holdout", entry_id="ce_1", similarity=0.9,
            score=0.9, threshold=0.5, guards="", neighbours="", question="", is_right=None, created_ns=row.created_ns,
        )
        for row in sorted(rows, key=lambda each: each.created_ns)[-count:]
    ]  # fmt: skip
    async with town.gateway.gateway.app.state.database.write() as connection:
        await write_decisions(connection, decisions)
