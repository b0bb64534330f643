"""A page in a real browser, and everything that it asked for and complained of."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec
from playwright.async_api import Browser, ConsoleMessage, Error, Page, Playwright, Route, expect
from running import Running

CHROME = os.environ.get("CHROME") or "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    # Letters look the same whatever the machine's own settings for fonts and screens are.
    "--font-render-hinting=none",
    "--disable-lcd-text",
    "--force-color-profile=srgb",
)
FONTS = Path(__file__).with_name("fonts.conf")
Size = Literal["desktop", "phone"]
Scheme = Literal["light", "dark"]
SIZES: dict[Size, tuple[int, int]] = {"desktop": (1360, 900), "phone": (390, 844)}
# Photographs for people; git ignores the folder.
SCREENSHOTS = Path(__file__).parents[2] / "screenshots"
PASSWORD = "correct horse battery"
WAIT_MS = 10_000


class Sight(msgspec.Struct, frozen=True):
    """A page and what happened on it."""

    page: Page
    home: str
    # Addresses that it asked for beyond the gateway; each was refused.
    strangers: list[str]
    # Errors and warnings of its console, and exceptions.
    complaints: list[str]

    async def open(self, path: str) -> None:
        """Go to an address of the gateway and wait until the page has what it shows."""
        response = await self.page.goto(f"{self.home}{path}")
        assert response is not None
        assert response.status in (200, 304), f"{path}: {response.status}"
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing is on its way that the page shows as such."""
        await self.page.locator("main, .state").first.wait_for()
        await expect(self.page.locator(".bones:not([data-sample] *)")).to_have_count(0, timeout=WAIT_MS)

    async def text(self) -> str:
        """What a person reads."""
        return await self.page.inner_text("body")

    async def overflow(self) -> int:
        """How many pixels the page is wider than its window."""
        return int(await self.page.evaluate("Math.max(document.documentElement.scrollWidth - window.innerWidth, 0)"))

    async def photograph(self, name: str) -> None:
        """Keep a picture for people."""
        SCREENSHOTS.mkdir(exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{re.sub(r'[^a-z0-9-]+', '-', name.lower())}.png")


async def launch(playwright: Playwright) -> Browser:
    """Start Debian's chromium, or what CHROME names."""
    assert Path(CHROME).exists(), f"no browser at {CHROME}: make e2e installs one, or set CHROME"
    fonts = {"FONTCONFIG_FILE": str(FONTS)}
    return await playwright.chromium.launch(executable_path=CHROME, args=[*FLAGS], env={**os.environ, **fonts})


@asynccontextmanager
async def look(
    browser: Browser, gateway: Running, *, size: Size = "desktop", scheme: Scheme = "light", email: str = ""
) -> AsyncIterator[Sight]:
    """A page in a fresh profile, signed in as ``email`` where one is given; only the gateway can be reached."""
    width, height = SIZES[size]
    home = f"http://127.0.0.1:{gateway.port}"
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        timezone_id="Europe/Berlin",
        locale="en-GB",
        reduced_motion="reduce",
    )
    context.set_default_timeout(WAIT_MS)
    if email:
        answer = await context.request.post(
            f"{home}/api/v1/auth/login", data={"email": email, "password": PASSWORD}, headers={"origin": home}
        )
        assert answer.ok, await answer.text()
    page = await context.new_page()
    sight = Sight(page, home, [], [])

    async def guard(route: Route) -> None:
        if route.request.url.startswith((f"{home}/", "data:", "blob:")):
            await route.continue_()
        else:
            sight.strangers.append(route.request.url)
            await route.abort()

    def keep(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            sight.complaints.append(f"{message.text} {message.location['url']}")

    def keep_exception(error: Error) -> None:
        sight.complaints.append(error.message)

    await context.route("**/*", guard)
    page.on("console", keep)
    page.on("pageerror", keep_exception)
    try:
        yield sight
    finally:
        await context.close()
