"""What the pages say about money that nobody could count, in a real browser."""

import pytest
from e2e.sights import Scheme, Size, look
from e2e.test_views import find_faults
from e2e.town import ADA, BOB, Town
from playwright.async_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
NEW = "openai/brand-new-1"


@pytest.mark.parametrize(("scheme", "size"), [("light", "desktop"), ("dark", "phone")])
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


@pytest.mark.parametrize(("scheme", "size"), [("light", "desktop"), ("dark", "phone")])
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
