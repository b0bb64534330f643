"""The document's own Python examples, word for word but for host and key, against a running gateway."""

import asyncio
import os
from typing import Any

import pytest
from clients.examples import aimed
from clients.small_providers import TEXT
from running import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")


def execute(code: str) -> list[str]:
    """Run an example and return what it prints; the one of section 8.2 takes ``os`` for granted."""
    printed: list[str] = []

    def keep(text: str, end: str = "\n") -> None:
        printed.append(text + end)

    names: dict[str, Any] = {"os": os, "print": keep}
    exec(code, names)  # noqa: S102 - the document's text, kept in this repository
    names["client"].close()
    return printed


@pytest.mark.row("W58")
@pytest.mark.row("U8")
async def test_the_quick_start_prints_the_answer(gateway: Running) -> None:
    """Section 1: nothing but base URL and key tells the official client that it speaks to a gateway."""
    printed = await asyncio.to_thread(execute, aimed("1 Python", gateway.url, gateway.live_key))
    assert printed == [f"{TEXT}\n"]


@pytest.mark.row("W58")
async def test_the_usage_example_prints_answer_and_stream(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 8.2: its loop reads ``chunk.choices[0].delta.content`` of every chunk, so each must have a choice."""
    monkeypatch.setenv("WatchLLM_API_KEY", gateway.live_key)
    printed = await asyncio.to_thread(execute, aimed("8.2 Python", gateway.url, gateway.live_key))
    assert printed[0] == f"{TEXT}\n"
    assert "".join(printed[1:]) == TEXT
    assert len(printed) > 3
