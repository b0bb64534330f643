"""Starts the processes of a benchmark on their cores and tells what they use, from /proc (Linux only)."""

import http.client
import os
import signal
import subprocess
import time
from pathlib import Path

import msgspec

from bench.contenders import KEY_LINE, Contender

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
POLL_S = 0.005
STOP_S = 5.0


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A contender that answers: its process, what its start took, and the headers with its key put in."""

    contender: Contender
    process: subprocess.Popen[bytes] | None
    headers: tuple[str, ...]
    start_s: float = 0
    idle_mb: float = 0


class StartError(Exception):
    """A process did not get ready; the message has the end of its output."""


def spawn(command: tuple[str, ...], core: int, log: Path) -> subprocess.Popen[bytes]:
    """Start a command on one core, in a process group of its own."""
    with log.open("wb") as output:
        return subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # The key of a first start is read from the log while the process runs.
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def start(contender: Contender, core: int, log: Path) -> Running:
    """Start a contender and wait until it answers; raises StartError."""
    if not contender.command:
        return Running(contender=contender, process=None, headers=contender.headers)
    began = time.perf_counter()
    process = spawn(contender.command, core, log)
    while not answers(contender):
        if process.poll() is not None or time.perf_counter() - began > contender.ready_s:
            stop(process)
            raise StartError(f"{contender.name} did not get ready; its last words:\n{log.read_text()[-2000:]}")
        time.sleep(POLL_S)
    start_s = time.perf_counter() - began
    key = KEY_LINE.search(log.read_text())
    time.sleep(1)
    return Running(
        contender=contender,
        process=process,
        headers=tuple(header.replace("{key}", key[1] if key else "") for header in contender.headers),
        start_s=start_s,
        idle_mb=read_memory_mb(process.pid),
    )


def answers(contender: Contender) -> bool:
    """Tell whether anything speaks HTTP there: any status will do."""
    connection = http.client.HTTPConnection("127.0.0.1", contender.port, timeout=1)
    try:
        connection.request("GET", contender.ready_path)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()


def stop(process: subprocess.Popen[bytes] | None) -> None:
    """End a process and all its children; None is none."""
    if process is None:
        return
    for number in (signal.SIGTERM, signal.SIGCONT):
        signal_tree(process, number)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        signal_tree(process, signal.SIGKILL)
        process.wait()


def signal_tree(process: subprocess.Popen[bytes] | None, number: signal.Signals) -> None:
    """Send a signal to a process group; a stopped contender takes no time from the one that is measured."""
    if process is None:
        return
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def list_tree(pid: int) -> list[int]:
    """List a process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := read_stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    tree = [pid]
    for each in tree:
        tree += children.get(each, [])
    return tree


def read_stat(pid: int) -> list[str]:
    """Read /proc/PID/stat behind the name: state, parent, …; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def read_cpu_s(pid: int) -> float:
    """Sum the processor time of a process and its descendants."""
    stats = [fields for each in list_tree(pid) if (fields := read_stat(each))]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / TICKS_PER_S


def read_memory_mb(pid: int) -> float:
    """Sum the memory of a process and its descendants, shared pages once (Pss), in MB."""
    total_kb = 0
    for each in list_tree(pid):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        total_kb += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kb / 1024


def read_busy_s() -> float:
    """Sum the busy time of all cores."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS_PER_S
