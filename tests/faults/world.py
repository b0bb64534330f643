"""A real gateway process between its clients and the providers of upstreams.py, with one provider a case."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from faults.cases import Case, dialect_of, get_request, post_request
from faults.upstreams import PROVIDER_KEY, GoodProvider, Sink, fault_stats
from faults.wire import Reply, exchange

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 30.0
MAX_TRIES = 2
TOTAL_S = 8.0
PRICE_INPUT_PUSD, PRICE_OUTPUT_PUSD = 1_000_000, 2_000_000
SETTINGS = f"""
log_level = "debug"
[server]
body_timeout_ms = 3_000
[timeouts]
connect_ms = 1_000
first_byte_ms = 1_500
idle_ms = 1_500
total_ms = {int(TOTAL_S * 1000)}
[retries]
max_tries = {MAX_TRIES}
base_backoff_ms = 50
max_backoff_ms = 100
max_retry_after_ms = 2_500
"""
# A model's name that a spreadsheet would take for a formula.
FORMULA = "=cmd|'/C'!A0"
INPUTS = (
    "input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "audio_input_tokens",
    "image_input_tokens",
)  # fmt: skip
OUTPUTS = ("output_tokens", "audio_output_tokens", "image_output_tokens")

Row = dict[str, Any]


class Gateway:
    """One ``python -m gateway serve``."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process) -> None:
        self.folder = folder
        self.process = process
        self.port = 0
        self.keys: dict[str, str] = {}

    @property
    def log(self) -> str:
        """All that it has written on stderr."""
        return (self.folder / "stderr").read_text(encoding="utf-8", errors="replace")

    async def ask(self, path: str, key: str = "") -> Reply:
        """GET a path."""
        return await exchange(self.port, get_request(path, key))

    async def gauge(self, name: str) -> float:
        """One value of /metrics."""
        found = re.search(rf"(?m)^{name} (\S+)$", (await self.ask("/metrics")).body.decode())
        return float(found[1]) if found else -1.0

    def memory_kib(self, name: str) -> int:
        """VmRSS or VmHWM of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        return int(found[1]) if found else 0

    def forget_peak(self) -> None:
        """Let VmHWM begin again at what is used now."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")

    def rows(self) -> list[Row]:
        """Every usage row that is in the database."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.folder / 'data' / 'watchllm.db'}?mode=ro", uri=True)
        ) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute("SELECT * FROM usage")]

    def read(self, query: str) -> list[tuple[Any, ...]]:
        """What else is in the database."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.folder / 'data' / 'watchllm.db'}?mode=ro", uri=True)
        ) as db:
            return list(db.execute(query))

    async def settled_rows(self) -> list[Row]:
        """Every usage row, once none waits any more."""
        for _ in range(200):
            if not await self.gauge("watchllm_requests_in_flight") and not await self.gauge(
                "watchllm_ledger_pending_rows"
            ):
                break
            await asyncio.sleep(0.05)
        return self.rows()

    async def command(self, *words: str) -> Any:
        """Run another command on the same data directory; gives its JSON."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", *words, "--data-dir", str(self.folder / "data"), "--json",
            cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        printed, _ = await process.communicate()
        return json.loads(printed)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait; gives the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.process.wait()


@asynccontextmanager
async def gateway(folder: Path, config: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[Gateway]:
    """Start one with a configuration and wait until it is ready."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "watchllm.toml"
    # Clients repeat their requests here and mean each; who tests the cache says what is wanted of it.
    path.write_text(config if "[cache]" in config else f'{config}\n[cache]\nmode = "off"\n', encoding="utf-8")
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "serve",
            "--config", str(path), "--data-dir", str(folder / "data"), "--port", "0",
            cwd=ROOT, stdout=out, stderr=err, env={**os.environ, **(environ or {})},
        )  # fmt: skip
    running = Gateway(folder, process)
    try:
        await _wait_until_ready(running)
        printed = (folder / "stdout").read_text(encoding="utf-8")
        running.keys = dict(line.split() for line in printed.splitlines())
        yield running
    finally:
        await running.stop()


async def _wait_until_ready(running: Gateway) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while (found := re.search(r"ready on http://127\.0\.0\.1:(\d+)/v1", running.log)) is None:
            assert running.process.returncode is None, running.log
            await asyncio.sleep(0.02)
    running.port = int(found[1])


class World(msgspec.Struct, kw_only=True):
    """Everything that a case may meet."""

    gateway: Gateway
    good: GoodProvider
    trap: Sink
    fault_port: int
    names: dict[str, str]

    @property
    def port(self) -> int:
        """Where the gateway listens."""
        return self.gateway.port

    @property
    def key(self) -> str:
        """The project's first key."""
        return self.names["KEY"]

    async def calls(self, case: Case) -> int:
        """How often the case's provider was called."""
        if "script" in case:
            stats = await fault_stats(self.fault_port)
            return stats.get(case["id"], {}).get("calls", 0)
        return len(self.good.asked[case["id"]])

    async def is_closed(self, case: Case, within_s: float) -> bool:
        """Whether no connection to the case's provider stays open."""
        for _ in range(int(within_s / 0.05) + 1):
            if not (await fault_stats(self.fault_port)).get(case["id"], {}).get("open"):
                return True
            await asyncio.sleep(0.05)
        return False


def configure(cases: Iterable[Case], good_port: int, fault_port: int, bases: Mapping[str, str]) -> str:
    """One provider and its price a case, an alias that falls back to the good one, and short times."""
    alias = f'[[models]]\nname = "{FORMULA}"\ntargets = [{{ provider = "good", model = "m" }}]\n'
    parts = [SETTINGS, alias, _provider("good", "openai", f"http://127.0.0.1:{good_port}/g/good/v1")]
    for case in cases:
        name = case["id"]
        behaves = f"http://127.0.0.1:{good_port}/g/{name}/v1"
        scripted = f"http://127.0.0.1:{fault_port}/f/{name}/v1"
        base = bases.get(name, scripted if "script" in case else behaves)
        parts.append(_provider(name, dialect_of(case), base))
        target = f'{{ provider = "{name}", model = "m" }}, {{ provider = "good", model = "m" }}'
        parts.append(f'[[models]]\nname = "fallback-{name}"\ntargets = [{target}]\n')
    return "\n".join(parts)


def _provider(name: str, dialect: str, base_url: str) -> str:
    return f"""
[providers.{name}]
dialect = "{dialect}"
base_url = "{base_url}"
api_key = "{PROVIDER_KEY}"
[[prices]]
provider = "{name}"
model = "m"
effective_from = "2024-01-01"
input = "1"
output = "2"
"""


async def make_keys(running: Gateway) -> dict[str, str]:
    """The keys that cases name: limited, revoked, expired, of another project; known to the gateway on return."""
    allowed = ("--allowed-models", "json-020/m,param-044/m")
    limited, deleted, blocked, other = await asyncio.gather(
        running.command("keys", "create", "--project", "limited", *allowed),
        running.command("keys", "create", "--project", "gone"),
        running.command("keys", "create", "--project", "gone", "--expires-in", "1s"),
        running.command("keys", "create", "--project", "other"),
    )
    await running.command("keys", "revoke", deleted["key_id"])
    refused = (deleted["key"], blocked["key"])
    async with asyncio.timeout(5):
        while (await running.ask("/v1/models", other["key"])).status != 200:
            await asyncio.sleep(0.05)
        while {(await running.ask("/v1/models", key)).status for key in refused} != {401}:
            await asyncio.sleep(0.05)
    live = running.keys["api_key"]
    operator = await make_operator(running)
    listed = await running.command("keys", "list")
    return {
        "KEY": live,
        "OPERATOR": operator,
        "KEY_A": live,
        "KEY_B": other["key"],
        "LIMITED": limited["key"],
        "DELETED_KEY": deleted["key"],
        "BLOCKED_KEY": blocked["key"],
        "KEY_ID": other["key_id"],
        "PROVIDER_KEY": PROVIDER_KEY,
        "KEY_PREFIX20_WRONG": live[:20] + live[20:][::-1],
        "SESSION": "s3ss10n",
        "PROJECT": next(key["project_id"] for key in listed if key["key"] and live.startswith(key["key"].rstrip(".…"))),
    }


async def make_operator(running: Gateway) -> str:
    """A person who runs the installation; gives the access token."""
    person = {"email": "operator@example.com", "password": "correct horse", "name": "Operator"}
    registered = await exchange(running.port, post_request("/api/v1/auth/register", "", json.dumps(person).encode()))
    with contextlib.closing(sqlite3.connect(running.folder / "data" / "watchllm.db", timeout=30)) as database:
        database.execute("UPDATE users SET is_operator = TRUE")
        database.commit()
    return str(registered.json()["access_token"])


def prompt_tokens(row: Row) -> int:
    """Every input bucket of a row."""
    return sum(row[name] for name in INPUTS)


def completion_tokens(row: Row) -> int:
    """Every output bucket of a row."""
    return sum(row[name] for name in OUTPUTS)
