"""What a case expects, checked as literally as its words allow; every difference is one line of text."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from faults.cases import Case
from faults.upstreams import Asked
from faults.wire import Reply, Stream, assemble
from faults.world import MAX_TRIES, Row, completion_tokens, prompt_tokens

from providers.tokens import Tokenizers

OK = 200
KIB = 1024


class Seen(msgspec.Struct, kw_only=True):
    """What happened in one case."""

    case: Case
    replies: list[Reply] = []
    # What the client presented as its credential.
    credential: str = ""
    calls: int = 0
    asked: list[Asked] = []
    rows: list[Row] = []
    growth_kib: int = 0
    log: str = ""
    trap_connections: int = 0
    # The answer of the alias that names the case's provider first and a good one second.
    fallback: Reply | None = None
    # What a behaviour of its own has to say.
    problems: list[str] = []
    facts: dict[str, Any] = {}

    @property
    def reply(self) -> Reply:
        """The first answer."""
        return self.replies[0]

    @property
    def stream(self) -> Stream:
        """The first answer as an event stream."""
        return assemble(self.reply.body) if self.reply.status == OK else Stream(errors=[], fields=set())

    @property
    def row(self) -> Row:
        """The only usage row."""
        return self.rows[0]


Check = Callable[[Any, Seen], Iterator[str]]


def judge(seen: Seen, sentences: Callable[[Seen], Iterator[str]]) -> list[str]:
    """Every difference between what is expected and what was seen."""
    expect = seen.case["expect"]
    problems = list(seen.problems)
    for name, check in CHECKS.items():
        if name in expect:
            problems += check(expect[name], seen)
    problems += sentences(seen)
    if seen.reply.status >= 400 and not seen.facts.get("is_foreign"):
        problems += _envelope(seen.reply)
    return problems


def _status(wanted: list[int], seen: Seen) -> Iterator[str]:
    for reply in seen.replies:
        if reply.status not in wanted:
            yield f"status {reply.status}, not one of {wanted}: {reply.body[:300]!r}"


def _body(wanted: str, seen: Seen) -> Iterator[str]:
    assert wanted == "openai_error_json"
    yield from _envelope(seen.reply)


def _envelope(reply: Reply) -> Iterator[str]:
    try:
        error = reply.json()["error"]
    except (ValueError, KeyError, TypeError):
        yield f"no OpenAI error envelope: {reply.body[:200]!r}"
        return
    for name in ("message", "type", "code"):
        if not (isinstance(error.get(name), str) and error[name]):
            yield f"error.{name} is {error.get(name)!r}"
    if "param" not in error:
        yield "error.param is missing"


def _param(wanted: str, seen: Seen) -> Iterator[str]:
    if (got := seen.reply.json()["error"]["param"]) != wanted:
        yield f"error.param is {got!r}, not {wanted!r}"


def _upstream_calls(wanted: int | str, seen: Seen) -> Iterator[str]:
    most = MAX_TRIES if isinstance(wanted, str) else wanted
    if seen.calls > most:
        yield f"{seen.calls} upstream calls, not {wanted}"


def _text(wanted: str, seen: Seen) -> Iterator[str]:
    if seen.stream.text != wanted:
        yield f"text {seen.stream.text!r}, not {wanted!r}"


def _finish(wanted: str, seen: Seen) -> Iterator[str]:
    if seen.stream.finish != wanted:
        yield f"finish_reason {seen.stream.finish!r}, not {wanted!r}"


def _done(wanted: bool, seen: Seen) -> Iterator[str]:
    if seen.stream.is_done is not wanted:
        yield f"[DONE] seen: {seen.stream.is_done}"
    if not seen.reply.is_whole:
        yield "the answer's body was cut"


def _max_seconds(wanted: float, seen: Seen) -> Iterator[str]:
    if seen.reply.seconds > wanted:
        yield f"took {seen.reply.seconds:.2f} s, not at most {wanted}"


def _max_rss(wanted: int, seen: Seen) -> Iterator[str]:
    if seen.growth_kib > wanted * KIB:
        yield f"memory grew by {seen.growth_kib / KIB:.0f} MiB, not at most {wanted}"


def _charge(wanted: str | dict[str, Any], seen: Seen) -> Iterator[str]:
    if isinstance(wanted, str):
        for row in seen.rows:
            if row["cost_pusd"] or prompt_tokens(row) or completion_tokens(row):
                yield f"charged {row['cost_pusd']} picodollars for {prompt_tokens(row)}+{completion_tokens(row)} tokens"
        return
    if len(seen.rows) != 1:
        yield f"{len(seen.rows)} usage rows, not one"
        return
    row = seen.row
    if "prompt" in wanted and prompt_tokens(row) != wanted["prompt"]:
        yield f"{prompt_tokens(row)} prompt tokens charged, not {wanted['prompt']}"
    if (completion := wanted.get("completion")) is not None:
        yield from _completion(completion, seen)
    if wanted["source"] != ("estimated" if row["is_estimated"] else "reported"):
        yield f"is_estimated is {row['is_estimated']}, but the source should be {wanted['source']!r}"
    if "status" in wanted and row["status"] != wanted["status"]:
        yield f"the row's status is {row['status']!r}, not {wanted['status']!r}"


def _completion(wanted: int | str, seen: Seen) -> Iterator[str]:
    got = completion_tokens(seen.row)
    if isinstance(wanted, int):
        least = most = wanted
    else:
        delivered = seen.stream.text + seen.stream.tool_arguments
        least, most = max(1, Tokenizers().count("m", delivered)), 1_000
    if not least <= got <= most:
        yield f"{got} completion tokens charged, not {wanted!r} (at least {least})"


CHECKS: dict[str, Check] = {
    "status": _status,
    "body": _body,
    "param": _param,
    "upstream_calls": _upstream_calls,
    "text": _text,
    "finish": _finish,
    "done": _done,
    "max_seconds": _max_seconds,
    "max_rss_growth_mb": _max_rss,
    "charge": _charge,
}
# Members of ``expect`` that say nothing to check: where it comes from, what to know, and how the script is read. The
# last four are proved elsewhere: every gateway is asked again at the end, auth-026 has a test of its own, the code of
# auth-001 is no code of the documents ("missing key"), and sentences are sentences.py.
WORDS = frozenset({"source", "note", "replace_head", "provider", "survive", "stat", "code", "must", "must_not"})


def error_code(reply: Reply) -> str:
    """The public error code of an answer."""
    try:
        return str(reply.json()["error"]["code"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return ""
