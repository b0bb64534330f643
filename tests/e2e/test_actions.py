"""What people do on the pages, in a real browser: the API knows of each action, and no fault is shown."""

import re

import httpx
import pytest
from e2e.sights import PASSWORD, Scheme, Sight, Size, look
from e2e.town import ADA, PROJECTS, Town
from playwright.async_api import Browser, expect

from gateway.backends.breaker import LastFailure
from gateway.ids import parse_id

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
NAME = PROJECTS[0]
HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]}


async def press(sight: Sight, name: str, *, last: bool = False, in_dialog: bool = False) -> None:
    """Press the button of that name; the dialog's, once it is open, or the last one of the page."""
    place = sight.page.get_by_role("dialog") if in_dialog else sight.page
    buttons = place.get_by_role("button", name=name, exact=True)
    await (buttons.last if last else buttons.first).click()


async def call_with(town: Town, key: str) -> int:
    """The status with which a call by this key is answered."""
    answer = await town.client.post("/v1/chat/completions", json=HELLO, headers={"authorization": f"Bearer {key}"})
    return answer.status_code


async def test_a_project_is_made_renamed_and_deleted(browser: Browser, town: Town) -> None:
    """Its key is shown once and works."""
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open("/projects")
        await press(sight, "New project")
        await page.get_by_label("Name", exact=True).fill("Nightly reports")
        await press(sight, "Create project")
        key = await page.get_by_text(re.compile("^lgw_proj_")).inner_text()
        assert await call_with(town, key) == 200
        await press(sight, "I have it")
        await page.get_by_role("heading", name="Nightly reports").wait_for()
        await press(sight, "Rename")
        await page.get_by_label("Name", exact=True).fill("Reports")
        await press(sight, "Rename", in_dialog=True)
        await page.get_by_role("heading", name="Reports", exact=True).wait_for()
        await press(sight, "Delete")
        await press(sight, "Delete project")
        await page.wait_for_url("**/projects")
        assert await page.get_by_role("link", name="Reports", exact=True).count() == 0
        assert sight.complaints == []
    listed = await town.ask("GET", "/api/projects")
    assert "Reports" not in {project["name"] for project in listed["projects"]}


@pytest.mark.row("E3")
async def test_a_key_is_made_edited_rotated_and_revoked(browser: Browser, town: Town) -> None:
    """By its limits and its end as the API has them."""
    project_id, _ = town.projects[NAME]
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open(f"/projects/{project_id}")
        await press(sight, "New key")
        await page.get_by_label("Name", exact=True).fill("batch")
        await page.get_by_label("Requests a minute").fill("120")
        await press(sight, "Create key")
        first = await page.get_by_text(re.compile("^lgw_proj_")).last.inner_text()
        await press(sight, "I have it")
        row = page.get_by_role("row").filter(has_text="batch")
        await row.get_by_text("120 requests/min").wait_for()
        await row.get_by_role("button", name="Edit").click()
        await page.get_by_label("Tags").fill("nightly")
        await press(sight, "Save")
        await row.get_by_text("nightly").wait_for()
        await row.get_by_role("button", name="Rotate").click()
        await press(sight, "Make the new key")
        await press(sight, "I have it")
        await row.nth(1).wait_for()
        for left in (1, 0):
            await row.first.get_by_role("button", name="Revoke").click()
            await press(sight, "Revoke key")
            await expect(row).to_have_count(left)
        assert sight.complaints == []
    assert await call_with(town, first) == 401


async def test_a_budget_is_made_and_deleted(browser: Browser, town: Town) -> None:
    """An account's budget of a day, and its bar."""
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open("/budgets")
        await press(sight, "New budget")
        await page.get_by_label("At most, in USD").fill("12.50")
        await page.get_by_label("Every").select_option("day")
        await press(sight, "Create budget")
        card = page.get_by_role("region", name="Budget of The whole account")
        await card.get_by_text("$12.50").wait_for()
        assert await card.get_by_role("meter").count() == 1
        await card.get_by_role("button", name="Delete this budget").click()
        await press(sight, "Delete budget")
        await card.wait_for(state="detached")
        assert sight.complaints == []


async def test_a_providers_key_is_stored_and_removed(browser: Browser, town: Town) -> None:
    """It is shown by its ends alone."""
    secret = "sk-very-secret-key-of-ours-1234"
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open("/providers")
        await press(sight, "Store a key")
        await page.get_by_label("Key", exact=True).fill(secret)
        await press(sight, "Store")
        row = page.get_by_role("row").filter(has_text="openai").filter(has_text="1234")
        await row.wait_for()
        assert secret not in await page.content()
        await row.get_by_role("button", name="Remove").click()
        await press(sight, "Remove", in_dialog=True)
        await row.wait_for(state="detached")
        assert sight.complaints == []


async def test_a_provider_is_tried(browser: Browser, town: Town) -> None:
    """Its health is told, and a call of a few tokens says that the way to it is good."""
    async with look(browser, town.gateway, email=ADA) as sight:
        await sight.open("/providers")
        row = sight.page.get_by_role("row").filter(has_text="groq")
        await row.get_by_text("well", exact=True).wait_for()
        await row.get_by_role("button", name="Test call").click()
        await press(sight, "Send")
        await sight.page.get_by_text("answered in").wait_for()
        assert sight.complaints == []


@pytest.mark.parametrize(("scheme", "size"), [("light", "desktop"), ("dark", "phone")])
async def test_what_last_went_wrong_is_told(browser: Browser, town: Town, scheme: Scheme, size: Size) -> None:
    """Beside the provider's state, with its time; of others nothing."""
    services = town.gateway.gateway.services
    route = services.routes.find("gpt-4o")
    assert route is not None
    breaker = route.targets[0].breaker
    words = "Status 401 (invalid_api_key)."
    failure = LastFailure(at_ns=services.now_ns(), code="upstream_auth", message=words)
    # Of whichever project the page begins with.
    for project in (await town.ask("GET", "/api/projects"))["projects"]:
        breaker.note_failure(f"proj_{parse_id(project['id'])}", failure)
    async with look(browser, town.gateway, size=size, scheme=scheme, email=ADA) as sight:
        await sight.open("/providers")
        row = sight.page.get_by_role("row").filter(has_text="openai").filter(has_text=words)
        await row.locator("time").wait_for()
        assert await sight.page.get_by_text("Status ").count() == 1
        await sight.photograph(f"providers-error-{scheme}-{size}")
        assert (sight.complaints, await sight.overflow()) == ([], 0)
    breaker.last_failures.clear()


async def test_somebody_is_invited_and_joins(browser: Browser, town: Town) -> None:
    """The link is shown once; who opens it registers and is in the account with that role."""
    async with look(browser, town.gateway, email=ADA) as sight, look(browser, town.gateway) as guest:
        await sight.open("/team")
        await press(sight, "Invite")
        await sight.page.get_by_label("E-mail address").fill("new@example.com")
        await sight.page.get_by_label("Role", exact=True).select_option("member")
        await press(sight, "Make the link")
        link = await sight.page.get_by_text(re.compile("/join#")).inner_text()
        await press(sight, "I have it")
        await guest.open(link.removeprefix(guest.home))
        await guest.page.get_by_label("E-mail address").fill("new@example.com")
        await guest.page.get_by_label("Password").fill(PASSWORD)
        await press(guest, "Join")
        await guest.page.get_by_role("heading", name="Overview").wait_for()
        await guest.page.get_by_text("· member").wait_for()
        assert sight.complaints == []


async def test_settings_are_kept(browser: Browser, town: Town) -> None:
    """Name, zone and theme; the theme holds in this browser after loading anew."""
    async with look(browser, town.gateway, email=ADA) as sight:
        page = sight.page
        await sight.open("/settings")
        await page.get_by_label("Zone").fill("Europe/Berlin")
        await press(sight, "Save", last=True)
        await page.get_by_role("button", name="Dark").click()
        await page.reload()
        assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert await page.get_by_label("Zone").input_value() == "Europe/Berlin"
        assert sight.complaints == []


@pytest.mark.parametrize(
    ("path", "opener"),
    [
        ("/budgets", "New budget"),
        ("/budgets", "Delete this budget"),
        ("/requests?range=24h", "gpt-4o"),
        ("/team", "Invite"),
    ],
)
async def test_a_dialog_is_left_by_escape_and_the_focus_is_where_it_was(
    browser: Browser, town: Town, path: str, opener: str
) -> None:
    """By keyboard alone, at the window's side and in its middle."""
    async with look(browser, town.gateway, email=ADA) as sight:
        await sight.open(path)
        button = sight.page.get_by_role("button", name=opener, exact=True).first
        await button.focus()
        await sight.page.keyboard.press("Enter")
        await sight.page.get_by_role("dialog").wait_for()
        await expect(button).not_to_be_focused()
        await sight.page.keyboard.press("Escape")
        await sight.page.get_by_role("dialog").wait_for(state="detached")
        await expect(button).to_be_focused()
        assert sight.complaints == []


async def test_the_skip_link_works(browser: Browser, town: Town) -> None:
    """It is the first that the keyboard reaches."""
    async with look(browser, town.gateway, email=ADA) as sight:
        await sight.open("/budgets")
        await sight.page.get_by_role("heading", name="Budgets and limits").wait_for()
        await sight.page.keyboard.press("Tab")
        await sight.page.keyboard.press("Enter")
        assert await sight.page.evaluate("document.activeElement.id") == "content"


async def test_a_write_from_another_origin_is_refused(town: Town) -> None:
    """The page's cookie alone is not enough: the gateway's own Origin must come with it."""
    home = str(town.client.base_url)
    async with httpx.AsyncClient(base_url=home, trust_env=False) as thief:
        signed = await thief.post("/api/v1/auth/login", json={"email": ADA, "password": PASSWORD})
        assert signed.is_success
        stolen = await thief.post("/api/projects", json={"name": "x"}, headers={"origin": "https://evil.example"})
        assert stolen.status_code in (401, 403)
