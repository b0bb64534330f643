"""Proves that metrics equal the rows they are counted from, stay bounded, and are valid Prometheus text."""

import re
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.row import UsageRow
from gateway.telemetry import (
    COUNTED_TOGETHER,
    DURATION_BOUNDS_MS,
    MAX_SERIES,
    METRICS,
    OVERHEAD_BOUNDS_US,
    TOKEN_KINDS,
    CallRecord,
    Metrics,
    render,
)

ROW = UsageRow(
    request_id="r",
    created_ns=0,
    project_id="p",
    key_id="k",
    endpoint="chat/completions",
    model="m",
    provider="openai",
    status="complete",
    http_status=200,
)
# The format of https://prometheus.io/docs/instrumenting/exposition_formats/ (2026-11-21), stricter than Prometheus.
LABEL = r'[a-z_]+="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
SAMPLE = re.compile(rf"(?P<name>[a-z_]+)(?:\{{(?P<labels>{LABEL}(?:,{LABEL})*)\}})? (?P<value>\d+(?:\.\d+)?)")
PAIR = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

Series = dict[tuple[str, tuple[tuple[str, str], ...]], Decimal]


def parse(text: str) -> Series:
    """Read an exposition: every line must belong to the metric announced above it, and no series may come twice."""
    assert text.endswith("\n")
    samples: Series = {}
    family = kind = ""
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
        elif line.startswith("# TYPE "):
            _, _, named, kind = line.split(" ")
            assert named == family
        else:
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            assert match["name"] in {family + suffix for suffix in suffixes}
            key = (match["name"], tuple(PAIR.findall(match["labels"] or "")))
            assert key not in samples
            samples[key] = Decimal(match["value"])
    return samples


def scrape(metrics: Metrics) -> Series:
    return parse(render(metrics).decode())


def value(metrics: Metrics, name: str, **labels: str) -> Decimal:
    return scrape(metrics)[name, tuple(labels.items())]


def test_a_fresh_process_announces_every_metric() -> None:
    """A dashboard finds its metrics before the first call."""
    text = render(Metrics(version="1.0.0")).decode()
    parse(text)
    assert [line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")] == list(METRICS)


@pytest.mark.parametrize("name", ["watchllm_requests_in_flight", "watchllm_holds_open", "watchllm_ledger_pending_rows"])
def test_a_gauge_is_zero_at_rest(name: str) -> None:
    """interface.md: both gauges are 0 at rest."""
    assert value(Metrics(version="1"), name) == 0


def test_gauges_show_what_their_owners_say() -> None:
    """Fields are counted in place, sources are asked at the scrape."""
    metrics = Metrics(version="1", gauges={"watchllm_ledger_pending_rows": lambda: 7})
    metrics.requests_in_flight += 2
    metrics.holds_open += 1
    metrics.breaker_open["openai"] = 1
    samples = scrape(metrics)
    assert samples["watchllm_ledger_pending_rows", ()] == 7
    assert samples["watchllm_requests_in_flight", ()] == 2
    assert samples["watchllm_holds_open", ()] == 1
    assert samples["watchllm_breaker_open", (("provider", "openai"),)] == 1


def test_cost_is_exact_to_the_picodollar() -> None:
    """A float would have lost the last digit."""
    metrics = Metrics(version="1")
    metrics.observe_call(msgspec.structs.replace(ROW, cost_pusd=123_456_789_012_345_678_901))
    assert value(metrics, "watchllm_cost_usd_total", provider="openai") == Decimal("123456789.012345678901")


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_every_bucket_of_tokens_is_counted(kind: str) -> None:
    """None of the nine disjoint buckets is forgotten, and none leaks into another."""
    metrics = Metrics(version="1")
    metrics.observe_call(msgspec.structs.replace(ROW, **{TOKEN_KINDS[kind]: 5}))
    counted = {other: value(metrics, "watchllm_tokens_total", provider="openai", kind=other) for other in TOKEN_KINDS}
    assert counted == {other: 5 if other == kind else 0 for other in TOKEN_KINDS}


@pytest.mark.parametrize(
    ("latency_ms", "bound"), [(0, "0.05"), (50, "0.05"), (51, "0.1"), (300_000, "300"), (300_001, "+Inf")]
)
def test_a_bucket_includes_its_bound(latency_ms: int, bound: str) -> None:
    """Prometheus' le means less than or equal."""
    metrics = Metrics(version="1")
    metrics.observe_call(msgspec.structs.replace(ROW, latency_ms=latency_ms))
    buckets = {
        dict(labels)["le"]: count
        for (name, labels), count in scrape(metrics).items()
        if name == "watchllm_request_duration_seconds_bucket"
    }
    assert next(le for le, count in buckets.items() if count) == bound
    assert buckets["+Inf"] == 1


def test_series_are_bounded() -> None:
    """A thousand invented names do not make a thousand series."""
    metrics = Metrics(version="1")
    for n in range(1_000):
        metrics.observe_call(msgspec.structs.replace(ROW, provider=f"p{n}"))
        metrics.observe_attempt(f"p{n}", "ok")
    samples = scrape(metrics)
    for name in ("watchllm_requests_total", "watchllm_upstream_attempts_total"):
        counts = [count for (found, _), count in samples.items() if found == name]
        assert len(counts) == MAX_SERIES + 1
        assert sum(counts) == 1_000


def test_a_label_cannot_break_its_line() -> None:
    """Quotes, backslashes and newlines in a name are escaped."""
    metrics = Metrics(version='1"\\\n')
    metrics.observe_call(msgspec.structs.replace(ROW, provider='a"}\n# TYPE x counter\\'))
    scrape(metrics)


ROWS = st.builds(
    lambda **changes: msgspec.structs.replace(ROW, **changes),
    endpoint=st.sampled_from(["chat/completions", "completions", "embeddings"]),
    provider=st.sampled_from(["openai", "anthropic", ""]),
    http_status=st.sampled_from([200, 400, 502]),
    latency_ms=st.integers(0, 10**6),
    overhead_us=st.integers(0, 10**7),
    cost_pusd=st.integers(0, 10**15),
    **{field: st.integers(0, 10**6) for field in TOKEN_KINDS.values()},
)


@settings(max_examples=30)
@given(st.lists(ROWS, max_size=30))
def test_the_sums_are_the_rows(rows: list[UsageRow]) -> None:
    """For any calls: counts, costs, tokens and times are those of the rows, and each histogram adds up."""
    metrics = Metrics(version="1")
    for row in rows:
        metrics.observe_call(row)
    sums: dict[str, Decimal] = {}
    for (name, labels), count in scrape(metrics).items():
        if dict(labels).get("le", "+Inf") == "+Inf":
            sums[name] = sums.get(name, Decimal()) + count
    assert sums.get("watchllm_requests_total", 0) == len(rows)
    assert sums.get("watchllm_cost_usd_total", Decimal()) * 10**12 == sum(row.cost_pusd for row in rows)
    assert sums.get("watchllm_tokens_total", 0) == sum(row.total_tokens for row in rows)
    assert sums.get("watchllm_request_duration_seconds_sum", Decimal()) * 1_000 == sum(row.latency_ms for row in rows)
    assert sums.get("watchllm_overhead_seconds_sum", Decimal()) * 10**6 == sum(row.overhead_us for row in rows)
    for histogram in ("watchllm_request_duration_seconds", "watchllm_overhead_seconds"):
        assert sums.get(f"{histogram}_bucket") == sums.get(f"{histogram}_count")


@pytest.mark.parametrize("count", [0, 1, COUNTED_TOGETHER - 1, COUNTED_TOGETHER, 3 * COUNTED_TOGETHER + 1])
def test_whoever_looks_sees_every_call_once(count: int) -> None:
    """They are added up some together, and whoever asks has the rest added before."""
    metrics, heard = Metrics(version="1"), list[CallRecord]()
    metrics.on_call = heard.append
    for _ in range(count):
        metrics.observe_call(ROW)
        assert len(metrics._finished) < COUNTED_TOGETHER
    for _ in range(2):
        assert sum(series.calls for series in metrics.calls.values()) == count == len(heard)


def test_a_usage_row_is_a_call_record() -> None:
    """The registry and the ledger count the same thing."""
    record: CallRecord = ROW
    assert record.provider == "openai"


def test_bounds_ascend() -> None:
    """bisect needs them sorted."""
    assert list(DURATION_BOUNDS_MS) == sorted(set(DURATION_BOUNDS_MS))
    assert list(OVERHEAD_BOUNDS_US) == sorted(set(OVERHEAD_BOUNDS_US))
