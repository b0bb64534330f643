"""How soon the overview's frame answers to input, on a slow processor and a mobile network."""

import asyncio
import statistics
import time

import pytest
from e2e.sights import PASSWORD, SIZES, WAIT_MS
from e2e.town import ADA, Town
from machine_speed import slowness
from playwright.async_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.asyncio(loop_scope="module")]
# Chromium's own profile "Fast 4G", and a processor of a quarter of this one's speed: a mid-range phone's.
FAST_4G = {
    "offline": False,
    "latency": 165,
    "downloadThroughput": 9_000_000 / 8 * 0.9,
    "uploadThroughput": 1_500_000 / 8 * 0.9,
}
SLOWER = 4
LOADS = 7
# The aim is a second. Measured are 1.1 to 1.4: three ways to the server and back take half of one on that network.
MAX_MS = 1_800
# How long it is looked how much of a processor there is.
SPIN_MS = 150
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


async def load(browser: Browser, town: Town) -> float:
    """Open the overview as somebody whose browser has nothing of it yet; milliseconds until it answered."""
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
        await page.goto(f"{home}/", wait_until="commit")
        return float(await asyncio.wait_for(page.evaluate(ANSWERED), WAIT_MS / 1_000))
    finally:
        await context.close()


def find_crowding() -> float:
    """How many times as long as its own work a busy program takes now: 1 where nobody else wants the processors."""
    wall, own = time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < SPIN_MS / 1_000:
        pass
    return max((time.perf_counter() - wall) / (time.process_time() - own), 1.0)


async def test_the_frame_answers_soon(browser: Browser, town: Town) -> None:
    """By the median of some loads, after one that warms the gateway; the limit moves with the machine, as others do."""
    await load(browser, town)
    taken: list[tuple[float, float]] = []
    for _ in range(LOADS):
        before = find_crowding()
        ms = await load(browser, town)
        taken.append((ms, (before + find_crowding()) / 2))
    told = ", ".join(f"{ms:.0f} ms (crowding {crowding:.1f})" for ms, crowding in taken)
    print(f"the overview's frame answered on Fast 4G at a quarter of the speed after {told}")
    assert statistics.median(ms / crowding for ms, crowding in taken) < MAX_MS * slowness(), told
