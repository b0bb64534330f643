"""Providers that keep their own exact books: what they were asked, what they wrote, and what they would bill."""

import asyncio
import json
import re
import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from proof.calls import ANSWERS, RATES, WORD, Act, Tokens, Wanted, cost_pusd, is_cancellable
from proof.raw_client import RUDE
from running import STREAM_HEAD, Request, framed, json_reply

CALL = re.compile(rb"call-(\d+)\b")
# The gateway has seen a client leave within this time; both live in one loop.
NOTICE_S = 0.01
# How long a provider waits to be hung up on, once the client has left.
PATIENCE_S = 2.0
COST = '"@cost"'
ERRORS: Mapping[Act, int] = {"error_400": 400, "error_429": 429, "error_500": 500}


class Bill(msgspec.Struct, kw_only=True):
    """One try at a provider."""

    provider: str
    model: str
    act: Act
    # The usage left, to its last byte.
    is_reported: bool = False
    # Words of the answer that were written.
    words: int = 0
    # The gateway hung up before the end.
    is_hung_up: bool = False


class Books(msgspec.Struct, kw_only=True):
    """What all providers together know."""

    calls: Mapping[int, Wanted]
    bills: defaultdict[int, list[Bill]]
    # Set when the try that answers has arrived, and by the client when it has left.
    arrived: defaultdict[int, asyncio.Event]
    left: defaultdict[int, asyncio.Event]

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Do what the call's plan says; see running.upstream."""
        found = CALL.search(request.body)
        assert found is not None, f"a request of no call: {request.body!r}"
        wanted = self.calls[int(found[1])]
        bills = self.bills[wanted.number]
        act = wanted.acts[min(len(bills), len(wanted.acts) - 1)]
        body = request.json()
        bill = Bill(provider=request.path.split("/")[1], model=body["model"], act=act)
        bills.append(bill)
        if act in ANSWERS:
            self.arrived[wanted.number].set()
            if wanted.leaves == "before":
                await self._wait_for_leaving(wanted, bill)
        try:
            await self._act(wanted, bill, body, writer)
        except asyncio.CancelledError:
            bill.is_hung_up = True
            raise

    async def _wait_for_leaving(self, wanted: Wanted, bill: Bill) -> None:
        """Go on after the client has left; where that ends the billing, wait to be hung up on."""
        await self.left[wanted.number].wait()
        try:
            await asyncio.sleep(PATIENCE_S if is_cancellable(wanted, bill.provider) else NOTICE_S)
        except asyncio.CancelledError:
            bill.is_hung_up = True
            raise

    async def _act(self, wanted: Wanted, bill: Bill, body: Any, writer: asyncio.StreamWriter) -> None:
        if bill.act in ERRORS:
            error = {"message": "as planned", "type": "planned", "code": "planned"}
            writer.write(json_reply({"type": "error", "error": error}, ERRORS[bill.act]))
        elif bill.act == "reset":
            _reset(writer)
        elif wanted.stream:
            await self._stream(wanted, bill, body, writer)
        else:
            is_reported = bill.act == "answer"
            writer.write(json_reply(say_whole(wanted, bill, is_reported=is_reported)))
            bill.words = wanted.words
            bill.is_reported = is_reported

    async def _stream(self, wanted: Wanted, bill: Bill, body: Any, writer: asyncio.StreamWriter) -> None:
        is_claude = bill.provider == "anthropic"
        writer.write(STREAM_HEAD)
        if bill.act == "error_first":
            error = {"type": "error", "error": {"type": "overloaded_error", "message": "as planned"}}
            writer.write(framed(_event(error, is_claude)) + framed(b""))
            return
        opening, middle, closing = (claude_events if is_claude else openai_events)(wanted, bill, body)
        writer.write(framed(opening))
        for at, event in enumerate(middle):
            writer.write(framed(event))
            bill.words += 1
            if at == 0 and wanted.leaves == "after":
                await self._wait_for_leaving(wanted, bill)
            elif at == len(middle) // 2:
                # A pause, so that pieces of a stream do not all arrive as one.
                await asyncio.sleep(0)
            if at == 1 and bill.act not in ("answer", "mute"):
                await self._break_off(bill, is_claude, writer)
                return
        writer.write(framed(closing) + framed(b""))
        bill.is_reported = bill.act == "answer"

    async def _break_off(self, bill: Bill, is_claude: bool, writer: asyncio.StreamWriter) -> None:
        # What was written so far must be on its way before a reset, which would take it back.
        await asyncio.sleep(NOTICE_S)
        if bill.act == "reset_inside":
            _reset(writer)
        if bill.act == "error_inside":
            writer.write(framed(_event({"type": "error", "error": {"message": "as planned"}}, is_claude)))
        writer.write(framed(b""))


def open_books(calls: Sequence[Wanted]) -> Books:
    """Books without an entry."""
    return Books(
        calls={wanted.number: wanted for wanted in calls},
        bills=defaultdict(list),
        arrived=defaultdict(asyncio.Event),
        left=defaultdict(asyncio.Event),
    )


def charge(wanted: Wanted, bill: Bill) -> tuple[int, str]:
    """What the provider bills for a reported answer in picodollars, and by whose word the ledger must know it."""
    target = (bill.provider, bill.model)
    is_overruled = target in RATES and bill.provider in ("openrouter", "patient")
    if is_overruled:
        return cost_pusd(RATES[target], tokens_of(wanted, bill)), "operator"
    if bill.provider == "openrouter":
        assert wanted.reported_pusd is not None, "OpenRouter always tells the cost"
        return wanted.reported_pusd, "reported"
    if target not in RATES:
        return 0, "unpriced"
    return cost_pusd(RATES[target], tokens_of(wanted, bill)), "bundled"


def tokens_of(wanted: Wanted, bill: Bill) -> Tokens:
    """What this provider reports of the call: Anthropic alone knows two kinds of writes, and tells no reasoning."""
    tokens = wanted.tokens
    if bill.provider == "anthropic":
        return msgspec.structs.replace(tokens, reasoning_tokens=0)
    return tokens


def say_whole(wanted: Wanted, bill: Bill, *, is_reported: bool) -> bytes:
    """A whole answer."""
    text = WORD * wanted.words
    if bill.provider == "anthropic":
        usage = _claude_usage(wanted.tokens)
        return json.dumps(
            _claude_message(bill)
            | {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}
            | ({"usage": usage} if is_reported else {})
        ).encode()
    reply: dict[str, Any] = {"id": "r", "object": "o", "created": 1, "model": bill.model}
    if wanted.endpoint == "embeddings":
        reply["data"] = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
    else:
        said = {"text": text} if wanted.endpoint == "completions" else {"message": {"role": "a", "content": text}}
        reply["choices"] = [{"index": 0, "finish_reason": "stop", **said}]
    return _with_cost(reply | ({"usage": _openai_usage(wanted, bill)} if is_reported else {}), wanted)


Events = tuple[bytes, list[bytes], bytes]


def openai_events(wanted: Wanted, bill: Bill, body: Any) -> Events:
    """The opening, a chunk a word, and the end of a stream; usage comes only where it was asked for."""
    head = {"id": "r", "object": "o", "created": 1, "model": bill.model}

    def chunk(said: str | None, finish: str | None = None) -> bytes:
        if wanted.endpoint == "completions":
            choice: dict[str, Any] = {"index": 0, "text": said or "", "finish_reason": finish}
        else:
            choice = {"index": 0, "delta": {} if said is None else {"content": said}, "finish_reason": finish}
        return _sse(json.dumps(head | {"choices": [choice]}).encode())

    options: dict[str, Any] = body.get("stream_options") or {}
    assert options.get("include_usage"), "the gateway asks every provider for the usage of a stream"
    usage: dict[str, Any] = head | {"choices": [], "usage": _openai_usage(wanted, bill)}
    counted = _sse(_with_cost(usage, wanted)) if bill.act == "answer" else b""
    words = [chunk(WORD) for _ in range(wanted.words)]
    return chunk(""), words, chunk(None, "stop") + counted + _sse(b"[DONE]")


def claude_events(wanted: Wanted, bill: Bill, _: Any) -> Events:
    """The same in Anthropic's words: the input is counted at the start, the output at the end."""
    usage = _claude_usage(wanted.tokens)
    reported: dict[str, Any] = {"usage": usage | {"output_tokens": 1}} if bill.act != "mute" else {}
    message: dict[str, Any] = _claude_message(bill) | {"content": [], "stop_reason": None} | reported

    def events() -> Iterator[bytes]:
        for _ in range(wanted.words):
            delta = {"type": "text_delta", "text": WORD}
            yield _named({"type": "content_block_delta", "index": 0, "delta": delta})

    final = {"usage": {"output_tokens": usage["output_tokens"]}} if bill.act == "answer" else {}
    begin = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    end = (
        _named({"type": "content_block_stop", "index": 0})
        + _named({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, **final})
        + _named({"type": "message_stop"})
    )
    return _named({"type": "message_start", "message": message}) + _named(begin), list(events()), end


def _claude_message(bill: Bill) -> dict[str, Any]:
    return {"id": "m", "type": "message", "role": "assistant", "model": bill.model}


def _openai_usage(wanted: Wanted, bill: Bill) -> dict[str, Any]:
    tokens = wanted.tokens
    usage: dict[str, Any] = {"prompt_tokens": tokens.prompt, "total_tokens": tokens.prompt + tokens.output_tokens}
    if wanted.endpoint != "embeddings":
        usage |= {
            "completion_tokens": tokens.output_tokens,
            "prompt_tokens_details": {
                "cached_tokens": tokens.cache_read_tokens,
                "cache_write_tokens": tokens.cache_write_tokens,
            },
            "completion_tokens_details": {"reasoning_tokens": tokens.reasoning_tokens},
        }
    return usage | ({"cost": "@cost"} if bill.provider == "openrouter" else {})


def _claude_usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "input_tokens": tokens.input_tokens,
        "cache_read_input_tokens": tokens.cache_read_tokens,
        "cache_creation_input_tokens": tokens.cache_write_tokens + tokens.cache_write_1h_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write_tokens,
            "ephemeral_1h_input_tokens": tokens.cache_write_1h_tokens,
        },
        "output_tokens": tokens.output_tokens,
    }


def _with_cost(value: Any, wanted: Wanted) -> bytes:
    """Write the cost as the JSON number that it is, which no float could hold."""
    whole, rest = divmod(wanted.reported_pusd or 0, 10**12)
    return json.dumps(value).replace(COST, f"{whole}.{rest:012d}").encode()


def _sse(data: bytes) -> bytes:
    return b"data: %s\n\n" % data


def _named(event: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode())


def _event(event: dict[str, Any], is_claude: bool) -> bytes:
    return _named(event) if is_claude else _sse(json.dumps({"error": event["error"]}).encode())


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RUDE)
    writer.transport.abort()
    raise ConnectionResetError
