"""README's pictures of the dashboard: ``.venv/bin/python -m tests.e2e.pictures`` writes them anew.

A gateway gets two months of made-up calls for the overview, and some real ones for the cache's curve: questions about
countries, each in several wordings, to a provider that knows the answers. Many sound alike and mean something else.
"""

import asyncio
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The tests' own modules are found as pytest finds them.
sys.path[:0] = [str(ROOT / "tests")]

import httpx  # noqa: E402
from e2e.sights import Sight, launch, look  # noqa: E402
from e2e.town import ADA, PROJECTS, Town, build_town, remember  # noqa: E402
from playwright.async_api import Browser, async_playwright  # noqa: E402
from running import Request, chat_reply, json_reply, running, upstream  # noqa: E402

FOLDER = ROOT / "docs"
MAX_BYTES = 150_000
DAYS, CALLS_A_DAY = 62, 900
QUESTIONS = 900
CONFIG = '[providers.openai]\nbase_url = "{url}"\napi_key = "sk-of-nobody"\n[cache]\nmode = "exact"\n'
COUNTRIES = (
    "France",
    "Finland",
    "Spain",
    "Sweden",
    "Norway",
    "Japan",
    "Jordan",
    "Austria",
    "Australia",
    "Ireland",
    "Iceland",
    "Italy",
    "Niger",
    "Nigeria",
    "Slovakia",
    "Slovenia",
    "Chile",
    "China",
    "Poland",
    "Portugal",
)
THINGS = ("capital", "currency", "largest city", "national anthem", "highest mountain", "official language")
WORDINGS = (
    "What is the {thing} of {country}?",
    "Tell me the {thing} of {country}.",
    "I would like to know the {thing} of {country}",
    "{country}: what is its {thing}?",
    "Do you know the {thing} of {country}?",
    "Please name the {thing} of {country}.",
)


def ask(seed: int = 3) -> Iterator[str]:
    """Yield questions; some countries and things are asked for much more often than others."""
    chosen = random.Random(seed)  # noqa: S311 - the same pictures each time, no secret
    pairs = [(thing, country) for country in COUNTRIES for thing in THINGS]
    chosen.shuffle(pairs)
    weights = [1 / (rank + 3) for rank in range(len(pairs))]
    for thing, country in chosen.choices(pairs, weights, k=QUESTIONS):
        yield chosen.choice(WORDINGS).format(thing=thing, country=country) + chosen.choice(
            ("", "", " Thanks!", " Briefly.")
        )


def answer_to(question: str) -> str:
    """What the provider says: the same for the same thing of the same country, whatever the words."""
    thing = next(thing for thing in THINGS if thing in question)
    country = max((country for country in COUNTRIES if country in question), key=len)
    return f"The {thing} of {country} is number {abs(hash_of(thing + country)) % 997}."


def hash_of(text: str) -> int:
    """A number that is the same in every process."""
    return sum(ord(letter) * 31**place for place, letter in enumerate(text)) & 0xFFFFFFFF


async def reply(request: Request, writer: asyncio.StreamWriter) -> None:
    """Answer as OpenAI would; other questions than those above get one answer."""
    question = str(request.json()["messages"][-1]["content"])
    text = answer_to(question) if any(thing in question for thing in THINGS) else "Hello!"
    writer.write(json_reply(chat_reply(text)))
    await writer.drain()


async def picture(sight: Sight, path: str, words: str, name: str, height: int) -> None:
    """Photograph the upper part of one page, with nothing that is still loading."""
    await sight.open(path)
    await sight.page.get_by_text(words).first.wait_for()
    await sight.page.wait_for_timeout(500)
    target = FOLDER / f"{name}.png"
    await sight.page.screenshot(path=target, clip={"x": 0, "y": 0, "width": 1360, "height": height})
    size = target.stat().st_size
    print(f"{target.relative_to(ROOT)}: {size:,} bytes")
    assert size < MAX_BYTES, f"{target} has {size} bytes, more than {MAX_BYTES}"


async def take(browser: Browser, town: Town) -> None:
    """Photograph what README shows: the past first, then what the cache learnt from the questions."""
    project_id, key = town.projects[PROJECTS[2]]
    await remember(town, days=DAYS, calls_a_day=CALLS_A_DAY, quiet_days=0)
    async with look(browser, town.gateway, email=ADA) as sight:
        await picture(sight, "/?range=30d", "Spent and saved", "overview", 900)
        await town.ask("PATCH", f"/api/projects/{project_id}/cache", {"mode": "shadow", "max_wrong_hit_rate": 0.05})
        for question in ask():
            call = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}]}
            await town.client.post("/v1/chat/completions", json=call, headers={"authorization": f"Bearer {key}"})
        await picture(sight, f"/cache?project={project_id}", "Your bound", "cache", 655)


async def main() -> None:
    """Fill a gateway and photograph it."""
    FOLDER.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider = await stack.enter_async_context(upstream(reply))
        gateway = await stack.enter_async_context(running(folder, CONFIG.format(url=provider.url)))
        home = f"http://127.0.0.1:{gateway.port}"
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=home, timeout=60, trust_env=False))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await stack.enter_async_context(await launch(playwright))
        await take(browser, await build_town(gateway, client, has_traffic=False))


if __name__ == "__main__":
    asyncio.run(main())
