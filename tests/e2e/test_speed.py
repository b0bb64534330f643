"""How soon the overview's frame answers to input, on a slow processor and a mobile network."""

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from e2e.sights import PASSWORD, SIZES
from e2e.town import ADA, Town
from machine_speed import slowness
from playwright.async_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
# Chromium's own profile "Fast 4G", and a processor of a quarter of this one's speed: a mid-range phone's.
FAST_4G = {
    "offline": False,
    "latency": 165,
    "downloadThroughput": 9_000_000 / 8 * 0.9,
    "uploadThroughput": 1_500_000 / 8 * 0.9,
}
SLOWER = 4
LOADS = 7
# For one load, and for what was traced of it, on a machine that has other work too.
PATIENCE_S = 60
# The aim is a second. Measured are medians of 0.81 and 0.91, and up to 1.20 where others kept the machine busy: two
# ways to the server and back are 0.33 of it.
MAX_MS = 1_400
TRACED = ["blink.user_timing", "devtools.timeline", "disabled-by-default-devtools.timeline"]
# As soon as the frame is there its theme's button is pressed; done is the next picture after it says the other theme.
WATCH = """
const timer = setInterval(() => {
  const button = document.querySelector(".foot button[aria-label^='Theme:']");
  if (!button) return;
  clearInterval(timer);
  const before = button.getAttribute("aria-label");
  button.click();
  const look = () => {
    const label = document.querySelector(".foot button[aria-label^='Theme:']")?.getAttribute("aria-label");
    if (label && label !== before) requestAnimationFrame(() => { window.answeredMs = performance.now(); });
    else requestAnimationFrame(look);
  };
  look();
}, 5);
"""
ANSWERED = """
new Promise((done) => {
  const look = () => (window.answeredMs ? done(window.answeredMs) : setTimeout(look, 20));
  look();
})
"""


async def load(browser: Browser, town: Town) -> tuple[float, float]:
    """Open the overview as somebody whose browser has nothing of it yet.

    Gives the milliseconds until it answered, and how many of them its thread had work and no processor: other
    programs had it.
    """
    home = f"http://127.0.0.1:{town.gateway.port}"
    width, height = SIZES["phone"]
    context = await browser.new_context(viewport={"width": width, "height": height})
    try:
        answer = await context.request.post(
            f"{home}/api/v1/auth/login", data={"email": ADA, "password": PASSWORD}, headers={"origin": home}
        )
        assert answer.ok, await answer.text()
        page = await context.new_page()
        await page.add_init_script(WATCH)
        devtools = await context.new_cdp_session(page)
        await devtools.send("Network.enable")
        await devtools.send("Network.emulateNetworkConditions", FAST_4G)
        await devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        async with traced(browser) as events:
            await page.goto(f"{home}/", wait_until="commit")
            ms = float(await asyncio.wait_for(page.evaluate(ANSWERED), PATIENCE_S))
        return ms, find_waiting(events, home, ms)
    finally:
        await context.close()


@asynccontextmanager
async def traced(browser: Browser) -> AsyncIterator[list[dict[str, Any]]]:
    """What all of the browser's threads do meanwhile; the list is filled at the end."""
    events: list[dict[str, Any]] = []
    complete = asyncio.Event()

    def keep(found: dict[str, Any]) -> None:
        events.extend(found["value"])

    def end(_: dict[str, Any]) -> None:
        complete.set()

    tracing = await browser.new_browser_cdp_session()
    tracing.on("Tracing.dataCollected", keep)
    tracing.on("Tracing.tracingComplete", end)
    await tracing.send("Tracing.start", {"traceConfig": {"includedCategories": TRACED}})
    yield events
    await tracing.send("Tracing.end")
    await asyncio.wait_for(complete.wait(), PATIENCE_S)
    await tracing.detach()


def find_waiting(events: list[dict[str, Any]], home: str, ms: float) -> float:
    """Of the page's first milliseconds those in which its main thread's tasks lasted longer than they ran."""
    begun = [each for each in events if each["name"] == "navigationStart" and home in str(each["args"])]
    first = min(begun, key=lambda each: each["ts"])
    until_us = first["ts"] + ms * 1_000
    (thread,) = {
        each["tid"]
        for each in events
        if each["name"] == "ParseHTML" and each["pid"] == first["pid"] and home in str(each["args"])
    }
    tasks = [
        each
        for each in events
        if (each["name"], each["ph"], each["pid"], each["tid"]) == ("RunTask", "X", first["pid"], thread)
        and first["ts"] <= each["ts"] < until_us
    ]
    return sum(max(each["dur"] - each.get("tdur", 0), 0) for each in tasks) / 1_000


async def test_the_frame_answers_soon(browser: Browser, town: Town) -> None:
    """By the median of some loads, after one that warms the gateway; the limit moves with the machine, as others do."""
    await load(browser, town)
    taken = [await load(browser, town) for _ in range(LOADS)]
    told = ", ".join(f"{ms - waiting:.0f} ms (and {waiting:.0f} without a processor)" for ms, waiting in taken)
    print(f"the overview's frame answered on Fast 4G at a quarter of the speed after {told}")
    assert statistics.median(ms - waiting for ms, waiting in taken) < MAX_MS * slowness(), told
