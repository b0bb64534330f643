"""Spans and metrics as OTLP's JSON says them. Pure: rows and numbers in, bytes out; nothing of what was asked is there.

Sources: https://opentelemetry.io/docs/specs/otlp/ and https://opentelemetry.io/docs/specs/semconv/gen-ai/ (2026-11-26).
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.ids import to_uuid
from gateway.ledger.row import UsageRow
from gateway.telemetry import METRICS, Metric, Metrics, Sample, samples_of
from providers.pricing.prices import format_usd

SCOPE = "gateway"
KIND_CLIENT, STATUS_ERROR, CUMULATIVE = 3, 2, 2
NS_PER_MS = 1_000_000
OPERATIONS = {"chat/completions": "chat", "completions": "text_completion", "embeddings": "embeddings"}
COMPLETE = "complete"
Json = dict[str, Any]


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """Who tells: one process, or one worker and those that take its place."""

    version: str
    instance_id: str
    # Since when its counters count.
    started_ns: int

    def written(self) -> Json:
        """As OTLP has it."""
        named = {"service.name": "watchllm", "service.version": self.version, "service.instance.id": self.instance_id}
        return {"attributes": _attributes(named)}


def encode_spans(rows: Iterable[UsageRow], resource: Resource) -> bytes:
    """One span for each call."""
    spans = [_span(row) for row in rows]
    scope: Json = {"scope": {"name": SCOPE, "version": resource.version}, "spans": spans}
    return msgspec.json.encode({"resourceSpans": [{"resource": resource.written(), "scopeSpans": [scope]}]})


def encode_metrics(metrics: Metrics, resource: Resource, now_ns: int) -> bytes:
    """Every metric that has a number, cumulative."""
    times = {"startTimeUnixNano": str(resource.started_ns), "timeUnixNano": str(now_ns)}
    told = [_metric(metric, list(samples_of(metric, metrics)), times) for metric in METRICS.values()]
    scope: Json = {"scope": {"name": SCOPE, "version": resource.version}, "metrics": [each for each in told if each]}
    return msgspec.json.encode({"resourceMetrics": [{"resource": resource.written(), "scopeMetrics": [scope]}]})


def _span(row: UsageRow) -> Json:
    operation = OPERATIONS.get(row.endpoint, row.endpoint)
    told: Json = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": row.provider or None,
        "gen_ai.request.model": row.model,
        "gen_ai.response.model": row.upstream_model or None,
        "gen_ai.usage.input_tokens": row.total_tokens - _produced(row),
        "gen_ai.usage.output_tokens": _produced(row),
        "error.type": row.error_code or None,
        "http.response.status_code": row.http_status,
        "watchllm.request_id": row.request_id,
        "watchllm.project_id": row.project_id,
        "watchllm.key_id": row.key_id,
        "watchllm.status": row.status,
        "watchllm.stream": row.is_stream,
        "watchllm.cached": row.is_cached,
        "watchllm.attempts": row.attempts,
        # Exact, which no floating number would be.
        "watchllm.cost_usd": format_usd(row.cost_pusd),
    }
    trace_id = to_uuid(row.request_id).replace("-", "")
    return {
        "traceId": trace_id,
        "spanId": hashlib.sha256(trace_id.encode()).hexdigest()[:16],
        "name": f"{operation} {row.model}",
        "kind": KIND_CLIENT,
        "startTimeUnixNano": str(row.created_ns),
        "endTimeUnixNano": str(row.created_ns + row.latency_ms * NS_PER_MS),
        "attributes": _attributes(told),
        "status": {} if row.status == COMPLETE else {"code": STATUS_ERROR},
    }


def _produced(row: UsageRow) -> int:
    return row.output_tokens + row.audio_output_tokens + row.image_output_tokens


def _attributes(named: Json) -> list[Json]:
    return [{"key": key, "value": _value(value)} for key, value in named.items() if value is not None]


def _value(value: bool | int | str) -> Json:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def _metric(metric: Metric, samples: list[Sample], times: Json) -> Json | None:
    if not samples:
        return None
    told: Json = {"name": metric.name, "description": metric.help}
    if metric.kind == "histogram":
        told["histogram"] = {"aggregationTemporality": CUMULATIVE, "dataPoints": _histograms(metric, samples, times)}
        return told
    points = [{**_labelled(metric, each.labels), **times, "asDouble": float(each.value)} for each in samples]
    if metric.kind == "counter":
        told["sum"] = {"aggregationTemporality": CUMULATIVE, "isMonotonic": True, "dataPoints": points}
    else:
        told["gauge"] = {"dataPoints": points}
    return told


def _labelled(metric: Metric, labels: tuple[str, ...]) -> Json:
    return {"attributes": _attributes(dict(zip(metric.labels, labels, strict=True)))}


def _histograms(metric: Metric, samples: list[Sample], times: Json) -> list[Json]:
    """A point for each set of labels: Prometheus' buckets count all up to their bound, OTLP's those between two."""
    points: dict[tuple[str, ...], Json] = {}
    counted: dict[tuple[str, ...], int] = {}
    for each in samples:
        point = points.setdefault(
            each.labels, {**_labelled(metric, each.labels), **times, "explicitBounds": [], "bucketCounts": []}
        )
        if each.suffix == "_bucket":
            point["bucketCounts"].append(str(int(each.value) - counted.get(each.labels, 0)))
            counted[each.labels] = int(each.value)
            if each.le != "+Inf":
                point["explicitBounds"].append(float(each.le))
        elif each.suffix == "_sum":
            point["sum"] = float(each.value)
        else:
            point["count"] = each.value
    return list(points.values())
