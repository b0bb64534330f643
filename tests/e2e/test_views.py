"""Every view in a real browser, light and dark, large and small: whole, quiet, accessible, and asking nobody else."""

from typing import Any

import pytest
from e2e.history import DAY_NS
from e2e.sights import Scheme, Sight, Size, look
from e2e.test_build import APP
from e2e.town import ADA, BOB, PROJECTS, VIC, Town
from playwright.async_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
AXE = APP / "node_modules" / "axe-core" / "axe.min.js"
# WCAG 2.2 AA and all below it.
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Address and the words by which one knows that it is there.
VIEWS = {
    "/": "Spent and saved",
    "/projects": "Checkout assistant",
    "/budgets": "left",
    "/providers": "Keys of this project",
    "/models": "gpt-4o",
    "/models?view=simulator&model=gpt-4o-mini": "Instead of",
    "/team": "Members",
    "/settings": "Your sessions",
    "/welcome": "Name a project",
    "/design": "Tokens and parts",
}


async def find_faults(sight: Sight) -> list[str]:
    """Let axe judge the page; what it finds, with where."""
    # The page's own policy refuses foreign scripts: the browser's debugger puts axe in beside it.
    await sight.page.evaluate(AXE.read_text("utf-8"))
    found: Any = await sight.page.evaluate(
        "standards => axe.run({ runOnly: standards, resultTypes: ['violations'] })", STANDARDS
    )
    return [f"{fault['id']}: {node['html'][:160]}" for fault in found["violations"] for node in fault["nodes"]]


@pytest.mark.parametrize(("scheme", "size"), [("light", "desktop"), ("dark", "phone")])
async def test_every_view_is_whole(browser: Browser, town: Town, scheme: Scheme, size: Size) -> None:
    """It shows what it is for, fits its window, says nothing to the console, and axe finds no fault."""
    async with look(browser, town.gateway, size=size, scheme=scheme, email=ADA) as sight:
        for path, words in VIEWS.items():
            await sight.open(path)
            await sight.page.get_by_text(words).first.wait_for()
            await sight.photograph(f"{path.strip('/') or 'overview'}-{scheme}-{size}")
            assert (path, sight.strangers, sight.complaints, await sight.overflow()) == (path, [], [], 0)
            assert (path, await find_faults(sight)) == (path, [])


@pytest.mark.parametrize("width", [390, 768, 1280])
async def test_the_audit_log_tells_when(browser: Browser, town: Town, width: int) -> None:
    """What was changed may be long: beside the menu all of it fits, and in a narrow window the moment stands first."""
    project_id, _ = town.projects[PROJECTS[0]]
    changes = {"mode": "exact", "ttl_s": 86_400, "scope": "project", "tool_calls": False, "prompts": False}
    await town.ask("PATCH", f"/api/projects/{project_id}/cache", changes)
    async with look(browser, town.gateway, email=ADA) as sight:
        await sight.page.set_viewport_size({"width": width, "height": 900})
        await sight.open("/team")
        log = sight.page.get_by_role("region", name="Audit log")
        await log.get_by_text("cache.change").first.wait_for()
        moment = await log.locator("time").first.bounding_box()
        assert moment is not None
        assert 0 < moment["x"] < moment["x"] + moment["width"] < width
        overflow = await log.locator(".table").evaluate("box => box.scrollWidth - box.clientWidth")
        assert (overflow == 0, await sight.overflow()) == (width >= 768, 0)
        role = sight.page.get_by_label(f"Role of {VIC}")
        assert await role.evaluate("choice => choice.clientWidth") >= 100
        await sight.photograph(f"team-{width}")


@pytest.mark.row("U10")
async def test_the_overviews_sums_are_the_apis(browser: Browser, town: Town) -> None:
    """To the last digit: what stands on the page is what the API says and what the calls' own rows add up to."""
    answer = await town.client.get(
        "/api/overview", params={"range": "24h"}, headers={"authorization": f"Bearer {town.tokens[ADA]}"}
    )
    total = answer.json()["total"]
    owned = {project for project, _ in town.projects.values()}
    since_ns = max(row.created_ns for row in town.gateway.rows) - DAY_NS
    rows = [row for row in town.gateway.rows if row.project_id in owned and row.created_ns > since_ns]
    async with look(browser, town.gateway, email=ADA) as sight:
        await sight.open("/?range=24h")
        figures = sight.page.get_by_role("region", name="In short")
        shown = [await each.get_attribute("title") for each in await figures.locator("data").all()]
        spent, _, without, requests = [text for text in shown if text][:4]
    assert requests == f"{total['requests']:,}" == f"{len(rows):,}"
    assert spent == f"${sum(row.cost_pusd for row in rows) / 10**12:.12f}".rstrip("0")
    assert without == f"${sum(row.cost_pusd + row.saved_pusd for row in rows) / 10**12:.12f}".rstrip("0")


async def test_a_drawn_span_zooms_and_going_back_zooms_out(browser: Browser, town: Town) -> None:
    """The period stands in the address, so the browser's own button leads back."""
    async with look(browser, town.gateway, email=ADA) as sight:
        await sight.open("/?range=24h")
        plot = sight.page.locator(".u-over").first
        await plot.wait_for()
        box = await plot.bounding_box()
        assert box is not None
        await sight.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40)
        await sight.page.mouse.down()
        await sight.page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60, steps=5)
        await sight.page.mouse.up()
        await sight.page.wait_for_url("**/?from=*")
        await sight.page.get_by_role("button", name="Zoom out").wait_for()
        await sight.page.go_back()
        await sight.page.wait_for_url("**/?range=24h")
        assert sight.complaints == []


async def test_figures_of_a_chart_are_told_to_the_keyboard(browser: Browser, town: Town) -> None:
    """Arrow keys move along it."""
    async with look(browser, town.gateway, email=ADA) as sight:
        await sight.open("/?range=24h")
        chart = sight.page.get_by_role("group", name="Spent and saved over time")
        await chart.focus()
        await sight.page.keyboard.press("ArrowLeft")
        assert "Spent" in await chart.get_by_role("status").inner_text()


async def test_a_viewer_looks_and_changes_nothing(browser: Browser, town: Town) -> None:
    """What would be refused is not offered."""
    async with look(browser, town.gateway, email=VIC) as sight:
        for path, absent in (("/projects", "New project"), ("/team", "Invite"), ("/budgets", "New budget")):
            await sight.open("/")
            await sight.page.locator(f"nav a[href='{path}']").click()
            await sight.page.locator("h1").filter(has_not_text="Overview").wait_for()
            await sight.settle()
            assert await sight.page.get_by_role("button", name=absent).count() == 0
        assert await sight.page.get_by_role("meter").count() == len(PROJECTS)
        assert await sight.page.get_by_role("button", name="Delete this budget").count() == 0
        await sight.photograph("budgets-viewer")
        project, _ = town.projects[PROJECTS[0]]
        await sight.open(f"/projects/{project}")
        await sight.page.get_by_role("heading", name=PROJECTS[0]).wait_for()
        for absent in ("New key", "Revoke", "Rename", "Delete"):
            assert await sight.page.get_by_role("button", name=absent).count() == 0
        assert sight.complaints == []


async def test_another_account_sees_nothing_of_it(browser: Browser, town: Town) -> None:
    """Bob's pages are empty, and Ada's project is not there for him."""
    async with look(browser, town.gateway, email=BOB) as sight:
        for path in ("/", "/projects", "/budgets"):
            await sight.open(path)
            text = await sight.text()
            assert not any(name in text for name in PROJECTS)
        project, _ = town.projects[PROJECTS[0]]
        await sight.open(f"/projects/{project}")
        await sight.page.get_by_role("alert").wait_for()
        assert PROJECTS[0] not in await sight.text()


async def test_a_page_says_when_the_gateway_is_away_and_goes_on(browser: Browser, town: Town) -> None:
    """Nothing that was shown is lost, and nobody has to reload."""
    async with look(browser, town.gateway, email=ADA) as sight:
        await sight.open("/budgets")
        await sight.page.get_by_text("left").first.wait_for()
        await sight.page.context.set_offline(True)
        await sight.page.get_by_role("link", name="Projects and keys").click()
        await sight.page.get_by_text("The gateway does not answer").first.wait_for()
        await sight.page.context.set_offline(False)
        await sight.page.get_by_role("link", name=PROJECTS[0]).wait_for()


async def test_an_unknown_address_leads_on(browser: Browser, town: Town) -> None:
    """A mistyped link is told by the API as not found, not by an empty page."""
    async with look(browser, town.gateway) as sight:
        answer = await sight.page.request.get(f"{sight.home}/nothing-here")
        assert answer.status == 404
