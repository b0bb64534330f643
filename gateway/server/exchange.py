"""What lets a scrape of any worker tell of all: each keeps its numbers in a file and gives them over a Unix socket.

Both lie in a folder of the run that nobody else may enter. Whatever a worker tells it has written before, and the one
that replaces it begins with what the file says: so no sum over all workers ever goes back, whoever answers a scrape. A
call pays nothing for it; what a killed worker counted since the last writing is in no scrape (the ledger has it).

Failure behavior: a worker that does not answer in time is told by its file, one that has ended too, without gauges. A
file that cannot be written or read, and a socket that cannot be made, are logged, and the scrape goes on without it.
Where no temporary folder can be made, each worker tells of itself alone.
"""

import asyncio
import logging
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from gateway.telemetry import METRICS, Metrics, Series, list_singles, read_single

ASK_TIMEOUT_S = 0.5
MAX_DUMP_BYTES = 4 << 20
SAVE_INTERVAL_S = 5.0
# Of a Series, besides what it has lists of.
NUMBERS = ("calls", "cost_pusd", "duration_ms", "overhead_us", "input", "cache_read", "cache_write", "output")
_OF_ALL: dict[str, Callable[[int, int], int]] = {"sum": int.__add__, "min": min, "max": max}
_log = logging.getLogger(__name__)


class DumpedSeries(msgspec.Struct, frozen=True, array_like=True):
    """The sums of one (endpoint, provider, status)."""

    endpoint: str
    provider: str
    status: int
    numbers: list[int]
    rare: dict[str, int]
    durations: list[int]
    overheads: list[int]


class Dump(msgspec.Struct, frozen=True, kw_only=True):
    """All numbers of a worker. JSON, since a sum of picodollars may need more than 64 bits."""

    series: list[DumpedSeries]
    attempts: list[tuple[str, str, int]]
    verdicts: dict[str, int] = {}
    breaker_open: dict[str, int]
    singles: dict[str, int]


_DUMP = msgspec.json.Decoder(Dump)


def dump(metrics: Metrics) -> bytes:
    """Write all numbers."""
    series = [
        DumpedSeries(*key, [getattr(sums, name) for name in NUMBERS], sums.rare, sums.durations, sums.overheads)
        for key, sums in metrics.calls.items()
    ]
    made = Dump(
        series=series,
        attempts=[(*key, count) for key, count in metrics.attempts.items()],
        verdicts=metrics.verdicts,
        breaker_open=metrics.breaker_open,
        singles={metric.name: read_single(metric.name, metrics) for metric in list_singles()},
    )
    return msgspec.json.encode(made)


def resume(metrics: Metrics, before: Dump) -> None:
    """Go on counting where another ended; what is no counter begins anew."""
    _add_counts(metrics, before)
    metrics.base = {name: value for name, value in before.singles.items() if _is_counter(name)}


def merge(version: str, dumps: list[tuple[Dump, bool]]) -> Metrics:
    """Add up workers; those that have ended (False) have counters, and no gauges."""
    merged, singles = Metrics(version=version), dict[str, int]()
    for each, is_alive in dumps:
        _add_counts(merged, each)
        for name, value in each.singles.items():
            if is_alive or _is_counter(name):
                add = _OF_ALL[METRICS[name].of_all]
                singles[name] = add(singles[name], value) if name in singles else value
        for provider, count in each.breaker_open.items() if is_alive else ():
            merged.breaker_open[provider] = max(count, merged.breaker_open.get(provider, 0))
    merged.gauges = {name: partial(int, value) for name, value in singles.items()}
    return merged


def _is_counter(name: str) -> bool:
    return METRICS[name].kind == "counter"


def _add_counts(metrics: Metrics, more: Dump) -> None:
    for each in more.series:
        sums = metrics.calls.setdefault((each.endpoint, each.provider, each.status), Series())
        for name, value in zip(NUMBERS, each.numbers, strict=True):
            setattr(sums, name, getattr(sums, name) + value)
        for kind, value in each.rare.items():
            sums.rare[kind] += value
        sums.durations = [mine + its for mine, its in zip(sums.durations, each.durations, strict=True)]
        sums.overheads = [mine + its for mine, its in zip(sums.overheads, each.overheads, strict=True)]
    for verdict, count in more.verdicts.items():
        metrics.verdicts[verdict] = metrics.verdicts.get(verdict, 0) + count
    for provider, outcome, count in more.attempts:
        metrics.attempts[provider, outcome] = metrics.attempts.get((provider, outcome), 0) + count


@contextmanager
def open_run_folder() -> Generator[Path | None]:
    """Make the folder of a run, for this user alone, and remove it; None: there is no place for one.

    Workers end without any clean-up of the parent's, so they leave it to the parent.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="watchllm-", ignore_cleanup_errors=True)
    except OSError as error:
        _log.warning("each worker shows its own metrics alone, there is no place for temporary files: %s", error)
        yield None
        return
    with folder as path:
        yield Path(path)


class MetricsExchange:
    """One worker's part: ``number`` is its own of ``count``, the folder that of all; without one it does nothing.

    ``identity`` names what counts on when a worker is replaced, and since when it does; None: nothing.
    """

    def __init__(self, folder: Path | None, number: int, count: int, started_ns: int = 0) -> None:
        self._folder = folder
        self.identity = None if folder is None else (f"{folder.name}/{number}", started_ns)
        self._number = number
        self._others = [other for other in range(count) if other != number]
        self._metrics: Metrics | None = None
        self._server: asyncio.AbstractServer | None = None
        self._saved_s = 0.0
        self._is_failing = False

    async def join(self, metrics: Metrics) -> None:
        """Go on with what this worker's predecessor counted, and answer the others until ``leave``."""
        if self._folder is None:
            return
        before = self._read_file(self._number)
        if before is not None:
            resume(metrics, before)
        self._metrics = metrics
        metrics.gather = self.gather
        path = self._socket(self._number)
        try:
            path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._answer, path)
        except OSError as error:
            # Such as a path that is too long for a socket's name.
            _log.warning("worker %d gives its metrics by its file alone: %s", self._number, error)

    async def leave(self) -> None:
        """Write what there is, and answer no more."""
        if self._metrics is not None:
            self.save()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def save_if_due(self, now_s: float) -> None:
        """Write the numbers now and then, so that little is lost with a worker that is killed."""
        if self._metrics is not None and now_s - self._saved_s >= SAVE_INTERVAL_S:
            self._saved_s = now_s
            self.save()

    def save(self) -> bytes:
        """Write the numbers, and give what was written."""
        assert self._metrics is not None, "it has joined"  # noqa: S101 - for the type checkers
        written = dump(self._metrics)
        fresh = self._file(self._number).with_suffix(".fresh")
        try:
            fresh.write_bytes(written)
            fresh.replace(self._file(self._number))
        except OSError as error:
            if not self._is_failing:
                _log.warning("the metrics of worker %d cannot be written: %s", self._number, error.strerror)
            self._is_failing = True
        else:
            self._is_failing = False
        return written

    async def gather(self) -> Metrics:
        """Add up all workers as they are now."""
        own = _DUMP.decode(self.save())
        told = await asyncio.gather(*map(self._ask, self._others))
        assert self._metrics is not None, "it has joined"  # noqa: S101 - for the type checkers
        return merge(self._metrics.version, [(own, True), *(each for each in told if each is not None)])

    async def _ask(self, other: int) -> tuple[Dump, bool] | None:
        """Another worker's numbers, and whether it lives; None: there never was one."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(self._socket(other), limit=MAX_DUMP_BYTES)
                try:
                    return _DUMP.decode(await reader.read(-1)), True
                finally:
                    writer.close()
        except (ConnectionRefusedError, FileNotFoundError):
            is_alive = False
        except (TimeoutError, OSError, msgspec.MsgspecError):
            is_alive = True
        written = self._read_file(other)
        return None if written is None else (written, is_alive)

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(self.save())
            async with asyncio.timeout(ASK_TIMEOUT_S):
                await writer.drain()
        except (TimeoutError, OSError) as error:
            _log.debug("another worker does not take the metrics: %s", error)
        finally:
            writer.close()

    def _read_file(self, number: int) -> Dump | None:
        try:
            return _DUMP.decode(self._file(number).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("the metrics of worker %d cannot be read: %s", number, error)
            return None

    def _file(self, number: int) -> Path:
        return self._place(f"{number}.json")

    def _socket(self, number: int) -> Path:
        return self._place(f"{number}.sock")

    def _place(self, name: str) -> Path:
        assert self._folder is not None, "it has joined"  # noqa: S101 - for the type checkers
        return self._folder / name
