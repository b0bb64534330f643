"""Load for a gateway process: a provider whose bill follows from a call's number, and callers who never stop asking."""

import asyncio
import itertools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from proof.raw_client import Heard, RawClient
from running import STREAM_HEAD, Request, framed, json_reply

CALL = re.compile(rb"call-(\d+)\b")
WORD = " hello"
INPUT_PUSD, OUTPUT_PUSD = 1_234_567, 7_654_321
# The call whose bill the provider does not tell, so that the gateway must estimate it.
UNBILLED = 99_999_999
OK = 200


class Provider(msgspec.Struct, kw_only=True):
    """Answers calls whole and streamed; a stream waits in its middle until ``gate`` is open."""

    gate: asyncio.Event
    asked: int = 0

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """See running.upstream."""
        self.asked += 1
        found = CALL.search(request.body)
        assert found is not None, "every call has a number"
        number = int(found[1])
        if request.path.endswith("embeddings"):
            counted = {"prompt_tokens": tokens_of(number)[0], "total_tokens": tokens_of(number)[0]}
            vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
            writer.write(json_reply({"object": "list", "data": [vector], "model": "m", "usage": counted}))
        elif b'"stream": true' in request.body:
            await self._stream(number, writer)
        else:
            message = {"role": "assistant", "content": WORD * 3}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            bill = {} if number == UNBILLED else {"usage": _usage(number)}
            writer.write(json_reply(_frame() | {"choices": [choice]} | bill))

    async def _stream(self, number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(_chunk({"role": "assistant", "content": ""}) + _chunk({"content": WORD})))
        await self.gate.wait()
        for _ in range(3):
            writer.write(framed(_chunk({"content": WORD})))
            await asyncio.sleep(0)
        usage = b"data: %s\n\n" % json.dumps(_frame() | {"choices": [], "usage": _usage(number)}).encode()
        writer.write(framed(_chunk({}, "stop") + usage + b"data: [DONE]\n\n") + framed(b""))


def open_provider(*, is_gate_open: bool = True) -> Provider:
    """A provider, whose streams flow at once or wait."""
    provider = Provider(gate=asyncio.Event())
    if is_gate_open:
        provider.gate.set()
    return provider


def configure(base_url: str, more: str = "") -> str:
    """A gateway with this one provider, at prices of the operator's."""
    return f"""{more}
[providers.proof]
dialect = "openai"
base_url = "{base_url}"
api_key = "k"
models = ["*"]
[[prices]]
provider = "proof"
model = "m"
effective_from = "2024-01-01"
input = "1.234567"
output = "7.654321"
"""


def tokens_of(number: int) -> tuple[int, int]:
    """Input and output of a call."""
    return number % 997 + 1, number % 89 + 1


def cost_of(number: int, endpoint: str) -> int:
    """What a call costs, in picodollars."""
    given, made = tokens_of(number)
    return given * INPUT_PUSD + (0 if endpoint == "embeddings" else made * OUTPUT_PUSD)


def is_right(row: Mapping[str, Any]) -> bool:
    """Whether a row is exactly what its call cost."""
    number = int(row["session"].removeprefix("call-"))
    return not row["is_estimated"] and row["cost_pusd"] == cost_of(number, row["endpoint"])


async def ask(client: RawClient, key: str, number: int, *, stream: bool) -> None:
    """Send a chat with this number."""
    messages = [{"role": "user", "content": f"call-{number}"}]
    body = {"model": "m", "messages": messages, "stream": stream}
    await client.send("/v1/chat/completions", key, body, {"x-watchllm-session": f"call-{number}"})


async def embed(client: RawClient, key: str, number: int) -> None:
    """Send an embedding with this number."""
    body = {"model": "m", "input": f"call-{number}"}
    await client.send("/v1/embeddings", key, body, {"x-watchllm-session": f"call-{number}"})


class Callers:
    """Callers of one gateway, until they are stopped or it is gone; ``take`` sees every answer."""

    def __init__(
        self, port: int, key: str, numbers: "itertools.count[int]", take: Callable[[int, Heard], None]
    ) -> None:
        self._port = port
        self._key = key
        self._numbers = numbers
        self._take = take
        self.is_stopped = False

    async def run(self, callers: int) -> None:
        """Call, this many at a time: two chats whole, two streamed and an embedding in turn."""
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(self._call_on())

    async def _call_on(self) -> None:
        client = RawClient(self._port)
        while not self.is_stopped:
            number = next(self._numbers)
            try:
                if number % 5 == 0:
                    await embed(client, self._key, number)
                else:
                    await ask(client, self._key, number, stream=number % 2 == 0)
            except ConnectionError:
                # The gateway was killed, and nothing listens.
                break
            heard = await client.answer()
            self._take(number, heard)
        await client.leave()


def is_answered(heard: Heard) -> bool:
    """The client has its whole answer and would rely on it."""
    is_stream = heard.headers.get("content-type", "").startswith("text/event-stream")
    return heard.status == OK and (heard.is_done if is_stream else heard.is_whole)


def journal_files(folder: Path) -> list[str]:
    """What lies in the journal of a data directory."""
    return [path.name for path in (folder / "data" / "journal").iterdir()]


def _frame() -> dict[str, Any]:
    return {"id": "r", "object": "o", "created": 1, "model": "m"}


def _chunk(delta: Mapping[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: %s\n\n" % json.dumps(_frame() | {"choices": [choice]}).encode()


def _usage(number: int) -> dict[str, int]:
    given, made = tokens_of(number)
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
