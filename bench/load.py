"""The steps of the benchmark, and one measurement of one of them."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import msgspec

from bench.contenders import BENCH
from bench.processes import Running, read_busy_s, read_cpu_s, read_memory_mb, signal_tree

PAUSE_US = 5_000
SYSTEM = (
    "You are a precise assistant for a software team. Answer in at most five sentences, name the trade-offs, and never "
    "invent an interface. If the question is unclear, say what is missing. Prefer plain words over jargon."
)
QUESTION = (
    "We run a service that asks a language model about two hundred times a second, half of it streamed, with prompts "
    "of a thousand tokens. Which three numbers should we measure before and after we put a gateway in front of the "
    "provider, how long should each measurement run, and what would make you reject the gateway? Tell also what we "
    "should leave out of the comparison because it says more about the machine than about the gateway."
)


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What a step sends and what it counts."""

    title: str
    path: str
    body: dict[str, object]
    unit: str = "requests"
    # For {cache} in a contender's headers: an answer is kept each time and never given, or only given.
    cache: str = "write"


def _chat(**extra: object) -> dict[str, object]:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    return {"model": "gpt-4o-mini", "messages": messages, "temperature": 0.2, "max_tokens": 256, **extra}


_STREAM: dict[str, object] = {"stream": True, "stream_options": {"include_usage": True}}
KINDS: dict[str, Kind] = {
    "c": Kind(title="JSON", path="chat/completions", body=_chat()),
    "burst": Kind(title="SSE, whole stream at once", path="chat/completions", body=_chat(**_STREAM), unit="events"),
    "paced": Kind(
        title=f"SSE, an event every {PAUSE_US // 1000} ms",
        path="chat/completions",
        body=_chat(**_STREAM, seed=PAUSE_US),
        unit="events",
    ),
    "embed": Kind(
        title="embeddings, 100 × 1,536 floats",
        path="embeddings",
        body={"model": "text-embedding-3-small", "input": [f"text number {n}" for n in range(100)]},
    ),
    "hit": Kind(title="JSON from the exact cache", path="chat/completions", body=_chat(), cache="only"),
}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of load at one number of connections, such as c64."""

    name: str
    kind: Kind
    connections: int


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a whole benchmark: the core of the load, the length of one measurement, the upstream."""

    core: int
    seconds: float
    upstream_pid: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement. Times are microseconds; a stream's are those of its events' travel."""

    contender: str
    step: str
    round: int
    per_s: float
    p50_us: int
    p99_us: int
    errors: int
    cpu_us: float = 0
    memory_mb: float = 0
    first_p50_us: int = 0
    # Share of the machine that went to processes which do not belong to the benchmark.
    foreign_pct: float = 0


class _Requests(msgspec.Struct, frozen=True):
    seconds: float
    requests: int
    errors: int
    p50_us: int
    p99_us: int


class _Streams(msgspec.Struct, frozen=True):
    seconds: float
    streams: int
    events: int
    errors: int
    first_p50_us: int
    travel_p50_us: int
    travel_p99_us: int


def parse_step(name: str) -> Step:
    """Read a step's name: a kind and a number of connections; raises ValueError naming what there is."""
    match = re.fullmatch(r"([a-z]+)(\d+)", name)
    if not match or match[1] not in KINDS:
        raise ValueError(
            f"unknown step {name!r}: write one of {', '.join(KINDS)} and a number of connections, as in c64"
        )
    return Step(name=name, kind=KINDS[match[1]], connections=int(match[2]))


def measure(running: Running, step: Step, stand: Stand, *, round_number: int) -> Result:
    """Put one load on one contender."""
    signal_tree(running.process, signal.SIGCONT)
    pid = running.process.pid if running.process else None
    own_before, busy_before, cpu_before = _own_cpu_s(stand.upstream_pid), read_busy_s(), read_cpu_s(pid) if pid else 0.0
    began = time.perf_counter()
    send = _send_streams if step.kind.unit == "events" else _send_requests
    raw = send(running, step, stand)
    spent = time.perf_counter() - began
    used = read_cpu_s(pid) - cpu_before if pid else 0.0
    foreign = read_busy_s() - busy_before - used - (_own_cpu_s(stand.upstream_pid) - own_before)
    memory = read_memory_mb(pid) if pid else 0.0
    signal_tree(running.process, signal.SIGSTOP)
    units = raw.events if isinstance(raw, _Streams) else raw.requests
    return Result(
        contender=running.contender.name,
        step=step.name,
        round=round_number,
        per_s=units / raw.seconds,
        p50_us=raw.travel_p50_us if isinstance(raw, _Streams) else raw.p50_us,
        p99_us=raw.travel_p99_us if isinstance(raw, _Streams) else raw.p99_us,
        errors=raw.errors,
        cpu_us=used / units * 1e6 if units else 0,
        memory_mb=memory,
        first_p50_us=raw.first_p50_us if isinstance(raw, _Streams) else 0,
        foreign_pct=max(0.0, foreign / spent * 100),
    )


def _own_cpu_s(upstream_pid: int) -> float:
    """Processor time of the upstream, of this process and of the load generators that have ended."""
    return read_cpu_s(upstream_pid) + sum(os.times()[:4])


def _fill_headers(running: Running, step: Step) -> list[str]:
    return [header.replace("{cache}", step.kind.cache) for header in running.headers]


def _send_requests(running: Running, step: Step, stand: Stand) -> _Requests:
    body = _write(f"{step.name}.json", msgspec.json.encode(step.kind.body))
    command = [
        "taskset",
        "-c",
        str(stand.core),
        "wrk",
        "-t1",
        f"-c{step.connections}",
        f"-d{max(1, round(stand.seconds))}s",
    ]
    command += ["--timeout", "20s", "-s", str(BENCH / "request.lua"), f"http://127.0.0.1:{running.contender.port}"]
    environment = {
        "BODY": str(body),
        "PATH_": running.contender.prefix + step.kind.path,
        "HEADERS": "\n".join(_fill_headers(running, step)),
    }
    return msgspec.json.decode(_run(command, {**os.environ, **environment}, stand.seconds), type=_Requests)


def _send_streams(running: Running, step: Step, stand: Stand) -> _Streams:
    body = msgspec.json.encode(step.kind.body)
    head = [
        f"POST {running.contender.prefix}{step.kind.path} HTTP/1.1",
        f"Host: 127.0.0.1:{running.contender.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *_fill_headers(running, step),
    ]
    request = _write(f"{running.contender.name}-{step.name}.http", "\r\n".join([*head, "", ""]).encode() + body)
    port, connections = str(running.contender.port), str(step.connections)
    command = [
        "taskset",
        "-c",
        str(stand.core),
        str(BENCH / "build" / "streams"),
        port,
        connections,
        str(stand.seconds),
        str(request),
    ]
    return msgspec.json.decode(_run(command, dict(os.environ), stand.seconds), type=_Streams)


def _run(command: list[str], environment: dict[str, str], seconds: float) -> str:
    """Run a load generator; its last line is its result."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds + 30, check=True)
    return done.stdout.splitlines()[-1]


def _write(name: str, content: bytes) -> Path:
    path = BENCH / "build" / name
    path.write_bytes(content)
    return path
