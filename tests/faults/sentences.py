"""The cases' sentences (``must`` and ``must_not``), each with the check that it stands for: True when it is kept."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from faults.judging import OK, Seen, error_code
from faults.upstreams import PROVIDER_KEY
from faults.world import MAX_TRIES, PRICE_INPUT_PUSD, PRICE_OUTPUT_PUSD, TOTAL_S, Row, completion_tokens, prompt_tokens

Sentence = Callable[[Seen], bool]
README = Path(__file__).parents[2] / "README.md"
SANE_TOKENS = 1_000


def check(seen: Seen) -> Iterator[str]:
    """The sentences that are not kept; one that no table knows is not kept either."""
    for kind, table in (("must", MUST), ("must_not", MUST_NOT)):
        for sentence in seen.case["expect"].get(kind, ()):
            if sentence not in table:
                yield f"{kind} {sentence!r} is in no table"
            elif not table[sentence](seen):
                yield f"{kind}: {sentence} ({describe(seen)})"


def describe(seen: Seen) -> str:
    """What was seen, in a line."""
    return f"status {seen.reply.status}, {seen.calls} calls, {len(seen.rows)} rows, {seen.reply.body[-300:]!r}"


def fact(name: str) -> Sentence:
    """A check that the behaviour has made itself."""
    return lambda seen: seen.facts.get(name) is True


def said_in_body(*words: str) -> Sentence:
    """The body and headers contain none of the words."""
    return lambda seen: (
        not any(word in reply.body.decode("latin-1") + reply.head_text for word in words for reply in seen.replies)
    )


def ends_with_error_event(seen: Seen) -> bool:
    """The last event of the stream is an error of upstream's, and the stream ends there."""
    stream = seen.stream
    if not stream.last.startswith("{"):
        return False
    error = json.loads(stream.last).get("error")
    return error is not None and str(error["code"]).startswith("upstream_") and seen.reply.is_whole


def is_error(seen: Seen) -> bool:
    """The client sees a failure: a status or an error event."""
    return seen.reply.status >= 500 or ends_with_error_event(seen)


def is_kept_secret(seen: Seen) -> bool:
    """What was presented as a credential stands in no answer and in no log."""
    secret = seen.credential
    return len(secret) < 8 or (secret not in seen.log and secret not in seen.reply.body.decode("latin-1"))


def not_stored(seen: Seen) -> bool:
    """A provider's address was refused, whoever sent it."""
    return all(400 <= reply.status < 500 for reply in seen.replies) and seen.facts.get("not_stored") is True


def has_sane_charge(row: Row) -> bool:
    """Neither negative nor absurd, and marked."""
    tokens = (prompt_tokens(row), completion_tokens(row))
    return row["cost_pusd"] >= 0 and all(0 <= count <= SANE_TOKENS for count in tokens) and bool(row["is_anomalous"])


def has_retry_after(seen: Seen) -> bool:
    """A 429 tells when to come back."""
    after = seen.reply.header("retry-after")
    return seen.reply.status == OK or (after is not None and after.isdigit())


def falls_back(seen: Seen) -> bool:
    """The alias with a second target is answered by that target."""
    reply = seen.fallback
    return reply is not None and reply.status == OK and reply.header("x-watchllm-provider") == "good"


def asked_text(seen: Seen) -> str:
    """The text of the message as the provider got it."""
    return str(json.loads(seen.asked[0].body)["messages"][0]["content"])


def charges(seen: Seen) -> int:
    """How many rows cost something."""
    return sum(row["cost_pusd"] > 0 for row in seen.rows)


def always(_: Seen) -> bool:
    """Kept by something that every case proves, or by the other members of ``expect``."""
    return True


NOT_500: Sentence = lambda seen: all(reply.status != 500 for reply in seen.replies)  # noqa: E731

MUST: dict[str, Sentence] = {
    "SameSite=Lax/Strict + CSRF token or Origin check; content-type enforced": fact("guarded"),
    "new session id at login": fact("is_new"),
    "same text; argon2/scrypt always run": fact("is_alike"),
    "content reaches upstream as U+1F600": lambda seen: asked_text(seen) == "\U0001f600",
    "bytes preserved": lambda seen: rb"a\u2028b\u2029c\u0085d" in seen.asked[0].body,
    "rejected before the body is read": lambda seen: seen.reply.seconds < 1,
    "message is truncated: response < 4 KB": lambda seen: len(seen.reply.body) < 4096,
    "null/empty optional parameters are dropped before an openai-like upstream": lambda seen: (
        "encoding_format" not in json.loads(seen.asked[0].body)
    ),
    "WWW-Authenticate or openai error; no hint which keys exist": lambda seen: (
        error_code(seen.reply) == "invalid_api_key" and "lgw_proj_" not in seen.reply.body.decode()
    ),
    "allow-list decides what is forwarded": lambda seen: (
        not any(
            name in seen.asked[0].head.lower() for name in ("openai-organization", "openai-project", "anthropic-beta")
        )
    ),
    "two requests = two charges: billing id is server generated": lambda seen: charges(seen) == len(seen.replies),
    "semantic cache neither read nor written if documented": lambda seen: (
        seen.reply.header("x-watchllm-cache") == "bypass"
    ),
    # The test's own last call for the case is one that fails.
    "JSON errors stay JSON": fact("errors_are_json"),
    "body not read": fact("body_not_read"),
    "connection closed": fact("closed"),
    "second request is authenticated on its own: 401": fact("second_refused"),
    "body timeout; no server in our probe had one": fact("timed_out"),
    "gateway stops reading upstream (backpressure); buffered <= 1 MiB per stream; write timeout closes it": fact(
        "held"
    ),
    "new request served < 1 s; fd limit documented": lambda seen: (
        seen.reply.seconds < 1 and any(word in README.read_text("utf-8") for word in ("ulimit", "file descriptors"))
    ),
    "trust_env=False or documented; provider key not sent to a proxy by surprise": lambda seen: (
        not seen.trap_connections
    ),
    'an explicit error event {"error":{...,"code":"upstream_*"}} is the last data event before close': (
        ends_with_error_event
    ),
    "gateway sends its own [DONE]": lambda seen: seen.stream.is_done,
    "retry/fallback allowed: nothing was sent to the client": lambda seen: seen.calls >= 1,
    "HTTP error, not 200 with empty stream; retried first": lambda seen: seen.calls == MAX_TRIES,
    "empty completion is an upstream error or retried; charge none unless usage reported": lambda seen: (
        is_error(seen) and not charges(seen)
    ),
    "nothing sent yet: retry/fallback or HTTP error status, not 200": lambda seen: seen.reply.status != OK,
    "error surfaced": lambda seen: bool(seen.stream.errors),
    "error event": lambda seen: bool(seen.stream.errors),
    "input tokens not counted twice": lambda seen: [prompt_tokens(row) for row in seen.rows] == [25],
    "charge >= 0, bounded by a sanity cap, anomaly flagged": lambda seen: all(map(has_sane_charge, seen.rows)),
    "billed at the routed model price, not the name in the chunk": lambda seen: (
        [row["cost_pusd"] for row in seen.rows] == [5 * PRICE_INPUT_PUSD + 2 * PRICE_OUTPUT_PUSD]
    ),
    "decoded incrementally, or identity requested upstream": always,
    "line limit (e.g. 1 MiB) -> error event, connection closed": is_error,
    "idle timeout is per EVENT, not per byte": lambda seen: is_error(seen) and seen.reply.seconds < TOTAL_S,
    "first-token timeout; fallback tried; nothing charged; upstream socket closed within 1 s": lambda seen: (
        not charges(seen) and falls_back(seen) and seen.facts["upstream_closed"] is True
    ),
    "response-header timeout": lambda seen: error_code(seen.reply) == "upstream_timeout",
    "total wait bounded (<= request deadline)": lambda seen: seen.reply.seconds <= TOTAL_S,
    "client sees 429 with Retry-After if all fail": has_retry_after,
    "provider marked unhealthy / alert": fact("alerted"),
    "retryable": lambda seen: seen.calls == MAX_TRIES and falls_back(seen),
    "retried on another deployment": falls_back,
    "treated as retryable": lambda seen: seen.calls == MAX_TRIES and falls_back(seen),
    "empty success is an error": is_error,
    'OpenRouter does this: "HTTP status will be 200 ... error in the body"': is_error,
    "not cached": lambda seen: seen.reply.header("x-watchllm-cached") == "false",
    "socket not reused": fact("upstream_closed"),
    "retried once on a fresh connection: request bytes unread by the peer": fact("all_answered"),
    "ambiguous: may have been executed; retry only if policy says, at most one charge": lambda seen: (
        # The policy: what went out on a pooled connection that ended at once is sent on a fresh one, once.
        charges(seen) <= 1 and seen.calls <= 2
    ),
    "PoolTimeout fast; other providers unaffected (bulkhead per provider)": fact("bulkhead"),
    "upstream socket closed < 1 s": fact("upstream_closed"),
    "usage record written: incomplete, estimated": lambda seen: (
        [(row["status"] in ("incomplete", "cancelled"), row["is_estimated"]) for row in seen.rows] == [(True, 1)]
    ),
    "upstream cancelled < 1 s OR drained to usage (per provider flag)": fact("upstream_closed"),
    "charge >= tokens delivered": lambda seen: (
        [completion_tokens(row) >= seen.facts["delivered"] for row in seen.rows] == [True]
    ),
    "reservation released": fact("released"),
    "detected: no ASGI server cancels the handler for you": lambda seen: (
        [row["status"] for row in seen.rows] == ["cancelled"]
    ),
    "charge recorded when upstream answers": lambda seen: charges(seen) == 1,
    "recorded as success, not as a disconnect": lambda seen: [row["status"] for row in seen.rows] == ["complete"],
    "write timeout/keepalive closes <= 60 s": fact("closed"),
    "grep of all logs+db+traces for canary keys finds 0": fact("secrets_kept"),
    "cells starting with = + - @ are prefixed with '": fact("defused"),
    "starts; degraded flag": fact("degraded"),
    "busy_timeout + single writer; 0 lost": fact("none_lost"),
    "refuses to start with a clear message; backup/restore doc": fact("refused_clearly"),
    (
        "new connections refused or 503 at once; streams finish up to the drain limit, then error event; "
        "all usage written; exit 0"
    ): fact("drained"),
    "second TERM stops fast, usage still written": fact("stopped_fast"),
}

MUST_NOT: dict[str, Sentence] = {
    "full virtual key": fact("has_no_secret"),
    "provider key plaintext or ciphertext": fact("has_no_secret"),
    "password hash": fact("has_no_secret"),
    "session token": fact("has_no_secret"),
    "stripe secret": fact("has_no_secret"),
    "500": NOT_500,
    "crash": NOT_500,
    "header_injection": lambda seen: seen.reply.header("x-evil") is None,
    "log_line_injection": lambda seen: not any(line.startswith("X-Evil") for line in seen.log.splitlines()),
    "file_open": said_in_body("root:"),
    "upstream path escapes": lambda seen: not seen.calls,
    "any TCP connect to a non-global address": lambda seen: not seen.trap_connections and not_stored(seen),
    "DNS name whose A/AAAA is non-global accepted at save OR at use": fact("not_stored"),
    "connection to $SINK": lambda seen: not seen.trap_connections,
    "template rendered by gateway": lambda seen: b"{{ ''.__class__ }}" in seen.asked[0].body,
    # Fields that the gateway does not read pass untouched (interface.md), to a provider that the operator chose.
    "forwarded to a local deployment": always,
    "callback run": lambda seen: not seen.trap_connections,
    "$FORBIDDEN model called": lambda seen: [json.loads(asked.body)["model"] for asked in seen.asked] == ["m"],
    "a reply that skipped the provider and was free": lambda seen: seen.calls == 1 and charges(seen) == 1,
    "gateway itself fetches the URL": lambda seen: b"169.254.169.254" in seen.asked[0].body,
    "gateway opens the file": lambda seen: b"file:///etc/passwd" in seen.asked[0].body,
    "key echoed in full in body or log": is_kept_secret,
    "key written to access log": is_kept_secret,
    "evil.example in any link, cookie domain or redirect": said_in_body("evil.example"),
    "admin route served": lambda seen: b'"chat.completion"' in seen.reply.body,
    "raw control bytes in log or response header": lambda seen: (
        "\x1b" not in seen.log and "\x1b" not in seen.reply.head_text
    ),
    "200 without auth": lambda seen: seen.reply.status != OK,
    "stack trace in log more than one line": lambda seen: "\nTraceback" not in seen.log and "\n  File " not in seen.log,
    "dsn": said_in_body("sqlite", "://", "watchllm.db"),
    "key": said_in_body("lgw_", "sk-", "master"),
    "stack": said_in_body("Traceback", "File "),
    "retry: passed to client": lambda seen: "retry" not in seen.stream.fields,
    "[DONE] with no error event": lambda seen: bool(seen.stream.errors) or not seen.stream.is_done,
    "free request": lambda seen: charges(seen) == 1,
    "negative charge": lambda seen: all(row["cost_pusd"] >= 0 for row in seen.rows),
    "lost record": lambda seen: len(seen.rows) == 1,
    "provider key (even masked) in the client body": said_in_body(PROVIDER_KEY, "sk-"),
    "401 to the client (it would think its own key is bad)": lambda seen: seen.reply.status != 401,
    "client told its own balance is empty": said_in_body("Insufficient credits", "insufficient_quota"),
    "stack trace to client": said_in_body("Traceback", "secret.py"),
}
