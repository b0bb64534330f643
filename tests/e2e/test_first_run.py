"""The first steps in a real browser: claiming the instance, a project with its key, the first call arriving."""

import pytest
from e2e.sights import PASSWORD, Sight, Size, look
from playwright.async_api import Browser
from running import Running

from gateway.accounts.master import load_master_key
from gateway.accounts.tenancy.people_store import begin_claim_link
from gateway.accounts.tenancy.tokens import make_claim_token

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]}


async def make_claim_path(gateway: Running) -> str:
    """A new link, as ``watchllm admin link`` prints it."""
    async with gateway.gateway.app.state.database.write() as connection:
        number = await begin_claim_link(connection)
    master = load_master_key(None, gateway.gateway.services.settings.data_dir)
    return f"/claim#{make_claim_token(master, number).reveal()}"


async def register(sight: Sight, email: str, verb: str) -> None:
    """Fill in the form of who is new."""
    await sight.page.get_by_label("Name", exact=True).fill("Ada")
    await sight.page.get_by_label("E-mail address").fill(email)
    await sight.page.get_by_label("Password").fill(PASSWORD)
    await sight.page.get_by_role("button", name=verb).click()


@pytest.mark.parametrize("size", ["desktop", "phone"])
async def test_a_newcomer_sees_the_first_call_arrive(browser: Browser, gateway: Running, size: Size) -> None:
    """From the printed link to the first call's cost, without a manual."""
    async with look(browser, gateway, size=size) as sight:
        page = sight.page
        await sight.open(await make_claim_path(gateway))
        await register(sight, f"{size}@example.com", "Become the operator")
        await page.get_by_role("heading", name="Make the first call").wait_for()
        assert "#" not in page.url
        await page.get_by_label("Name", exact=True).fill("Checkout assistant")
        await page.get_by_role("button", name="Create project").click()
        key = await page.get_by_text("lgw_test_").first.inner_text()
        await page.get_by_text("Waiting for the first call").wait_for()
        for language, word in (
            ("Python", "from openai"),
            ("LangChain", "ChatOpenAI"),
            ("Environment", "OPENAI_BASE_URL"),
        ):
            await page.get_by_role("button", name=language).click()
            snippet = await page.locator(".code").last.inner_text()
            assert word in snippet
            assert key in snippet
            assert gateway.url in snippet
        await sight.photograph(f"first-run-{size}")
        async with gateway.client(key) as client:
            assert (await client.post("/v1/chat/completions", json=HELLO)).status_code == 200
        await page.get_by_text("It came.").wait_for()
        await page.get_by_role("link", name="Go to the overview").first.click()
        await page.get_by_role("heading", name="Overview").wait_for()
        assert (sight.strangers, await sight.overflow()) == ([], 0)
        # That nobody is signed in yet is told by a status, which the browser logs; nothing else is.
        assert [complaint for complaint in sight.complaints if "401" not in complaint] == []


async def test_a_used_link_says_so(browser: Browser, gateway: Running) -> None:
    """The second person is told that the link was used, and is not the operator."""
    path = await make_claim_path(gateway)
    for attempt in range(2):
        async with look(browser, gateway) as sight:
            await sight.open(path)
            await register(sight, f"attempt{attempt}@example.com", "Become the operator")
            expected = "The claim link is wrong or was used" if attempt else "Make the first call"
            await sight.page.get_by_text(expected).wait_for()


async def test_a_link_without_its_token_says_what_it_lacks(browser: Browser, gateway: Running) -> None:
    """Someone copied half of it."""
    async with look(browser, gateway) as sight:
        await sight.open("/claim")
        await sight.page.get_by_text("lacks the part behind #").wait_for()


async def test_a_stranger_is_led_to_the_sign_in_and_back(browser: Browser, gateway: Running) -> None:
    """The address that was wanted opens afterwards; an address of another host never does."""
    async with look(browser, gateway) as sight:
        page = sight.page
        await sight.open("/register")
        await register(sight, "back@example.com", "Create account")
        await page.get_by_role("link", name="Go to the overview").click()
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_role("heading", name="Sign in").wait_for()
        for wanted, reached in (("/budgets", "/budgets"), ("//evil.example/", "/")):
            await page.context.clear_cookies()
            await sight.open(f"/login?next={wanted}" if wanted.startswith("//") else wanted)
            await page.get_by_role("heading", name="Sign in").wait_for()
            await page.get_by_label("E-mail address").fill("back@example.com")
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("button", name="Sign in").click()
            await page.wait_for_url(f"{sight.home}{reached}")
        assert sight.strangers == []
