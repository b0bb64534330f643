"""The main pages look as they did: pictures with made-up data of a fixed day, compared with goldens.

``GOLDENS=renew make e2e ARGS='-k look_like'`` takes the goldens anew; look at each before it is committed. What the
tolerance lets pass is a small part in another colour.
"""

import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from clients import small_providers
from e2e.likeness import TOLERANCE, compare
from e2e.sights import SCREENSHOTS, Scheme, Sight, Size, look
from e2e.town import ADA, Town, build_town, remember
from playwright.async_api import Browser, Page
from running import Upstream, running

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
FOLDER = Path(__file__).with_name("goldens")
DIFFERENCES = SCREENSHOTS / "differences"
IS_RENEWED = os.environ.get("GOLDENS") == "renew"
MAX_BYTES = 1_500_000
# A Friday; everything that the gateway stores is of then or before.
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
# Browsers come a little later: nothing is of the future for them.
SEEN_AT = datetime(2026, 11, 20, 12, 20, tzinfo=UTC)
PAGES = {
    "overview": ("/?range=30d", "What costs most"),
    "requests": ("/requests?range=7d", "gpt-4o"),
    "budgets": ("/budgets", "left"),
    "providers": ("/providers", "Keys of this project"),
    "design": ("/design", "Tokens and parts"),
}
# What the machine's speed or chance decides.
MASKS = "pre, code, .mono, time, [data-sample] canvas"
# Every machine has another font of equal widths: it would move what stands beside it. The page's own takes its place.
OWN_FONT = "document.documentElement.style.setProperty('--mono', 'Geist Variable')"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def past(tmp_path_factory: pytest.TempPathFactory, providers: Upstream) -> AsyncIterator[Town]:
    """A gateway on that day, with two months behind it and no calls of its own."""
    begun_ns = time.monotonic_ns()
    start_ns = int(NOW.timestamp()) * 10**9
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: start_ns + time.monotonic_ns() - begun_ns)
        async with running(tmp_path_factory.mktemp("past"), small_providers.config(providers)) as gateway:
            home = f"http://127.0.0.1:{gateway.port}"
            async with httpx.AsyncClient(base_url=home, timeout=20, trust_env=False) as client:
                town = await build_town(gateway, client, has_traffic=False)
                await remember(town)
                yield town


async def picture(sight: Sight, name: str) -> bytes:
    """Photograph a page once it has all that it shows."""
    path, words = PAGES[name]
    await sight.page.clock.set_fixed_time(SEEN_AT)
    await sight.open(path)
    await sight.page.get_by_text(words).first.wait_for()
    await sight.settle()
    await sight.page.evaluate(OWN_FONT)
    await sight.page.evaluate("document.fonts.ready.then(() => new Promise(requestAnimationFrame))")
    # Charts paint once more when the font is there.
    await sight.page.wait_for_timeout(300)
    return await sight.page.screenshot(animations="disabled", mask=[sight.page.locator(MASKS)], mask_color="#808080")


async def judge(blank: Page, now: bytes, name: str) -> None:
    """Compare with the golden, or renew it; what differs is kept for people."""
    golden = FOLDER / f"{name}.png"
    found = await compare(blank, now, golden)
    if IS_RENEWED:
        FOLDER.mkdir(exist_ok=True)
        golden.write_bytes(found.half)
        return
    print(f"{name}: {found.share:.3%} of the pixels differ")
    kept = DIFFERENCES / f"{name}.png"
    if found.share > TOLERANCE:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(found.told or found.half)
    assert found.share <= TOLERANCE, (
        f"{name}: {found.share:.2%} of the pixels differ from {golden}. The golden, the page and where they differ are "
        f"side by side in {kept}. If the page is meant to look so: GOLDENS=renew make e2e ARGS='-k look_like'"
    )


@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_look_like_their_goldens(browser: Browser, past: Town, scheme: Scheme, size: Size) -> None:
    """Within the tolerance, in both schemes and sizes."""
    blank = await browser.new_page()
    async with look(browser, past.gateway, size=size, scheme=scheme, email=ADA) as sight:
        for name in PAGES:
            await judge(blank, await picture(sight, name), f"{name}-{scheme}-{size}")
    await blank.close()


@pytest.mark.parametrize(
    "change",
    [
        "document.querySelector('main').style.paddingTop = '2.5rem'",
        "document.querySelector('h1').remove()",
        "document.documentElement.style.fontSize = '15.5px'",
    ],
)
async def test_what_moved_is_found(browser: Browser, past: Town, change: str) -> None:
    """By 8 pixels, by a line, or by a letter's size: between 2 and 3 % of the pixels."""
    blank = await browser.new_page()
    async with look(browser, past.gateway, email=ADA) as sight:
        golden = FOLDER / "budgets-light-desktop.png"
        before = await compare(blank, await picture(sight, "budgets"), golden)
        await sight.page.evaluate(change)
        after = await compare(blank, await sight.page.screenshot(animations="disabled"), golden)
        assert before.share <= TOLERANCE < 2 * TOLERANCE < after.share
        assert len(after.told) > len(after.half)
    await blank.close()


async def test_the_goldens_are_small() -> None:
    """All of them together; and none is of a page that is no more."""
    files = list(FOLDER.iterdir())
    assert {file.stem for file in files} == {
        f"{name}-{scheme}-{size}" for name in PAGES for scheme in ("light", "dark") for size in ("desktop", "phone")
    }
    assert sum(file.stat().st_size for file in files) < MAX_BYTES
