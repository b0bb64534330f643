"""Plays a stream through a running gateway over HTTP: hit rate, error, audits and times of one project that only asks.

The gateway is a process of its own; the provider behind it, here, answers each class in other words each time.
"""

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec

from bench.semantic.answers import write_answer
from bench.semantic.play import Request
from cache.semantic.bound import Bounds

CLIENTS = 2
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_READY = re.compile(r"WatchLLM is ready on (http://\S+)/v1")
_KEY = re.compile(r"^api_key (\S+)", re.MULTILINE)
_START_S = 30.0


class Through(msgspec.Struct, frozen=True, kw_only=True):
    """What one playing gave."""

    bounds: Bounds
    requests: int
    exact: int
    semantic: int
    # Semantic hits whose answer is another class's.
    wrong: int
    # Calls that reached the provider, those of audits among them.
    calls: int
    seconds: float
    # Whole requests, as the client sees them, p50 in ms.
    miss_ms: float
    hit_ms: float


class _Provider:
    """Answers chats in OpenAI's form."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._classes = {request.prompt: request.class_id for request in requests}
        self.calls = 0
        # By what was said.
        self.said: dict[str, str] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = _LENGTH.search(head)
                body = await reader.readexactly(int(found[1]) if found else 0)
                writer.write(self._answer(json.loads(body)["messages"][-1]["content"]))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    def _answer(self, prompt: str) -> bytes:
        self.calls += 1
        class_id = self._classes[prompt]
        text = write_answer(class_id, self.calls)
        self.said[text] = class_id
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 20, "completion_tokens": 40, "total_tokens": 60}
        body = json.dumps(
            {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        ).encode()
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def play_through(requests: Sequence[Request], bounds: Bounds, clients: int = CLIENTS) -> Through:
    """Play all requests in arrival order, by so many clients at once, through a fresh gateway."""
    return asyncio.run(_play(requests, bounds, clients))


async def _play(requests: Sequence[Request], bounds: Bounds, clients: int) -> Through:
    provider = _Provider(requests)
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    with tempfile.TemporaryDirectory(prefix="watchllm-bench-") as folder:
        port = server.sockets[0].getsockname()[1]
        config = Path(folder) / "bench.toml"
        config.write_text(_write_config(port, bounds), encoding="utf-8")
        log = Path(folder) / "log"
        with log.open("wb") as output:
            command = [sys.executable, "-u", "-m", "gateway", "serve", "--port", "0", "--config", str(config)]
            process = subprocess.Popen([*command, "--data-dir", f"{folder}/data"], stdout=output, stderr=output)
        try:
            url, key = await _wait(log)
            async with httpx.AsyncClient(
                base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=60, trust_env=False
            ) as client:
                return await _ask(client, provider, requests, bounds, clients)
        finally:
            process.terminate()
            process.wait(30)
            server.close()


def _write_config(port: int, bounds: Bounds) -> str:
    given = {name: getattr(bounds, name) for name in ("max_wrong_rate", "max_wrong_hit_rate")}
    lines = [f"{name} = {value}" for name, value in given.items() if value is not None]
    return (
        f'[providers.openai]\nbase_url = "http://127.0.0.1:{port}/v1"\napi_key = "sk-bench"\n'
        '[cache]\nmode = "semantic"\nsemantic_audit_usd = "1000"\n' + "\n".join(lines) + "\n"
    )


async def _wait(log: Path) -> tuple[str, str]:
    until = time.perf_counter() + _START_S
    while True:
        text = log.read_text(encoding="utf-8")
        ready, key = _READY.search(text), _KEY.search(text)
        if ready and key:
            return ready[1], key[1]
        if time.perf_counter() > until:
            raise RuntimeError(f"the gateway did not get ready: {text[-2000:]}")
        await asyncio.sleep(0.05)


async def _ask(
    client: httpx.AsyncClient, provider: _Provider, requests: Sequence[Request], bounds: Bounds, clients: int
) -> Through:
    counts: dict[str, int] = {"hit-exact": 0, "hit-semantic": 0, "miss": 0}
    times: dict[str, list[float]] = {name: [] for name in counts}
    wrong, left, began = 0, iter(requests), time.perf_counter()

    async def work() -> None:
        nonlocal wrong
        for request in left:
            start = time.perf_counter()
            body = {"model": "gpt-4", "messages": [{"role": "user", "content": request.prompt}]}
            answer = await client.post("/v1/chat/completions", json=body)
            what = answer.headers["x-watchllm-cache"]
            counts[what] += 1
            times[what].append((time.perf_counter() - start) * 1e3)
            text = answer.json()["choices"][0]["message"]["content"]
            wrong += provider.said[text] != request.class_id

    await asyncio.gather(*(work() for _ in range(clients)))
    return Through(
        bounds=bounds, requests=len(requests), exact=counts["hit-exact"], semantic=counts["hit-semantic"],
        wrong=wrong, calls=provider.calls, seconds=time.perf_counter() - began,
        miss_ms=_middle(times["miss"]), hit_ms=_middle(times["hit-semantic"]),
    )  # fmt: skip


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def render_through(played: Through, *, is_first: bool) -> str:
    """Print one playing as a row of a table, with the table's head before the first."""
    head = (
        "| through the gateway, bound | requests | hits % | exact % | semantic % | wrong/all % | wrong/hits % "
        "| audits % | miss p50 ms | hit p50 ms |\n|---|---|---|---|---|---|---|---|---|---|\n"
    )
    bounds, count = played.bounds, played.requests
    name = f"wrong/all ≤ {bounds.max_wrong_rate:.0%}" if bounds.max_wrong_rate else ""
    name = name or f"wrong/hits ≤ {bounds.max_wrong_hit_rate or 0:.0%}"
    audits = played.calls - (count - played.exact - played.semantic)
    shares = (played.exact + played.semantic, played.exact, played.semantic, played.wrong)
    cells = [f"{100 * share / count:.1f}" for share in shares]
    cells += [f"{100 * played.wrong / max(1, played.semantic):.1f}", f"{100 * audits / count:.1f}"]
    cells += [f"{played.miss_ms:.1f}", f"{played.hit_ms:.1f}"]
    return (head if is_first else "") + f"| {name} | {count:,} | {' | '.join(cells)} |"
