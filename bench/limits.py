"""What a plan's limits, a key's own and a budget cost a call: a gateway with and one without, in alternated rounds."""

import http.client
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from bench.contenders import BENCH, Contender
from bench.load import Result
from bench.pairs import tell_shares
from bench.processes import Running, start, stop

PLAIN, LIMITED = "without", "with"
PORTS = {PLAIN: 9105, LIMITED: 9106}
# Above it the promise is broken: a share of the throughput, by processor time.
MOST = 0.15
ENOUGH = 10**9
# Until the gateway knows the plan.
FOLLOWED_S = 1.0
PROGRAM = str(Path(sys.executable).with_name("watchllm"))
_PERSON = {"email": "bench@example.com", "password": "correct horse battery", "name": "Bench"}
_KEY_LIMITS = {"requests_per_minute": ENOUGH, "tokens_per_minute": ENOUGH, "max_concurrent": ENOUGH}
_BUDGET = {"scope": "account", "window": "month", "limit_usd": "9000000"}


def measure_limits(core: int, folder: Path, stack: ExitStack, run: Callable[[list[Running]], list[Result]]) -> int:
    """Start both, have them measured, and print what limits and budget cost; 1 where that is too much."""
    runnings = [_start(name, core, folder, stack) for name in PORTS]
    return tell_shares(run(runnings), PLAIN, LIMITED, "limits and a budget", MOST)


def _start(name: str, core: int, folder: Path, stack: ExitStack) -> Running:
    config = folder / f"{name}.toml"
    text = (BENCH / "gateway.toml").read_text(encoding="utf-8").replace("port = 9102", f"port = {PORTS[name]}")
    config.write_text(text + ("\n[limits]\nenforce = true\n" if name == LIMITED else ""), encoding="utf-8")
    contender = Contender(
        name=name,
        port=PORTS[name],
        command=(PROGRAM, "serve", "--config", str(config), "--data-dir", str(folder / name)),
    )
    running = start(contender, core, folder / f"{name}.log")
    stack.callback(stop, running.process)
    key = _make_key(PORTS[name], folder / name if name == LIMITED else None)
    headers = (f"Authorization: Bearer {key}", "x-watchllm-cache: {cache}")
    return msgspec.structs.replace(running, headers=headers)


def _make_key(port: int, data_dir: Path | None) -> str:
    """Register somebody and make them a key; with a data directory: limited by a plan, by itself and by a budget."""
    token = _ask(port, "POST", "/api/v1/auth/register", _PERSON)["access_token"]
    project_id = _ask(port, "GET", "/api/projects", None, token)["projects"][0]["id"]
    wanted: dict[str, Any] = {"name": "bench"}
    if data_dir is not None:
        _ask(port, "POST", "/api/budgets", _BUDGET, token)
        wanted |= _KEY_LIMITS
        account_id = _ask(port, "GET", "/api/account", None, token)["id"]
        command = [PROGRAM, "accounts", "plan", account_id, "enterprise", "--data-dir", str(data_dir)]
        for figure in ("proxy_per_minute", "proxy_per_month"):
            command += ["--limit", f"{figure}={ENOUGH}"]
        subprocess.run(command, check=True, capture_output=True)
        time.sleep(FOLLOWED_S)
    return str(_ask(port, "POST", f"/api/projects/{project_id}/keys", wanted, token)["key"])


def _ask(port: int, method: str, path: str, body: Any, token: str = "") -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    try:
        connection.request(method, path, None if body is None else msgspec.json.encode(body), headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status >= http.client.BAD_REQUEST:
        raise ValueError(f"{method} {path} was answered {answer.status}: {content[:300]!r}")
    return msgspec.json.decode(content)
