"""How long every view of a year of usage takes over HTTP, asked one by one of a gateway on a filled database."""

import http.client
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench.contenders import Contender
from bench.processes import Running, StartError, read_cpu_s, start, stop
from bench.views.year import RARE_MODEL, YEAR_NS, fill

PORT = 9104
PROJECTS = 20
# Of the database with its indexes and sums, rounded up.
BYTES_PER_ROW = 700
LIMIT_MS = 200
RUNS = 9
_PERSON = {"email": "bench@example.com", "password": "correct horse battery", "name": "Bench"}
# Where a view flows, until so much of it is there: the head of the CSV and a first row.
_FIRST_BYTES = 120
# Beside the database, once it is filled.
_NOTE = "views.json"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One view: what it is, where, and how long it took, in ms; the first time is that of a database nobody read."""

    name: str
    path: str
    times_ms: list[float]
    # Processor time of the gateway for one answer: what a machine that does nothing else would need.
    cpu_ms: float

    @property
    def is_quick(self) -> bool:
        """Whether every time is below the limit."""
        return max(self.times_ms) < LIMIT_MS


class Client:
    """A person who asks."""

    def __init__(self) -> None:
        self._headers = {"content-type": "application/json"}

    def sign_in(self, verb: str) -> None:
        """Register or log in."""
        answer = self.ask("POST", f"/api/v1/auth/{verb}", _PERSON)
        self._headers["authorization"] = f"Bearer {answer['access_token']}"

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask and read the answer; raises StartError where it is none."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
        try:
            connection.request(method, path, None if body is None else msgspec.json.encode(body), self._headers)
            reply = connection.getresponse()
            content = reply.read()
        finally:
            connection.close()
        if reply.status >= http.client.BAD_REQUEST:
            raise StartError(f"{method} {path} was answered {reply.status}: {content[:300]!r}")
        return msgspec.json.decode(content)

    def time_ms(self, path: str, *, flows: bool) -> float:
        """Tell how long an answer takes, or, where it flows, its beginning."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
        began = time.perf_counter()
        try:
            connection.request("GET", path, headers=self._headers)
            reply = connection.getresponse()
            content = reply.read(_FIRST_BYTES if flows else None)
            took = time.perf_counter() - began
        finally:
            connection.close()
        if reply.status != http.client.OK or not content:
            raise StartError(f"GET {path} was answered {reply.status}: {content[:300]!r}")
        return took * 1_000


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What a data directory was filled with."""

    rows: int
    projects: list[str]
    end_ns: int


def measure_views(rows: int, core: int, folder: Path, kept: Path | None) -> int:
    """Fill, ask and print; 0 where every view is quick, 1 where one is not. Raises StartError.

    ``kept`` is a data directory that stays, and is not filled again where it has that many rows.
    """
    with tempfile.TemporaryDirectory(prefix="watchllm-views-") as temporary:
        data_dir = kept or Path(temporary)
        data_dir.mkdir(parents=True, exist_ok=True)
        filled = _find_filled(data_dir, rows) or _fill(data_dir, rows, core, folder)
        client = Client()
        running = _start(data_dir, core, folder)
        try:
            client.sign_in("login")
            asked = [_ask(client, running, *view) for view in list_views(filled)]
        finally:
            stop(running.process)
    print(render(asked, rows))
    return 0 if all(each.is_quick for each in asked) else 1


def _find_filled(data_dir: Path, rows: int) -> Filled | None:
    note = data_dir / _NOTE
    if not note.exists():
        return None
    filled = msgspec.json.decode(note.read_bytes(), type=Filled)
    if filled.rows != rows:
        raise StartError(f"{data_dir} holds {filled.rows:,} rows, not {rows:,}: name another folder, or --rows")
    return filled


def _fill(data_dir: Path, rows: int, core: int, folder: Path) -> Filled:
    """Make a person with projects through the gateway itself, and then a year of calls past it."""
    free = shutil.disk_usage(data_dir).free
    if free < rows * BYTES_PER_ROW:
        raise StartError(f"{rows:,} rows take {rows * BYTES_PER_ROW >> 20:,} MiB, {free >> 20:,} are free: use --rows")
    client = Client()
    running = _start(data_dir, core, folder)
    try:
        client.sign_in("register")
        projects = [client.ask("POST", "/api/projects", {"name": f"p{n}"})["id"] for n in range(PROJECTS)]
    finally:
        stop(running.process)
    filled = Filled(rows=rows, projects=projects, end_ns=time.time_ns())
    began = time.perf_counter()
    fill(data_dir / "watchllm.db", projects, rows, filled.end_ns)
    size_mb = (data_dir / "watchllm.db").stat().st_size >> 20
    print(f"{rows:,} rows in {time.perf_counter() - began:.0f} s, {size_mb:,} MiB", file=sys.stderr)
    (data_dir / _NOTE).write_bytes(msgspec.json.encode(filled))
    return filled


def list_views(filled: Filled) -> list[tuple[str, str, bool]]:
    """List every view of usage: name, path, and whether its answer flows."""
    project_id, now_ns = filled.projects[0], filled.end_ns
    year, month, early = (_day(now_ns - share) for share in (YEAR_NS, YEAR_NS // 2, YEAR_NS * 11 // 12))
    usage = f"/api/projects/{project_id}/usage"
    oldest = f"{filled.rows // 50:026d}"
    return [
        *(
            (f"W23 overview, {period}", f"/api/dashboard/stats?period={period}", False)
            for period in ("7d", "30d", "all")
        ),
        ("W24 projects", "/api/projects", False),
        ("W26 a project", f"/api/projects/{project_id}", False),
        ("E11 this month", "/v1/usage", False),
        ("E11 a month half a year ago", f"/v1/usage?period={month[:7]}", False),
        ("W30 newest 100 of 30 days", usage, False),
        ("W30 newest 1,000 of a year", f"{usage}?from={year}&limit=1000", False),
        ("W30 a late page, 1,000 from 11 months ago", f"{usage}?from={year}&to={early}&limit=1000", False),
        ("W30 a frequent model, a year", f"{usage}?from={year}&model=gpt-4o&limit=1000", False),
        ("W30 a rare model, a year", f"{usage}?from={year}&model={RARE_MODEL}&limit=1000", False),
        ("W30 a rare model, a late page", f"{usage}?from={year}&to={early}&model={RARE_MODEL}", False),
        ("W30 an unknown model, a year", f"{usage}?from={year}&model=nobody", False),
        ("W31 export of a year, first row", f"{usage}/export?from={year}", True),
        ("W31 export of a rare model, first row", f"{usage}/export?from={year}&model={RARE_MODEL}", True),
        (
            "prompt caches, 90 days",
            f"/api/projects/{project_id}/prompt-cache?from={_day(now_ns - YEAR_NS * 90 // 365)}",
            False,
        ),
        ("one call of a year ago", f"/api/requests/{oldest}", False),
        *(
            (f"overview and the period before, {name}", f"/api/overview?range={name}", False)
            for name in ("1h", "24h", "30d", "1y")
        ),
        *(
            (f"top by {by}, a year", f"/api/overview/top?by={by}&range=1y", False)
            for by in ("model", "key", "tag", "project")
        ),
        ("forecast of the month", "/api/overview/forecast", False),
        ("another model, a year", "/api/simulation?model=gpt-4o-mini&range=1y", False),
        *(
            (f"log, {what}", f"/api/requests?{terms}", False)
            for what, terms in _list_log_terms(project_id, year, early)
        ),
        ("log as CSV, a year, first row", f"/api/requests/export?from={year}", True),
    ]


def _list_log_terms(project_id: str, year: str, early: str) -> list[tuple[str, str]]:
    """List what the log is asked for: the terms that narrow it much, little and not at all."""
    key_id = f"key_{project_id[5:]}_3"
    return [
        ("newest 50", "range=24h"),
        ("newest 500 of a year", "range=1y&limit=500"),
        ("a page of 11 months ago", f"from={year}&to={early}&limit=500"),
        ("one project, a year", f"range=1y&project_id={project_id}&limit=500"),
        ("one key, a year", f"range=1y&key_id={key_id}&limit=500"),
        ("a rare model, a year", f"range=1y&model={RARE_MODEL}&limit=500"),
        ("an unknown model, a year", "range=1y&model=nobody"),
        ("errors, a year", "range=1y&errors=true&limit=500"),
        ("from the cache by meaning, a year", "range=1y&cache=semantic&limit=500"),
        ("a tag, a year", "range=1y&tag=team-5&limit=500"),
        ("slower than ever, a year", "range=1y&min_latency_ms=100000"),
    ]


def render(asked: list[Asked], rows: int) -> str:
    """Write the table."""
    width = max(len(each.name) for each in asked)
    lines = [f"{'view, of ' + format(rows, ',') + ' calls':<{width}}  first ms  p50 ms  max ms  CPU ms"]
    for each in asked:
        note = "" if each.is_quick else f"  slower than {LIMIT_MS} ms"
        times = each.times_ms
        lines.append(
            f"{each.name:<{width}}  {times[0]:8.1f}  {median(times):6.1f}  {max(times):6.1f}  {each.cpu_ms:6.1f}{note}"
        )
    return "\n".join(lines)


def _start(data_dir: Path, core: int, folder: Path) -> Running:
    program = str(Path(sys.executable).with_name("watchllm"))
    command = (program, "serve", "--port", str(PORT), "--data-dir", str(data_dir))
    return start(Contender(name="views", port=PORT, command=command, ready_s=60), core, folder / "views.log")


def _ask(client: Client, running: Running, name: str, path: str, flows: bool) -> Asked:
    pid = running.process.pid if running.process is not None else 0
    before_s = read_cpu_s(pid)
    times_ms = [client.time_ms(path, flows=flows) for _ in range(RUNS)]
    return Asked(name=name, path=path, times_ms=times_ms, cpu_ms=(read_cpu_s(pid) - before_s) * 1_000 / RUNS)


def _day(moment_ns: int) -> str:
    return f"{datetime.fromtimestamp(moment_ns // 1_000_000_000, UTC):%Y-%m-%d}"
