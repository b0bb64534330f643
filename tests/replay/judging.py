"""Whether what a client heard, what the provider got and what the ledger kept is what a recording says."""

import json
from decimal import ROUND_CEILING, Decimal
from typing import Any

from recordings import body_of, digest
from replay.heard import FIGURES, Heard

from gateway.ledger.row import UsageRow
from providers.anthropic.reply import FINISH_REASONS

# Recordings that are no single answer, and what they are.
CONCATENATED = {
    "anthropic-messages-887c82718e60": "three answers in a row; the golden blends them",
    "anthropic-messages-be11e7440096": "fifteen answers in a row; the golden blends them",
}
SPLICED = {"anthropic-messages-2ac79bd2b512": "another message begins inside an open one: broken off, never glued"}
# What the gateway answers for a provider's status; others pass as they are.
SHOWN_STATUS = {401: 502, 402: 502, 403: 502}
INCLUDE_USAGE = {"stream_options": {"include_usage": True}}
Item = dict[str, Any]


def is_streamed(item: Item) -> bool:
    """Whether the answer is a stream, by what it is: some recordings have lost their content-type."""
    return not str(item["response"]["body"]).lstrip().startswith(("{", "["))


def request_of(item: Item, model: str) -> dict[str, Any]:
    """The request to send: the recorded one, or for another protocol's and a missing one a plain chat."""
    recorded = (item.get("request") or {}).get("body")
    if isinstance(recorded, dict) and item["provider"] != "anthropic":
        return recorded | {"model": model}
    stream = {"stream": True} | INCLUDE_USAGE if is_streamed(item) else {}
    said = {"input": "hi"} if item["endpoint"] == "embeddings" else {"messages": [{"role": "user", "content": "hi"}]}
    return {"model": model} | said | stream


def judge(item: Item, request: dict[str, Any], heard: Heard, rows: list[UsageRow]) -> list[str]:
    """Tell what is wrong with an answer and its row."""
    if len(rows) != 1:
        return [f"{len(rows)} rows"]
    if item["response"]["status"] != 200:
        return judge_refusal(item, heard, rows[0])
    if "error" in item["features"] or item["id"] in SPLICED:
        return judge_broken(heard, rows[0])
    if heard.status != 200:
        return [f"status {heard.status} {heard.body[:200]!r}"]
    wrong = (
        [] if item["id"] in CONCATENATED else judge_content(item, heard) + judge_usage(item, request, heard, rows[0])
    )
    wrong += judge_stream(item, request, heard) if is_streamed(item) else judge_whole(item, heard)
    if set(heard.figures) != set(FIGURES):
        wrong.append(f"figures {heard.figures}")
    if (rows[0].status, rows[0].http_status) != ("complete", 200):
        wrong.append(f"row {rows[0].status} {rows[0].http_status}")
    return wrong


def judge_refusal(item: Item, heard: Heard, row: UsageRow) -> list[str]:
    """The provider's own error passes, one about the gateway's account does not, and nothing is charged."""
    status = item["response"]["status"]
    shown = SHOWN_STATUS.get(status, status)
    recorded = json.loads(item["response"]["body"])["error"]
    wrong = []
    if (heard.status, row.http_status, row.status) != (shown, shown, "failed"):
        wrong.append(f"status {heard.status}, row {row.http_status} {row.status}")
    if heard.error is None or not {"message", "type", "param", "code", "details"} <= heard.error.keys():
        return [*wrong, f"envelope {heard.body[:200]!r}"]
    if status == shown and recorded["message"] not in heard.error["message"]:
        wrong.append(f"message {heard.error['message']!r}")
    if status in (400, 404, 422) and recorded.get("param") != heard.error["param"]:
        wrong.append(f"param {heard.error['param']!r}")
    if status >= 429 and heard.headers.get("x-should-retry") != "false":
        wrong.append("no x-should-retry")
    if row.cost_pusd or row.total_tokens:
        wrong.append(f"charged {row.cost_pusd} for {row.total_tokens}")
    return wrong


def judge_broken(heard: Heard, row: UsageRow) -> list[str]:
    """A stream that broke off ends with an error and without [DONE]."""
    wrong = [] if heard.error is not None and not heard.is_done else [f"ended {heard.error} done={heard.is_done}"]
    if row.status != "incomplete" or not row.error_code:
        wrong.append(f"row {row.status} {row.error_code}")
    if heard.strange or heard.without_choice:
        wrong.append(f"strange {heard.strange[:1]} without choice {heard.without_choice}")
    return wrong


def judge_content(item: Item, heard: Heard) -> list[str]:
    """Text, tool calls and finish of the first choice."""
    golden = item["golden"]
    wrong = []
    if digest(heard.text) != golden["text_sha256"]:
        wrong.append(f"text {heard.text[:40]!r}")
    expected = [(call["name"], arguments_of(call["args"])) for call in golden["tool_calls"] or ()]
    called = [(name, arguments_of(arguments)) for _, (name, arguments) in sorted(heard.calls.items())]
    if called != expected:
        wrong.append(f"calls {called} for {expected}")
    finish = FINISH_REASONS[golden["finish"]] if item["provider"] == "anthropic" else golden["finish"]
    if heard.finish != finish:
        wrong.append(f"finish {heard.finish}")
    return wrong


def arguments_of(text: str) -> Any:
    """Arguments as JSON; models write some that are none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def judge_stream(item: Item, request: dict[str, Any], heard: Heard) -> list[str]:
    """A whole stream ends with [DONE], and every chunk has a choice but the usage chunk that was asked for."""
    wrong = []
    if not heard.is_done or heard.error is not None:
        wrong.append(f"done={heard.is_done} error={heard.error}")
    if heard.strange or heard.without_choice:
        wrong.append(f"strange {heard.strange[:1]} without choice {heard.without_choice}")
    empty = [at for at, event in enumerate(heard.events) if not json.loads(event).get("choices")]
    if empty and (not wants_usage(request) or empty != [len(heard.events) - 1]):
        wrong.append(f"empty choices at {empty} of {len(heard.events)}")
    return wrong if item["provider"] == "anthropic" else wrong + judge_chunks(item, request, heard)


def judge_chunks(item: Item, request: dict[str, Any], heard: Heard) -> list[str]:
    """Chunks of the same protocol keep their bytes; one has the figures added, and what is empty is missing."""
    recorded = [line[6:].strip() for line in body_of(item).split(b"\n") if line.startswith(b"data: {")]
    expected = [data for data in recorded if json.loads(data).get("choices")]
    if wants_usage(request):
        expected += [data for data in recorded if not json.loads(data).get("choices") and json.loads(data).get("usage")]
    wrong = []
    if len(heard.events) != len(expected):
        wrong.append(f"{len(heard.events)} chunks for {len(expected)}")
    changed = [(got, data) for got, data in zip(heard.events, expected, strict=False) if got != data]
    if [got[: len(data) - 1] + b"}" for got, data in changed] != [data for _, data in changed] or len(changed) > 1:
        wrong.append(f"chunks changed: {changed[:2]}")
    return wrong


def wants_usage(request: dict[str, Any]) -> bool:
    """Whether the client asked for a usage chunk."""
    return (request.get("stream_options") or {}).get("include_usage") is True


def judge_whole(item: Item, heard: Heard) -> list[str]:
    """A whole answer of the same protocol keeps its bytes; the figures stand behind them."""
    if item["provider"] == "anthropic":
        return []
    recorded = body_of(item)
    end = recorded.rindex(b"}")
    return [] if heard.body.startswith(recorded[:end]) else ["the body's bytes changed"]


def judge_usage(item: Item, request: dict[str, Any], heard: Heard, row: UsageRow) -> list[str]:
    """What was reported stands in the ledger and, where it is shown, in the answer; else it is an estimate."""
    norm = item["golden"]["usage_norm"]
    if norm is None:
        is_estimate = row.is_estimated and row.total_tokens > 0
        return [] if is_estimate else [f"estimate {row.is_estimated} of {row.total_tokens}"]
    expected = {name: norm[name] or 0 for name in ("input_total", "cache_read", "cache_write", "output_total")}
    expected["reasoning"] = norm["reasoning"] or 0
    wrong = []
    counted = usage_of_row(row)
    if (counted != expected or row.is_estimated) and not is_contradictory(item, row, counted):
        wrong.append(f"row {counted} for {expected}, estimated {row.is_estimated}")
    is_shown = not is_streamed(item) or wants_usage(request)
    if is_shown and usage_of_reply(heard.usage or {}) != expected:
        wrong.append(f"usage {heard.usage} for {expected}")
    return wrong + judge_cost(item, row)


def judge_cost(item: Item, row: UsageRow) -> list[str]:
    """A cost that the provider reports is the row's; the recordings' names have no price."""
    reported = (item["golden"]["usage_raw"] or {}).get("cost") if item["provider"] == "openrouter" else None
    basis = "unpriced" if reported is None else "reported"
    pusd = 0
    if reported is not None:
        pusd = int((Decimal(str(reported)) * 10**12).to_integral_value(rounding=ROUND_CEILING))
    return [] if (row.cost_basis, row.cost_pusd) == (basis, pusd) else [f"cost {row.cost_basis} {row.cost_pusd}"]


def usage_of_row(row: UsageRow) -> dict[str, int]:
    """The ledger's figures, summed as the recordings count."""
    cache_write = row.cache_write_tokens + row.cache_write_1h_tokens
    return {
        "input_total": row.input_tokens
        + row.cache_read_tokens
        + cache_write
        + row.audio_input_tokens
        + row.image_input_tokens,
        "cache_read": row.cache_read_tokens,
        "cache_write": cache_write,
        "output_total": row.output_tokens + row.audio_output_tokens + row.image_output_tokens,
        "reasoning": row.reasoning_tokens,
    }


def usage_of_reply(usage: dict[str, Any]) -> dict[str, int]:
    """OpenAI's usage object, as the recordings count."""
    given = usage.get("prompt_tokens_details") or {}
    made = usage.get("completion_tokens_details") or {}
    return {
        "input_total": usage.get("prompt_tokens") or 0,
        "cache_read": given.get("cached_tokens") or 0,
        "cache_write": given.get("cache_write_tokens") or 0,
        "output_total": usage.get("completion_tokens") or 0,
        "reasoning": made.get("reasoning_tokens") or 0,
    }


def is_contradictory(item: Item, row: UsageRow, counted: dict[str, int]) -> bool:
    """Whether the provider's shares exceed their whole, so that the ledger clamped them and says so."""
    norm = item["golden"]["usage_norm"]
    totals = (norm["input_total"], norm["output_total"])
    return row.is_anomalous and (counted["input_total"], counted["output_total"]) == totals
