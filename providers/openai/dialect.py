"""The OpenAI dialect as the gateway uses it: the caller's bytes with the least change, the answer's bytes with none."""

from collections.abc import Callable

import msgspec

from providers import splice
from providers.chat import Answer
from providers.errors import Unsupported
from providers.openai.reply import read_reply
from providers.openai.stream import OpenAiStream
from providers.registry import Quirk, When
from providers.wire import Call, Headers, StreamReader, WireRequest

STREAM_OPTIONS = b'"stream_options"'
INCLUDE_USAGE = b'"include_usage":true'
# Callers can invent model names; the quirks of this many are remembered.
MAX_REMEMBERED_MODELS = 1_024
NULL = b"null"
UNSET_VALUES = frozenset({NULL, b"false", b"{}", b"[]"})


class OpenAiDialect:
    """One provider's OpenAI: its endpoints, its quirks, and whether its streams are asked to report usage."""

    def __init__(
        self,
        *,
        endpoints: frozenset[str],
        quirks: tuple[Quirk, ...],
        asks_stream_usage: bool,
        now_s: Callable[[], int],
    ) -> None:
        self.endpoints = endpoints
        self._quirks = quirks
        self._asks_stream_usage = asks_stream_usage
        self._now_s = now_s
        self._quirks_of: dict[tuple[str, str], tuple[tuple[bytes, Quirk], ...]] = {}

    def encode(self, call: Call, model: str) -> WireRequest:
        """Splice in the target's model and the wish for usage; apply the provider's quirks."""
        if call.endpoint not in self.endpoints:
            raise Unsupported(f"The provider of {model!r} does not serve /v1/{call.endpoint}.", param="model")
        body = call.body
        if model != call.model:
            body = splice.replace(body, "model", msgspec.json.encode(model))
        if call.stream and not call.wants_usage and self._asks_stream_usage:
            body = ask_for_usage(body)
        dropped: list[str] = []
        for quoted, quirk in self._quirks_for(call.endpoint, model):
            if quoted in body:
                body = apply_quirk(body, quirk, dropped)
        return WireRequest(path=call.endpoint, body=body, dropped=tuple(dropped))

    def decode(self, call: Call, status: int, headers: Headers, body: bytes) -> Answer:
        """Check the answer and read its usage; see providers.openai.reply."""
        return read_reply(call, status, headers, body, self._now_s)

    def open_stream(self, call: Call) -> StreamReader:
        """A fresh reader."""
        return OpenAiStream(call.answers)

    def _quirks_for(self, endpoint: str, model: str) -> tuple[tuple[bytes, Quirk], ...]:
        key = (endpoint, model)
        found = self._quirks_of.get(key)
        if found is None:
            found = tuple(
                (f'"{quirk.param}"'.encode(), quirk)
                for quirk in self._quirks
                if quirk.endpoint == endpoint and (not quirk.models or model.startswith(quirk.models))
            )
            if len(self._quirks_of) < MAX_REMEMBERED_MODELS:
                self._quirks_of[key] = found
        return found


def ask_for_usage(body: bytes) -> bytes:
    """Make stream_options.include_usage true, whatever else the options say."""
    member = splice.find(body, "stream_options") if STREAM_OPTIONS in body else None
    if member is None:
        return splice.append(body, b'"stream_options":{"include_usage":true}')
    options = body[member.value_start : member.value_end]
    if not options.startswith(b"{"):
        options = b"{}"
    options = splice.append(splice.remove(options, "include_usage"), INCLUDE_USAGE)
    return body[: member.value_start] + options + body[member.value_end :]


def apply_quirk(body: bytes, quirk: Quirk, dropped: list[str]) -> bytes:
    """Drop, rename or refuse one top-level member as the provider's row says."""
    member = splice.find(body, quirk.param)
    if member is None or not fits(quirk.when, body[member.value_start : member.value_end]):
        return body
    if quirk.action == "refuse":
        raise Unsupported(f"{quirk.param!r} cannot be used with this model: {quirk.reason}.", param=quirk.param)
    if quirk.action == "rename":
        named = splice.find(body, quirk.to)
        if named is None:
            return splice.rename(body, quirk.param, quirk.to)
        if body[named.value_start : named.value_end] == NULL:
            # It says nothing, so the old name is the one that counts.
            body = splice.replace(body, quirk.to, body[member.value_start : member.value_end])
            return splice.remove(body, quirk.param)
    if quirk.when == "any":
        # Dropping what is as good as left out changes nothing that the caller asked for.
        dropped.append(quirk.param)
    return splice.remove(body, quirk.param)


def fits(when: When, value: bytes) -> bool:
    """Whether a member's value (JSON) is one that the quirk is about."""
    match when:
        case "any":
            return True
        case "null":
            return value == NULL
        case "unset":
            return value in UNSET_VALUES
        case "above_one":
            return value.isdigit() and int(value) > 1
