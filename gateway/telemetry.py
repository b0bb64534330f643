"""The metric table, the registry that counts on the hot path, and the Prometheus text made from both.

Failure behavior: a label value beyond the cap of series is counted under "other", so a client that invents names
cannot grow the process; a gauge whose source raises makes the scrape fail, not the call.
"""

import platform
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import accumulate
from operator import attrgetter
from typing import Any, Literal, Protocol

import msgspec

PUSD_PER_USD = 10**12
_MS_PER_S = 1_000
_US_PER_S = 1_000_000
# Series of one metric; what comes later is "other".
MAX_SERIES = 200
OTHER = "other"

# Upper bounds, inclusive. Calls of models take seconds, the gateway's own share tens of microseconds.
DURATION_BOUNDS_MS = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000)
OVERHEAD_BOUNDS_US = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000)


class Metric(msgspec.Struct, frozen=True):
    """A row of METRICS; its name is a promise."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    # What several workers together are: most gauges add up, what each of them knows of all does not.
    of_all: Literal["sum", "min", "max"] = "sum"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "watchllm_requests_total", "counter", "Calls by the status answered.", ("endpoint", "provider", "status")
        ),
        Metric("watchllm_tokens_total", "counter", "Tokens of all calls, in disjoint buckets.", ("provider", "kind")),
        Metric("watchllm_cost_usd_total", "counter", "Cost of all calls in USD, exact.", ("provider",)),
        Metric(
            "watchllm_upstream_attempts_total",
            "counter",
            "Tries at providers: ok, or the code of what went wrong.",
            ("provider", "outcome"),
        ),
        Metric(
            "watchllm_breaker_open", "gauge", "Targets of the provider that are spared right now.", ("provider",), "max"
        ),
        Metric(
            "watchllm_request_duration_seconds",
            "histogram",
            "From a request's first byte to its answer's last.",
            ("endpoint", "provider"),
        ),
        Metric("watchllm_overhead_seconds", "histogram", "The gateway's own share of a call.", ("endpoint",)),
        Metric("watchllm_requests_in_flight", "gauge", "Calls being answered."),
        Metric("watchllm_holds_open", "gauge", "Reservations of budgets that are not settled."),
        Metric("watchllm_ledger_pending_rows", "gauge", "Rows in the journal that the database does not have yet."),
        Metric("watchllm_cache_entries", "gauge", "Answers kept, in each worker."),
        Metric("watchllm_cache_indexed", "gauge", "Stored questions that the semantic layer finds.", of_all="min"),
        Metric(
            "watchllm_cache_index_ready",
            "gauge",
            "1: all that is stored can be found; 0: it is being loaded.",
            of_all="min",
        ),
        Metric("watchllm_cache_fallbacks_total", "counter", "Times that a project fell back to the shadow by itself."),
        Metric(
            "watchllm_cache_audits_total",
            "counter",
            "Calls made to check answers of the semantic layer, the judge's included.",
        ),
        Metric(
            "watchllm_cache_verdicts_total",
            "counter",
            "What the judge of doubtful pairs of answers said; none: nothing that counts.",
            ("verdict",),
        ),
        Metric("watchllm_cache_unlearnt_total", "counter", "Fresh answers not learnt from: too many waited."),
        Metric("watchllm_prompts_dropped_total", "counter", "Calls whose prompt was to be kept and was not."),
        Metric("watchllm_spans_dropped_total", "counter", "Calls whose span the OTLP collector did not get."),
        Metric("watchllm_build_info", "gauge", "1, labelled with the versions.", ("version", "python")),
    )
}


class CallRecord(Protocol):
    """What metrics need of a finished call; the ledger's usage row has it, so both always tell the same."""

    @property
    def endpoint(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def http_status(self) -> int: ...
    @property
    def latency_ms(self) -> int: ...
    @property
    def overhead_us(self) -> int: ...
    @property
    def is_cached(self) -> bool: ...
    @property
    def cost_pusd(self) -> int: ...
    @property
    def input_tokens(self) -> int: ...
    @property
    def cache_read_tokens(self) -> int: ...
    @property
    def cache_write_tokens(self) -> int: ...
    @property
    def cache_write_1h_tokens(self) -> int: ...
    @property
    def audio_input_tokens(self) -> int: ...
    @property
    def image_input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def audio_output_tokens(self) -> int: ...
    @property
    def image_output_tokens(self) -> int: ...


# A value of the label "kind", and the record's field that it counts.
TOKEN_KINDS = {
    "input": "input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "audio_input": "audio_input_tokens",
    "image_input": "image_input_tokens",
    "output": "output_tokens",
    "audio_output": "audio_output_tokens",
    "image_output": "image_output_tokens",
}
# So many finished calls are added up at once.
COUNTED_TOGETHER = 64
# Nearly always zero: looked at one by one only when one of them is not.
_RARE_KINDS = ("cache_write_1h", "audio_input", "image_input", "audio_output", "image_output")
_read_rare = attrgetter(*(TOKEN_KINDS[kind] for kind in _RARE_KINDS))


class Series:
    """The sums of one (endpoint, provider, status); everything rendered is added up from these."""

    __slots__ = (
        "cache_read", "cache_write", "calls", "cost_pusd", "duration_ms", "durations", "input", "output", "overhead_us",
        "overheads", "rare",
    )  # fmt: skip

    def __init__(self) -> None:
        self.calls = 0
        self.cost_pusd = 0
        self.duration_ms = 0
        self.overhead_us = 0
        self.input = 0
        self.cache_read = 0
        self.cache_write = 0
        self.output = 0
        self.rare: dict[str, int] = dict.fromkeys(_RARE_KINDS, 0)
        self.durations = [0] * (len(DURATION_BOUNDS_MS) + 1)
        self.overheads = [0] * (len(OVERHEAD_BOUNDS_US) + 1)

    def count_of(self, kind: str) -> int:
        """Tokens of one of TOKEN_KINDS."""
        return self.rare[kind] if kind in self.rare else int(getattr(self, kind))


class Metrics:
    """The process's counters as plain integers: one writer, the event loop, so there is no lock.

    ``requests_in_flight``, ``holds_open``, ``breaker_open`` and ``verdicts`` are changed in place by their owners.
    ``gauges`` maps names of gauges without labels to functions that are asked at every scrape; ``base`` is what a
    worker before this one had counted of those that are counters. ``gather`` adds up all workers; None: there is one
    process.
    """

    def __init__(self, *, version: str, gauges: Mapping[str, Callable[[], int]] | None = None) -> None:
        self.requests_in_flight = 0
        self.holds_open = 0
        self.breaker_open: dict[str, int] = {}
        self.version = version
        self.gauges = dict(gauges or {})
        self.base: dict[str, int] = {}
        self.gather: Callable[[], Awaitable[Metrics]] | None = None
        # Hears of every finished call, which is a usage row; None: nobody does.
        self.on_call: Callable[[Any], None] | None = None
        self._series: dict[tuple[str, str, int], Series] = {}
        # Finished calls that are in no sum yet.
        self._finished: list[CallRecord] = []
        self.attempts: dict[tuple[str, str], int] = {}
        self.verdicts = {"same": 0, "different": 0, "none": 0}

    @property
    def calls(self) -> dict[tuple[str, str, int], Series]:
        """The sums of all finished calls by endpoint, provider and status."""
        self._count()
        return self._series

    def observe_call(self, record: CallRecord) -> None:
        """Count a finished call."""
        if self.on_call is not None:
            self.on_call(record)
        finished = self._finished
        finished.append(record)
        if len(finished) >= COUNTED_TOGETHER:
            self._count()

    def _count(self) -> None:
        """Add up what has finished: some together take a third of the time that they would one by one."""
        finished, self._finished = self._finished, []
        for record in finished:
            key = (record.endpoint, record.provider, record.http_status)
            series = self._series.get(key) or self._open_series(key)
            latency_ms, overhead_us = record.latency_ms, record.overhead_us
            series.calls += 1
            series.cost_pusd += record.cost_pusd
            series.duration_ms += latency_ms
            series.overhead_us += overhead_us
            series.durations[bisect_left(DURATION_BOUNDS_MS, latency_ms)] += 1
            series.overheads[bisect_left(OVERHEAD_BOUNDS_US, overhead_us)] += 1
            if record.is_cached:
                # Nothing was used.
                continue
            series.input += record.input_tokens
            series.cache_read += record.cache_read_tokens
            series.cache_write += record.cache_write_tokens
            series.output += record.output_tokens
            rare = _read_rare(record)
            if any(rare):
                for kind, count in zip(_RARE_KINDS, rare, strict=True):
                    series.rare[kind] += count

    def observe_attempt(self, provider: str, outcome: str) -> None:
        """Count a try at a provider; ``outcome`` is "ok" or an error code."""
        key = (provider, outcome)
        attempts = self.attempts
        try:
            attempts[key] += 1
        except KeyError:
            if len(attempts) >= MAX_SERIES:
                key = (OTHER, OTHER)
            attempts[key] = attempts.get(key, 0) + 1

    def _open_series(self, key: tuple[str, str, int]) -> Series:
        if len(self._series) >= MAX_SERIES:
            key = (OTHER, OTHER, 0)
        return self._series.setdefault(key, Series())


class Sample(msgspec.Struct, frozen=True):
    """One line of the exposition: a value, already written, under a metric's name and suffix."""

    labels: tuple[str, ...]
    value: str
    suffix: str = ""
    # A histogram's bound, which comes after the metric's own labels; empty: none.
    le: str = ""


def render(metrics: Metrics) -> bytes:
    """Write every metric in Prometheus' text format 0.0.4.

    Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (read 2026-11-21).
    """
    lines: list[str] = []
    for metric in METRICS.values():
        lines += (f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}")
        lines += (_line(metric, sample) for sample in samples_of(metric, metrics))
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _line(metric: Metric, sample: Sample) -> str:
    pairs = [*zip(metric.labels, sample.labels, strict=True), *([("le", sample.le)] if sample.le else [])]
    labels = ",".join(f'{name}="{_escape(value)}"' for name, value in pairs)
    return f"{metric.name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {sample.value}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def samples_of(metric: Metric, metrics: Metrics) -> Iterator[Sample]:
    """The numbers of one metric, as Prometheus has them."""
    if metric.name in _SAMPLERS:
        return _SAMPLERS[metric.name](metrics)
    return iter((Sample((), str(read_single(metric.name, metrics))),))


def list_singles() -> list[Metric]:
    """The metrics without labels, of which there is one number each."""
    return [metric for metric in METRICS.values() if metric.name not in _SAMPLERS]


def read_single(name: str, metrics: Metrics) -> int:
    """Ask a gauge's source, else the registry's own field."""
    own = {"watchllm_requests_in_flight": metrics.requests_in_flight, "watchllm_holds_open": metrics.holds_open}
    value = metrics.gauges[name]() if name in metrics.gauges else own.get(name, 0)
    return value + metrics.base.get(name, 0)


def _requests(metrics: Metrics) -> Iterator[Sample]:
    for (endpoint, provider, status), series in metrics.calls.items():
        yield Sample((endpoint, provider, str(status)), str(series.calls))


def _tokens(metrics: Metrics) -> Iterator[Sample]:
    sums: dict[tuple[str, ...], int] = {}
    for (_, provider, _), series in metrics.calls.items():
        for kind in TOKEN_KINDS:
            sums[provider, kind] = sums.get((provider, kind), 0) + series.count_of(kind)
    return (Sample(labels, str(count)) for labels, count in sums.items())


def _cost(metrics: Metrics) -> Iterator[Sample]:
    sums: dict[str, int] = {}
    for (_, provider, _), series in metrics.calls.items():
        sums[provider] = sums.get(provider, 0) + series.cost_pusd
    return (Sample((provider,), _decimal(pusd, PUSD_PER_USD)) for provider, pusd in sums.items())


def _attempts(metrics: Metrics) -> Iterator[Sample]:
    return (Sample(labels, str(count)) for labels, count in metrics.attempts.items())


def _verdicts(metrics: Metrics) -> Iterator[Sample]:
    return (Sample((verdict,), str(count)) for verdict, count in metrics.verdicts.items())


def _breakers(metrics: Metrics) -> Iterator[Sample]:
    return (Sample((provider,), str(count)) for provider, count in metrics.breaker_open.items())


def _build(metrics: Metrics) -> Iterator[Sample]:
    yield Sample((metrics.version, platform.python_version()), "1")


def _durations(metrics: Metrics) -> Iterator[Sample]:
    sums: dict[tuple[str, ...], _Histogram] = {}
    for (endpoint, provider, _), series in metrics.calls.items():
        found = sums.setdefault((endpoint, provider), _Histogram(DURATION_BOUNDS_MS, _MS_PER_S))
        found.add(series.durations, series.duration_ms)
    return (sample for labels, histogram in sums.items() for sample in histogram.samples(labels))


def _overheads(metrics: Metrics) -> Iterator[Sample]:
    sums: dict[tuple[str, ...], _Histogram] = {}
    for (endpoint, _, _), series in metrics.calls.items():
        found = sums.setdefault((endpoint,), _Histogram(OVERHEAD_BOUNDS_US, _US_PER_S))
        found.add(series.overheads, series.overhead_us)
    return (sample for labels, histogram in sums.items() for sample in histogram.samples(labels))


class _Histogram:
    """Buckets of several series added up, in units of which ``per_s`` make a second."""

    def __init__(self, bounds: tuple[int, ...], per_s: int) -> None:
        self.bounds = bounds
        self.per_s = per_s
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0

    def add(self, counts: list[int], total: int) -> None:
        self.counts = [mine + more for mine, more in zip(self.counts, counts, strict=True)]
        self.total += total

    def samples(self, labels: tuple[str, ...]) -> Iterator[Sample]:
        bounds = [*(_decimal(bound, self.per_s) for bound in self.bounds), "+Inf"]
        for bound, count in zip(bounds, accumulate(self.counts), strict=True):
            yield Sample(labels, str(count), "_bucket", bound)
        yield Sample(labels, _decimal(self.total, self.per_s), "_sum")
        yield Sample(labels, str(sum(self.counts)), "_count")


def _decimal(amount: int, per_unit: int) -> str:
    """Write an integer amount in units of ``per_unit``, a power of ten, without rounding."""
    whole, rest = divmod(amount, per_unit)
    digits = str(per_unit + rest)[1:].rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


_SAMPLERS: dict[str, Callable[[Metrics], Iterator[Sample]]] = {
    "watchllm_requests_total": _requests,
    "watchllm_tokens_total": _tokens,
    "watchllm_cost_usd_total": _cost,
    "watchllm_upstream_attempts_total": _attempts,
    "watchllm_breaker_open": _breakers,
    "watchllm_cache_verdicts_total": _verdicts,
    "watchllm_request_duration_seconds": _durations,
    "watchllm_overhead_seconds": _overheads,
    "watchllm_build_info": _build,
}
