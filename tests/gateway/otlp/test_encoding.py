"""Spans and metrics are what OTLP and its conventions say, and tell nothing of what was asked."""

import json
from decimal import Decimal
from typing import Any

import pytest

from gateway.ids import to_uuid
from gateway.otlp.encoding import Resource, encode_metrics, encode_spans
from gateway.telemetry import DURATION_BOUNDS_MS, METRICS, Metrics
from tests.gateway.usage_rows import NOW_NS, make_row

RESOURCE = Resource(version="1.2.3", instance_id="run/0", started_ns=5)


def plain(attributes: list[Any]) -> dict[str, Any]:
    """Attributes by their names."""
    return {each["key"]: next(iter(each["value"].values())) for each in attributes}


def span_of(**fields: Any) -> Any:
    """The span of one call."""
    [resource] = json.loads(encode_spans([make_row(NOW_NS, **fields)], RESOURCE))["resourceSpans"]
    [scope] = resource["scopeSpans"]
    [span] = scope["spans"]
    return span


def told(metrics: Metrics) -> dict[str, Any]:
    """What is told of each metric."""
    [resource] = json.loads(encode_metrics(metrics, RESOURCE, NOW_NS))["resourceMetrics"]
    [scope] = resource["scopeMetrics"]
    return {each["name"]: each for each in scope["metrics"]}


def counted(*rows: Any) -> Metrics:
    """A registry that has seen these calls."""
    metrics = Metrics(version="1.2.3")
    for row in rows:
        metrics.observe_call(row)
    return metrics


def test_a_call_is_a_span() -> None:
    """Its names are those of the conventions; 64-bit numbers are texts, ids are hexadecimal."""
    row = make_row(NOW_NS, input_tokens=7, cache_read_tokens=3, output_tokens=5, latency_ms=20, cost_pusd=10**12 + 1)
    [resource] = json.loads(encode_spans([row], RESOURCE))["resourceSpans"]
    [span] = resource["scopeSpans"][0]["spans"]
    assert plain(resource["resource"]["attributes"]) == {
        "service.name": "watchllm",
        "service.version": "1.2.3",
        "service.instance.id": "run/0",
    }
    assert span["traceId"] == to_uuid(row.request_id).replace("-", "")
    assert (len(span["traceId"]), len(span["spanId"]), int(span["spanId"], 16) > 0) == (32, 16, True)
    assert (span["name"], span["kind"], span["status"]) == (f"chat {row.model}", 3, {})
    assert int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) == 20_000_000
    assert span["startTimeUnixNano"] == str(NOW_NS)
    assert plain(span["attributes"]) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": row.provider,
        "gen_ai.request.model": row.model,
        "gen_ai.response.model": row.upstream_model,
        "gen_ai.usage.input_tokens": "10",
        "gen_ai.usage.output_tokens": "5",
        "http.response.status_code": "200",
        "watchllm.request_id": row.request_id,
        "watchllm.project_id": row.project_id,
        "watchllm.key_id": row.key_id,
        "watchllm.status": "complete",
        "watchllm.stream": row.is_stream,
        "watchllm.cached": False,
        "watchllm.attempts": str(row.attempts),
        "watchllm.cost_usd": "1.000000000001",
    }


@pytest.mark.parametrize(("endpoint", "name"), [("completions", "text_completion"), ("embeddings", "embeddings")])
def test_every_endpoint_has_its_operation(endpoint: str, name: str) -> None:
    """As the conventions name it."""
    assert plain(span_of(endpoint=endpoint)["attributes"])["gen_ai.operation.name"] == name


def test_a_call_that_failed_is_an_error() -> None:
    """With its public code; who was not asked is not named."""
    span = span_of(status="failed", http_status=502, error_code="upstream_timeout", provider="", upstream_model="")
    named = plain(span["attributes"])
    assert (span["status"], named["error.type"]) == ({"code": 2}, "upstream_timeout")
    assert not {"gen_ai.provider.name", "gen_ai.response.model"} & named.keys()


def test_what_the_caller_wrote_is_not_told() -> None:
    """Tags and sessions are words of the caller's own."""
    assert "canary" not in json.dumps(span_of(tags="canary", session="canary"))


def test_every_metric_is_told_as_its_kind() -> None:
    """Counters add up for ever, gauges are as they are; each begins at the start."""
    metrics = counted(make_row(NOW_NS))
    metrics.observe_attempt("openai", "ok")
    metrics.breaker_open["openai"] = 1
    found = told(metrics)
    assert found.keys() == METRICS.keys()
    for name, metric in METRICS.items():
        assert found[name]["description"] == metric.help
        kind = {"counter": "sum", "gauge": "gauge", "histogram": "histogram"}[metric.kind]
        points = found[name][kind]["dataPoints"]
        assert all((each["startTimeUnixNano"], each["timeUnixNano"]) == ("5", str(NOW_NS)) for each in points)
        assert all(set(plain(each["attributes"])) == set(metric.labels) for each in points)
        if metric.kind == "counter":
            assert (found[name]["sum"]["aggregationTemporality"], found[name]["sum"]["isMonotonic"]) == (2, True)


def test_a_metric_without_a_number_is_left_out() -> None:
    """Nothing was called yet."""
    assert "watchllm_requests_total" not in told(Metrics(version="1"))


def test_a_histogram_counts_between_its_bounds() -> None:
    """One bucket more than bounds, which together are all calls; a point for each set of labels."""
    slow = make_row(NOW_NS, latency_ms=10**6)
    metrics = counted(
        make_row(NOW_NS, latency_ms=40), make_row(NOW_NS, latency_ms=60), slow, make_row(NOW_NS, provider="x")
    )
    points = told(metrics)["watchllm_request_duration_seconds"]["histogram"]["dataPoints"]
    by_provider = {plain(each["attributes"])["provider"]: each for each in points}
    point = by_provider["openai"]
    assert point["explicitBounds"] == [float(Decimal(bound) / 1_000) for bound in DURATION_BOUNDS_MS]
    buckets = list(map(int, point["bucketCounts"]))
    assert (len(buckets), buckets[0], buckets[1], buckets[-1]) == (len(DURATION_BOUNDS_MS) + 1, 1, 1, 1)
    assert (sum(buckets), point["count"], point["sum"]) == (3, "3", 1_000.1)
    assert by_provider["x"]["count"] == "1"
