"""The shapes of the four providers' answers, written by us from their documents, through the running gateway.

Sources (read 2026-11-21): https://platform.openai.com/docs/api-reference/chat, https://console.groq.com/docs/api-reference,
https://openrouter.ai/docs/api-reference/overview, https://platform.claude.com/docs/en/api/messages.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from replay.heard import FIGURES, Heard, hear
from running import STREAM_HEAD, Answer, Request, Running, Upstream, framed, json_reply

from gateway.ledger.row import UsageRow

pytestmark = pytest.mark.asyncio(loop_scope="module")
GOLDEN = Path(__file__).parents[1] / "golden"


class Said(msgspec.Struct, frozen=True):
    """What one fixture says."""

    text: str
    # Input, cache read, cache write, output, reasoning; None where the provider reports nothing.
    usage: tuple[int, int, int, int, int] | None
    finish: str = "stop"
    calls: tuple[tuple[str, str], ...] = ()
    cost_pusd: int | None = None
    is_anomalous: bool = False


def weather(*cities: str, space: str = "") -> tuple[tuple[str, str], ...]:
    """Calls of get_weather; arguments are passed with the provider's own spaces."""
    return tuple(("get_weather", f'{{"city":{space}"{city}"}}') for city in cities)


OPENAI = {
    "text.json": Said('Grüß dich, "Welt" 🌍', (19, 0, 0, 11, 0)),
    "text.sse": Said('Grüß dich, "Welt" 🌍\u2028\n ok', (19, 0, 0, 12, 0)),
    "tool.json": Said("", (64, 0, 0, 17, 0), "tool_calls", weather("Zürich")),
    "parallel_tools.json": Said("", (82, 0, 0, 45, 0), "tool_calls", (*weather("Paris"), ("get_time", "{}"))),
    "parallel_tools.sse": Said("", (82, 0, 0, 45, 0), "tool_calls", (*weather("Paris"), ("get_time", "{}"))),
    "reasoning.json": Said("42", (23, 0, 0, 206, 192)),
    "reasoning.sse": Said("42", (23, 0, 0, 206, 192)),
    "cached.json": Said("Again.", (86, 1920, 0, 3, 0)),
    "cached.sse": Said("Again.", (86, 1920, 0, 3, 0)),
    "audio.json": Said("I heard a bell.", (20, 0, 0, 6, 0)),
    "length.sse": Said("One two", (9, 0, 0, 2, 0), "length"),
    "refusal.json": Said("", (30, 0, 0, 9, 0)),
    "no_usage.json": Said("Nobody counted these words.", None),
    "no_usage.sse": Said("Nobody counted these words.", None),
    "completion.json": Said(" upon a time", (1, 0, 0, 3, 0), "length"),
    "completion.sse": Said(" upon a time", (1, 0, 0, 3, 0), "length"),
    "embedding.json": Said("", (9, 0, 0, 0, 0), ""),
}
GROQ = {
    "text.json": Said("Fast.", (38, 0, 0, 3, 0)),
    "text.sse": Said("Fast.", (38, 0, 0, 3, 0)),
    "asked_usage.sse": Said("Fast.", (38, 0, 0, 3, 0)),
    "tool.sse": Said("", (210, 0, 0, 15, 0), "tool_calls", weather("Oslo")),
    "parallel_tools.json": Said("", (214, 0, 0, 31, 0), "tool_calls", weather("Oslo", "Rome")),
    "reasoning.json": Said("Four.", (80, 0, 0, 30, 22)),
    "reasoning.sse": Said("Four.", (80, 0, 0, 30, 22)),
    "cached.json": Said("Known.", (928, 3072, 0, 2, 0)),
    "no_usage.sse": Said("Nobody counted these words.", None),
}
OPENROUTER = {
    "text.json": Said("Routed.", (12, 0, 0, 4, 0), cost_pusd=96_000_000),
    "text.sse": Said("Routed.", (12, 0, 0, 4, 0), cost_pusd=96_000_000),
    "usage_in_choice.sse": Said("Routed.", (12, 0, 0, 4, 0), cost_pusd=96_000_000),
    "usage_in_finish.sse": Said("Routed.", (12, 0, 0, 4, 0), cost_pusd=96_000_000),
    "tool.sse": Said("", (400, 0, 0, 38, 0), "tool_calls", weather("Lima", space=" "), cost_pusd=1_770_000_000),
    "parallel_tools.json": Said(
        "", (400, 0, 0, 77, 0), "tool_calls", weather("Lima", "Quito", space=" "), cost_pusd=2_355_000_000
    ),
    "reasoning.sse": Said("Yes.", (50, 0, 0, 20, 14), cost_pusd=450_000_000),
    "cached.json": Said("Kept.", (68, 2000, 100, 3, 0), cost_pusd=912_900_000),
    # More read and written than there was: clamped, never negative.
    "both_cached.json": Said("Kept.", (0, 2161, 7, 3, 0), cost_pusd=912_900_000, is_anomalous=True),
    # A part of a picodollar is rounded up.
    "tiny_cost.json": Said("Cheap.", (1, 0, 0, 1, 0), cost_pusd=1_235),
    "embedding.json": Said("", (4, 0, 0, 0, 0), "", cost_pusd=80_000),
}
TOOLS = (("weather", '{"city": "Paris", "days": 1.50}'), ("now", "{}"), ("roll", '{"player": 1}'))
ANTHROPIC = {
    "text.json": Said("Grüß dich.", (10, 0, 0, 5, 0)),
    "text.sse": Said('Grüß dich, "Welt" 🌍\n\u2028ok', (25, 0, 0, 12, 0)),
    "tools.sse": Said("Let me look.", (25, 0, 0, 87, 0), "tool_calls", TOOLS),
    "thinking.sse": Said("Four.", (25, 100, 60, 31, 24)),
    "refusal.json": Said("", (18, 0, 0, 5, 0), "content_filter"),
    "refusal.sse": Said("I", (25, 0, 0, 3, 0), "content_filter"),
}
SAYINGS = {"openai": OPENAI, "groq": GROQ, "openrouter": OPENROUTER, "anthropic": ANTHROPIC}


class Broken(msgspec.Struct, frozen=True):
    """A fixture that is an error: the provider's status, and what the client gets for it."""

    upstream_status: int
    status: int
    code: str
    # What the error's text must hold, and may not.
    says: str = ""
    hides: str = "sk-upstream"
    # What it has beside OpenAI's members.
    further: tuple[str, ...] = ()


REFUSALS = {
    "openai/error_400.json": Broken(400, 400, "unsupported_parameter", "logit_bias"),
    "openai/error_401.json": Broken(401, 502, "upstream_auth", hides="api-keys"),
    "openai/error_429.json": Broken(429, 429, "rate_limit_exceeded", "Limit 3"),
    "groq/error_400.json": Broken(400, 400, "invalid_request", "messages.0.name"),
    "groq/error_429.json": Broken(429, 429, "rate_limit_exceeded", "12000"),
    "openrouter/error_402.json": Broken(402, 502, "upstream_quota", hides="settings/credits"),
    "openrouter/error_404.json": Broken(404, 404, "404", "No endpoints"),
    "openrouter/error_in_body.json": Broken(
        200, 502, "provider_error", "Provider returned error", further=("metadata",)
    ),
    "anthropic/error.json": Broken(400, 400, "missing_field", "max_tokens"),
}
# Streams that break in their middle, and the tokens that the provider had reported by then.
BREAKS = {
    "openai/truncated.sse": ("upstream_truncated", None),
    "groq/tool_failed.sse": ("upstream_error", None),
    "openrouter/error_in_chunk.sse": ("upstream_error", None),
    "openrouter/error_with_usage.sse": ("upstream_error", 53),
}


def playing(provider: str, cut: str, status: int = 200) -> Answer:
    """Answer with the fixture that the request's model names."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        name = request.json()["model"]
        body = (GOLDEN / provider / name).read_bytes()
        if not name.endswith(".sse"):
            writer.write(json_reply(body, status, retry_after="7"))
            return
        pieces = [body] if cut == "whole" else [body[at : at + 1] for at in range(len(body))]
        writer.write(STREAM_HEAD + b"".join(map(framed, pieces)) + b"0\r\n\r\n")

    return answer


@pytest.fixture(scope="module")
def config(shared_provider: Upstream) -> str:
    """All four at one address, with a name for every fixture; what each says is up to the test."""
    lines = ["[retries]\nmax_tries = 1\n"]
    for vendor, sayings in SAYINGS.items():
        lines.append(f'[providers.{vendor}]\nbase_url = "{shared_provider.url}"\napi_key = "sk-upstream-secret"\n')
        odd = [fixture.removeprefix(f"{vendor}/") for fixture in (*REFUSALS, *BREAKS) if fixture.startswith(vendor)]
        for name in (*sayings, *odd):
            target = f'{{ provider = "{vendor}", model = "{name}" }}'
            lines.append(f'[[models]]\nname = "golden/{vendor}/{name}"\ntargets = [{target}]\n')
    return "".join(lines)


async def play(gateway: Running, vendor: str, names: list[str]) -> dict[str, tuple[Heard, UsageRow]]:
    """Call for every fixture; give the answer and the row of each."""
    heard: dict[str, Heard] = {}
    async with gateway.client() as client:
        for name in names:
            path, request = request_for(name)
            response = await client.post(path, json=request | {"model": f"golden/{vendor}/{name}"})
            heard[name] = hear(response.status_code, dict(response.headers), response.content)
    rows = {row.model.removeprefix(f"golden/{vendor}/"): row for row in gateway.rows}
    assert len(rows) == len(gateway.rows) == len(names)
    return {name: (heard[name], rows[name]) for name in names}


def request_for(name: str) -> tuple[str, dict[str, Any]]:
    """Where and what to ask for a fixture."""
    if name.startswith("embedding"):
        return "/v1/embeddings", {"input": ["one", "two"]}
    stream = {"stream": True} if name.endswith(".sse") else {}
    if name.startswith("completion"):
        return "/v1/completions", {"prompt": "Once"} | stream
    return "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello!"}]} | stream


def compare(said: Said, heard: Heard, row: UsageRow) -> list[str]:
    """Tell what differs from what a fixture says."""
    calls = tuple(heard.calls[at] for at in sorted(heard.calls))
    wrong = []
    if (heard.status, heard.text, calls, heard.finish or "") != (200, said.text, said.calls, said.finish):
        wrong.append(f"said {heard.status, heard.text, calls, heard.finish}")
    counted = (
        row.input_tokens,
        row.cache_read_tokens,
        row.cache_write_tokens + row.cache_write_1h_tokens,
        row.output_tokens,
        row.reasoning_tokens,
    )
    if said.usage is None:
        wrong += [] if row.is_estimated and row.input_tokens and row.output_tokens else [f"estimated {counted}"]
    elif (counted, row.is_estimated, row.is_anomalous) != (said.usage, False, said.is_anomalous):
        wrong.append(f"counted {counted} estimated {row.is_estimated} anomalous {row.is_anomalous}")
    if said.cost_pusd is not None and (row.cost_pusd, row.cost_basis) != (said.cost_pusd, "reported"):
        wrong.append(f"cost {row.cost_pusd} {row.cost_basis}")
    if row.status != "complete" or set(heard.figures) != set(FIGURES):
        wrong.append(f"row {row.status}, figures {heard.figures}")
    return wrong


def compare_stream(heard: Heard) -> list[str]:
    """Tell what is no stream as every client reads it: data alone, a choice in every chunk, [DONE]."""
    is_plain = heard.is_done and not heard.strange and not heard.without_choice
    empty = [event for event in heard.events if not json.loads(event)["choices"]]
    return [] if is_plain and not empty else [f"done={heard.is_done} strange={heard.strange} empty={empty}"]


@pytest.mark.parametrize("cut", ["whole", "bytes"])
@pytest.mark.parametrize("vendor", SAYINGS)
async def test_every_shape_arrives_and_is_counted(gateway: Running, provider: Upstream, vendor: str, cut: str) -> None:
    """Text, calls, finish, buckets and reported cost, whole and byte by byte."""
    sayings = SAYINGS[vendor]
    provider.answer = playing(vendor, cut)
    played = await play(gateway, vendor, list(sayings))
    wrong = {name: compare(sayings[name], *played[name]) for name in sayings}
    for name, (heard, _) in played.items():
        wrong[name] += compare_stream(heard) if name.endswith(".sse") else []
    assert {name: what for name, what in wrong.items() if what} == {}


@pytest.mark.parametrize("fixture", REFUSALS)
async def test_a_providers_refusal_is_said_in_openais_envelope(
    gateway: Running, provider: Upstream, fixture: str
) -> None:
    """What the caller can act on passes, what concerns the gateway's own account does not; nothing is charged."""
    vendor, name = fixture.split("/")
    broken = REFUSALS[fixture]
    provider.answer = playing(vendor, "whole", broken.upstream_status)
    played = await play(gateway, vendor, [name])
    heard, row = played[name]
    assert heard.error is not None
    assert (heard.status, heard.error["code"], set(heard.error)) == (
        broken.status,
        broken.code,
        {"message", "type", "param", "code", "details", *broken.further},
    )
    assert broken.says in heard.error["message"]
    assert broken.hides not in heard.body.decode()
    shown = {400: "7", 404: "7", 422: "7", 429: "7"}
    assert heard.headers.get("retry-after") == shown.get(broken.status)
    assert (row.status, row.http_status, row.total_tokens, row.cost_pusd) == ("failed", broken.status, 0, 0)


@pytest.mark.parametrize("cut", ["whole", "bytes"])
@pytest.mark.parametrize("fixture", BREAKS)
async def test_a_stream_that_breaks_ends_with_an_error_event(
    gateway: Running, provider: Upstream, fixture: str, cut: str
) -> None:
    """What was said arrives, an error follows, [DONE] does not, and what was produced is charged."""
    vendor, name = fixture.split("/")
    code, reported = BREAKS[fixture]
    provider.answer = playing(vendor, cut)
    played = await play(gateway, vendor, [name])
    heard, row = played[name]
    assert heard.error is not None
    assert (heard.error["code"], heard.is_done, heard.strange) == (code, False, [])
    assert heard.text
    assert (row.status, row.error_code, row.is_estimated) == ("incomplete", code, reported is None)
    assert row.output_tokens > 0
    assert reported in (None, row.total_tokens)
