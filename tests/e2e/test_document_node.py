"""The document's own JavaScript and TypeScript, word for word but for host and key, run by Node against a gateway."""

import json
from pathlib import Path

import pytest
from clients.examples import aimed
from clients.small_providers import TEXT
from e2e.node_process import NODE_FOLDER, run_node
from running import Running

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


def write(folder: Path, name: str, code: str) -> Path:
    """Put a script where Node finds it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    return path


@pytest.mark.row("W57")
async def test_the_quick_start_prints_the_answer(gateway: Running, workshop: Path) -> None:
    """Section 1: nothing but base URL and key tells the official client that it speaks to a gateway."""
    script = write(workshop, "quick.js", aimed("1 Node.js", gateway.url, gateway.live_key))
    assert await run_node(script) == f"{TEXT}\n"


@pytest.mark.row("W57")
async def test_the_usage_example_prints_the_stream(gateway: Running, workshop: Path) -> None:
    """Section 8.1: a chat, then a stream written piece by piece."""
    script = write(workshop, "usage.ts", aimed("8.1 JavaScript/TypeScript", gateway.url, gateway.live_key))
    assert await run_node(script, WatchLLM_API_KEY=gateway.live_key) == TEXT


@pytest.mark.row("W17")
async def test_the_fetch_example_reads_the_events(gateway: Running, workshop: Path) -> None:
    """Section 3.1: fetch and a reader get server-sent events that end with [DONE]."""
    script = write(workshop, "stream.js", aimed("3.1 Streaming", gateway.url, gateway.live_key))
    lines = [line for line in (await run_node(script)).splitlines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == TEXT


@pytest.mark.row("W60")
async def test_the_next_handler_replies_with_the_figures(gateway: Running, workshop: Path) -> None:
    """Section 8.4: the handler reads ``x_WatchLLM_cached`` and ``x_WatchLLM_cost_usd`` of the client's answer."""
    write(workshop, "pages/api/chat.ts", aimed("8.4 Next.js", gateway.url, gateway.live_key))
    script = write(workshop, "call.js", (NODE_FOLDER / "next_call.mjs").read_text(encoding="utf-8"))
    reply = json.loads(await run_node(script, WatchLLM_API_KEY=gateway.live_key))
    assert reply == {"reply": TEXT, "cached": False, "cost": "0.00105"}
