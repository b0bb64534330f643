"""The dialect: a call of chat/completions said as a request of the Messages API, and the readers of its answers."""

import re
from collections.abc import Callable

import msgspec

from providers.anthropic.content import Block, Text
from providers.anthropic.controls import choose_output, choose_reasoning, choose_sampling
from providers.anthropic.messages import Turn, encode_messages
from providers.anthropic.models import Model, Thinking, find_model
from providers.anthropic.parameters import (
    PARAMETERS,
    Fate,
    Fields,
    check_parameters,
    is_given,
    is_text,
    read_field,
    read_fields,
    read_raw,
)
from providers.anthropic.reply import decode_reply
from providers.anthropic.stream import AnthropicStream
from providers.anthropic.tools import Tool, ToolChoice, encode_tools
from providers.chat import Answer
from providers.errors import Unsupported
from providers.wire import Call, Headers, StreamReader, WireRequest

# The last version that takes temperature, top_p and top_k; 2026-10-21 refuses them for every model.
# https://platform.claude.com/docs/en/api/versioning (read 2026-11-21)
ANTHROPIC_VERSION = "2023-06-01"
# A member's name, and the beta that Anthropic wants named when it is sent.
# https://platform.claude.com/docs/en/api/beta-headers (read 2026-11-21)
BETAS = {"context_management": "context-management-2025-06-27", "mcp_servers": "mcp-client-2025-11-20"}
_FILES_BETA = "files-api-2025-04-14"
_BETA_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_TIERS = {"auto": "auto", "standard_only": "standard_only", "default": "standard_only"}


class AnthropicDialect:
    """Says chat/completions in the words of the Messages API; see providers.wire.Dialect for the contract."""

    endpoints = frozenset({"chat/completions"})

    def __init__(self, *, now_s: Callable[[], int]) -> None:
        # Anthropic dates no message; ``created`` is when its answer came.
        self._now_s = now_s

    def encode(self, call: Call, model: str) -> WireRequest:
        """Say the call to ``model``; raises Unsupported, naming the parameter, where that is not possible."""
        if call.endpoint not in self.endpoints:
            raise Unsupported(f"Anthropic's models have no {call.endpoint}; use chat/completions", param="model")
        return encode_request(call, model)

    def decode(self, call: Call, status: int, headers: Headers, body: bytes) -> Answer:
        """Read a whole answer; raises Refused for an error of the provider, InvalidAnswer for anything else."""
        return decode_reply(call, status, headers, body, self._now_s())

    def open_stream(self, call: Call) -> StreamReader:
        """A fresh reader for one streamed answer."""
        return AnthropicStream(call, self._now_s())


class _Metadata(msgspec.Struct, frozen=True):
    user_id: str


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    model: str
    max_tokens: int
    messages: list[Turn]
    system: list[Block] | None = None
    tools: list[Tool | msgspec.Raw] | None = None
    tool_choice: ToolChoice | msgspec.Raw | None = None
    stream: bool = False
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: _Metadata | None = None
    thinking: msgspec.Raw | None = None
    output_config: dict[str, msgspec.Raw] | None = None
    service_tier: str | None = None
    context_management: msgspec.Raw | None = None
    cache_control: msgspec.Raw | None = None
    container: msgspec.Raw | None = None
    mcp_servers: msgspec.Raw | None = None
    diagnostics: msgspec.Raw | None = None


def encode_request(call: Call, model: str) -> WireRequest:
    """Say the call to ``model``; raises Unsupported, naming the parameter, where that is not possible."""
    fields = read_fields(call.body)
    known = find_model(model)
    dropped: list[str] = []
    check_parameters(fields, dropped)
    if call.n > 1:
        raise Unsupported(f"n is {call.n}; {PARAMETERS['n'].reason}", param="n")
    max_tokens = known.max_output_tokens if call.max_tokens is None else call.max_tokens
    conversation = encode_messages(fields, dropped)
    tools = encode_tools(fields, known, dropped)
    is_hindered = tools.is_forced or (known.thinking is Thinking.BUDGET and conversation.has_unsigned_calls)
    reasoning = choose_reasoning(fields, known, max_tokens, is_hindered, dropped)
    sampling = choose_sampling(fields, known, reasoning.is_on, dropped)
    output = choose_output(fields, known, dropped)
    instruction = [Text(text=output.instruction)] if output.instruction else []
    passed = {name: raw for name, raw in fields.items() if is_given(raw) and _is_passed(name)}
    body = _Body(
        model=model,
        max_tokens=max_tokens,
        messages=conversation.messages,
        system=[*conversation.system, *instruction] or None,
        tools=list(tools.tools) or None,
        tool_choice=tools.choice,
        stream=call.stream,
        stop_sequences=_stops(fields, dropped),
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        metadata=_user(fields, dropped),
        thinking=reasoning.thinking,
        output_config=_output_config(fields, reasoning.effort, output.schema, known),
        service_tier=_tier(fields, dropped),
        context_management=_context(fields),
        **passed,
    )
    return WireRequest(
        path="messages",
        body=msgspec.json.encode(body),
        headers=_headers(fields, call.body),
        dropped=tuple(dict.fromkeys(dropped)),
    )


def _is_passed(name: str) -> bool:
    rule = PARAMETERS.get(name)
    return rule is not None and rule.fate is Fate.PASSED


def _stops(fields: Fields, dropped: list[str]) -> list[str] | None:
    is_one = is_text(fields.get("stop"))
    given = [read_raw(fields["stop"], "stop", str)] if is_one else read_field(fields, "stop", list[str]) or []
    # Anthropic refuses a sequence of nothing but white space.
    stops = [stop for stop in given if stop.strip()]
    if len(stops) < len(given):
        dropped.append("stop")
    return stops or None


def _user(fields: Fields, dropped: list[str]) -> _Metadata | None:
    metadata = read_field(fields, "metadata", dict[str, msgspec.Raw]) or {}
    if set(metadata) - {"user_id"}:
        dropped.append("metadata")
    user_id = read_field(metadata, "user_id", str)
    user_id = user_id or read_field(fields, "safety_identifier", str) or read_field(fields, "user", str)
    return _Metadata(user_id=user_id) if user_id else None


def _tier(fields: Fields, dropped: list[str]) -> str | None:
    given = read_field(fields, "service_tier", str)
    if given is not None and given not in _TIERS:
        dropped.append("service_tier")
    return _TIERS.get(given or "")


def _output_config(
    fields: Fields, effort: str | None, schema: msgspec.Raw | None, known: Model
) -> dict[str, msgspec.Raw] | None:
    config = dict(read_field(fields, "output_config", dict[str, msgspec.Raw]) or {})
    if effort is not None:
        config.setdefault("effort", msgspec.Raw(msgspec.json.encode(effort)))
    if schema is not None:
        config.setdefault("format", msgspec.Raw(b'{"type":"json_schema","schema":' + bytes(schema) + b"}"))
    return config or None


def _context(fields: Fields) -> msgspec.Raw | None:
    raw = fields.get("context_management")
    if raw is None or not is_given(raw):
        return None
    if b'"compact_' in bytes(raw):
        reason = PARAMETERS["compaction"].reason
        raise Unsupported(f"compaction cannot be used: {reason}; clear_tool_uses edits can", param="context_management")
    return raw


def _headers(fields: Fields, body: bytes) -> tuple[tuple[str, str], ...]:
    betas = read_field(fields, "betas", list[str]) or []
    for beta in betas:
        # It becomes a header: nothing may end a line or name a second one.
        if not _BETA_NAME.fullmatch(beta):
            raise Unsupported(f"betas holds {beta!r}, which is no name of a beta", param="betas")
    implied = [beta for name, beta in BETAS.items() if is_given(fields.get(name))]
    if b'"file_id"' in body:
        implied.append(_FILES_BETA)
    named = ",".join(dict.fromkeys([*betas, *implied]))
    version = (("anthropic-version", ANTHROPIC_VERSION),)
    return (*version, ("anthropic-beta", named)) if named else version
