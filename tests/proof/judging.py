"""The comparison of the ledger with the providers' own books, call by call."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from proof.calls import ANSWERS, BREAKS, RATES, Rates, Wanted, cost_pusd, is_cancellable
from proof.calls import Tokens as Counted
from proof.metered_upstream import Bill, Books, charge, tokens_of
from proof.raw_client import Heard

Row = Mapping[str, Any]
BUCKETS = tuple(field.name for field in msgspec.structs.fields(Counted))
# Buckets that none of the calls fills.
OTHERS = ("audio_input_tokens", "image_input_tokens", "audio_output_tokens", "image_output_tokens")
# What frames a prompt, and the call's name in it.
FRAMING_TOKENS = 40


class Seen(msgspec.Struct, kw_only=True):
    """A call from every side: what the client heard, what the providers did, what the ledger has."""

    wanted: Wanted
    heard: Heard
    has_left: bool
    bills: list[Bill]
    rows: list[Row]


def judge_all(seen: Sequence[Seen]) -> list[str]:
    """Every disagreement, in words."""
    wrong: list[str] = []
    for call in seen:
        wrong += [f"{problem}\n  {call}" for problem in judge(call)]
    return wrong


def judge(call: Seen) -> list[str]:
    """What is wrong with one call's rows."""
    is_expected = bool(call.bills) or (call.wanted.is_sandbox and call.heard.status > 0)
    if len(call.rows) != is_expected:
        return [f"{len(call.rows)} rows where {int(is_expected)} was due"]
    if not call.rows:
        return []
    row = call.rows[0]
    if any(row[bucket] for bucket in OTHERS):
        return ["tokens in a bucket that nobody filled"]
    if call.heard.request_id and call.heard.request_id != row["request_id"]:
        return ["the row has another id than the client was told"]
    if call.wanted.is_sandbox:
        return _judge_sandbox(row)
    return _judge_target(call, row) or _judge_figures(call, row)


def last_pusd(row: Row) -> int:
    """What the last try cost; what those before it may have cost is a figure of its own."""
    cost: int = row["cost_pusd"] - row["lost_pusd"]
    return cost


def _judge_sandbox(row: Row) -> list[str]:
    return [] if (row["cost_pusd"], row["cost_basis"]) == (0, "free") else ["the sandbox is free"]


def _judge_target(call: Seen, row: Row) -> list[str]:
    """The row names who was asked last, how often anybody was, and how it ended."""
    last = call.bills[-1]
    wrong: list[str] = []
    if (row["provider"], row["upstream_model"]) != (last.provider, last.model):
        wrong.append(f"the row names {row['provider']}/{row['upstream_model']}")
    # A connection that was found dead is replaced without counting as a try.
    if not (row["attempts"] == len(call.bills) or "reset" in call.wanted.acts):
        wrong.append(f"{row['attempts']} attempts where {len(call.bills)} requests arrived")
    status = expected_status(call)
    if row["status"] not in status:
        wrong.append(f"the status is {row['status']}, not {' or '.join(sorted(status))}")
    if last.act in ANSWERS and call.has_left and last.is_hung_up != is_cancellable(call.wanted, last.provider):
        wrong.append(f"the provider was {'' if last.is_hung_up else 'not '}hung up on")
    return wrong


def expected_status(call: Seen) -> set[str]:
    """How a row may say that the call ended; whoever leaves while the last byte is on its way may be too late."""
    act = call.bills[-1].act
    if act not in ANSWERS:
        return {"cancelled", "failed"} if call.has_left else {"failed"}
    if act in BREAKS:
        return {"incomplete"}
    return {"cancelled", "complete"} if call.has_left else {"complete"}


def _judge_figures(call: Seen, row: Row) -> list[str]:
    last = call.bills[-1]
    if last.act not in ANSWERS:
        is_nothing = not any(row[bucket] for bucket in BUCKETS) and last_pusd(row) == 0
        return [] if is_nothing and row["cost_basis"] == "none" else ["a call without an answer has figures"]
    if not row["is_estimated"]:
        return _judge_exact(call, row)
    if last.is_reported and not (call.has_left and is_cancellable(call.wanted, last.provider)):
        return ["an estimate in place of what was reported"]
    return _judge_estimate(call, row)


def _judge_exact(call: Seen, row: Row) -> list[str]:
    last = call.bills[-1]
    if not last.is_reported:
        return ["not flagged as an estimate, though nothing was reported"]
    due = msgspec.to_builtins(tokens_of(call.wanted, last))
    wrong = [f"{bucket}: {row[bucket]} for {due[bucket]}" for bucket in BUCKETS if row[bucket] != due[bucket]]
    billed = charge(call.wanted, last)
    if (last_pusd(row), row["cost_basis"]) != billed:
        wrong.append(f"{last_pusd(row)} pusd ({row['cost_basis']}) for {billed}")
    return wrong


def _judge_estimate(call: Seen, row: Row) -> list[str]:
    """At least what was delivered, at most what the provider wrote and a share; priced as its own figures say."""
    wanted, last = call.wanted, call.bills[-1]
    delivered = call.heard.body.count(b" hello")
    wrong: list[str] = []
    most = 0 if wanted.endpoint == "embeddings" else math.ceil(1.5 * max(last.words, delivered)) + 3
    if not delivered <= row["output_tokens"] <= most and wanted.endpoint != "embeddings":
        wrong.append(f"{row['output_tokens']} tokens of output for {delivered} delivered, at most {most}")
    given = sum(row[bucket] for bucket in BUCKETS if bucket not in ("output_tokens", "reasoning_tokens"))
    knows_input = last.provider == "anthropic" and last.act != "mute" and last.words > 0
    if knows_input and given != wanted.tokens.prompt:
        wrong.append(f"{given} tokens of input where the stream's beginning said {wanted.tokens.prompt}")
    if not knows_input and not wanted.prompt_words <= given <= 1.5 * wanted.prompt_words + FRAMING_TOKENS:
        wrong.append(f"{given} tokens of input for {wanted.prompt_words} words")
    rates = _rates_of_estimate(last)
    counted = Counted(**{bucket: row[bucket] for bucket in BUCKETS})
    if last_pusd(row) != (cost_pusd(rates, counted) if rates else 0):
        wrong.append(f"the estimate is priced at {last_pusd(row)}")
    return wrong


def _rates_of_estimate(bill: Bill) -> Rates | None:
    """OpenRouter's own models are in the bundled table under OpenRouter's name."""
    if (bill.provider, bill.model) == ("openrouter", "openai/gpt-4o"):
        return RATES["openai", "gpt-4o"]
    return RATES.get((bill.provider, bill.model))


def sum_reported(seen: Sequence[Seen]) -> dict[str, int]:
    """What the providers count and bill for the calls whose rows claim to know it."""
    known = [call for call in seen if call.rows and call.bills and not call.rows[0]["is_estimated"]]
    told = [call for call in known if call.bills[-1].is_reported]
    sums = {bucket: sum(getattr(tokens_of(call.wanted, call.bills[-1]), bucket) for call in told) for bucket in BUCKETS}
    return sums | {"cost_pusd": sum(charge(call.wanted, call.bills[-1])[0] for call in told)}


def sum_rows(rows: Sequence[Row]) -> dict[str, int]:
    """The same sums over rows of the ledger that are no estimates and not the sandbox's."""
    exact = [row for row in rows if not row["is_estimated"] and row["provider"] != "sandbox"]
    counts = {name: sum(row[name] for row in exact) for name in BUCKETS}
    return counts | {"cost_pusd": sum(last_pusd(row) for row in exact)}


def tally(seen: Sequence[Seen]) -> dict[str, int]:
    """How many calls of each kind there were, so that a proof of nothing is noticed."""
    rows = [(call, row) for call in seen for row in call.rows]
    return {
        "calls": len(seen),
        "rows": len(rows),
        "exact": sum(bool(call.bills) and call.bills[-1].is_reported and not row["is_estimated"] for call, row in rows),
        "estimated": sum(bool(row["is_estimated"]) for _, row in rows),
        "failed": sum(row["status"] == "failed" for _, row in rows),
        "incomplete": sum(row["status"] == "incomplete" for _, row in rows),
        "cancelled": sum(row["status"] == "cancelled" for _, row in rows),
        "retried": sum(len(call.bills) > 1 for call in seen),
        "fell_back": sum(len({bill.provider for bill in call.bills}) > 1 for call in seen),
        "hung_up": sum(bill.is_hung_up for call in seen for bill in call.bills),
        "sandbox": sum(row["provider"] == "sandbox" for _, row in rows),
        "unpriced": sum(row["cost_basis"] == "unpriced" for _, row in rows),
        "reported": sum(row["cost_basis"] == "reported" for _, row in rows),
        "operator": sum(row["cost_basis"] == "operator" for _, row in rows),
    }


def read_bills(books: Books, number: int) -> list[Bill]:
    """The tries of one call."""
    return books.bills.get(number, [])
