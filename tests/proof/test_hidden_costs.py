"""Where a bill can hide: tries that failed, targets that were passed on to, answers that broke unseen."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from proof.raw_client import Heard, RawClient
from running import STREAM_HEAD, Request, Running, chat_reply, framed, json_reply, running, upstream

CONFIG = """
[retries]
max_tries = 3
base_backoff_ms = {backoff}
[providers.first]
dialect = "{dialect}"
base_url = "{url}/first"
api_key = "k"
[providers.second]
dialect = "{second}"
base_url = "{url}/second"
api_key = "k"
cancel_stops_billing = {cancels}
[[models]]
name = "both"
targets = [{{ provider = "first", model = "a" }}, {{ provider = "second", model = "b" }}]
[[models]]
name = "one"
targets = [{{ provider = "first", model = "a" }}]
"""
USAGE = {"prompt_tokens": 15, "completion_tokens": 10, "total_tokens": 25}
OVERLOADED = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'

Act = Callable[[asyncio.StreamWriter], Awaitable[None]]
Row = dict[str, Any]


class Scene:
    """A gateway with two providers; each acts as it is told, and a client may leave at a moment of its choosing."""

    def __init__(self, first: Act, second: Act) -> None:
        self._acts = {"first": first, "second": second}
        self.arrived: dict[str, asyncio.Event] = {"first": asyncio.Event(), "second": asyncio.Event()}

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """See running.upstream."""
        name = request.path.split("/")[2]
        self.arrived[name].set()
        await self._acts[name](writer)

    async def call(
        self, folder: Path, body: dict[str, Any], leaves_at: str = "", **config: str | int
    ) -> tuple[Heard, list[Row]]:
        """Make one call and give what was heard and its rows; leave once that provider was asked."""
        words: dict[str, str | int] = {"dialect": "openai", "second": "openai", "cancels": "false", "backoff": 1}
        words |= config
        async with upstream(self.answer) as providers:
            async with running(folder, CONFIG.format(url=providers.url, **words)) as gateway:
                client = RawClient(gateway.port)
                await client.send("/v1/chat/completions", gateway.live_key, body)
                heard = Heard()
                if leaves_at:
                    await asyncio.wait_for(self.arrived[leaves_at].wait(), 5)
                    await asyncio.sleep(0.02)
                else:
                    heard = await client.answer()
                await client.leave()
                await _come_to_rest(gateway)
                return heard, [{name: getattr(row, name) for name in row.__struct_fields__} for row in gateway.rows]


async def _come_to_rest(gateway: Running) -> None:
    metrics = gateway.gateway.services.metrics
    async with asyncio.timeout(10):
        while metrics.requests_in_flight or gateway.server.server_state.connections:
            await asyncio.sleep(0.005)


def chat(model: str, *, stream: bool, **more: Any) -> dict[str, Any]:
    """A chat."""
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello!"}], **more}


async def fail(writer: asyncio.StreamWriter) -> None:
    """A fault of the provider."""
    writer.write(json_reply({"error": {"message": "down"}}, 500))


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close the connection without an answer."""
    await asyncio.sleep(0)
    raise ConnectionResetError


async def babble(writer: asyncio.StreamWriter) -> None:
    """Answer something that is not HTTP."""
    writer.write(b"this is no answer\r\n\r\n")


async def hold_back(writer: asyncio.StreamWriter) -> None:
    """Think, and say nothing."""
    await asyncio.sleep(10)


async def stream_slowly(writer: asyncio.StreamWriter) -> None:
    """A stream that begins after a while, and reports 15 and 10 tokens."""
    await asyncio.sleep(0.05)
    writer.write(STREAM_HEAD)
    for choices, more in (([_choice("Hi", None)], ""), ([_choice("", "stop")], ""), ([], "usage")):
        writer.write(framed(_event({"id": "r", "choices": choices} | ({"usage": USAGE} if more else {}))))
        await asyncio.sleep(0.01)
    writer.write(framed(b"data: [DONE]\n\n") + framed(b""))


async def refuse_overloaded(writer: asyncio.StreamWriter) -> None:
    """Anthropic's way to say that it is overloaded once its 200 is out."""
    writer.write(STREAM_HEAD + framed(OVERLOADED) + framed(b""))


async def cut_off(writer: asyncio.StreamWriter) -> None:
    """A whole answer that was made, and of which the last bytes never come."""
    writer.write(json_reply(chat_reply("Hello!"))[:-20])
    await asyncio.sleep(0.01)
    raise ConnectionResetError


def _choice(text: str, finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": {"content": text}, "finish_reason": finish}


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % json_reply(chunk).partition(b"\r\n\r\n")[2]


async def test_who_leaves_during_a_fallback_is_charged_what_the_second_reports(tmp_path: Path) -> None:
    """The second provider bills on when its stream is closed, so it is read to its end, whoever was asked before it."""
    _, rows = await Scene(hang_up, stream_slowly).call(tmp_path, chat("both", stream=True), leaves_at="second")
    assert [(row["provider"], row["input_tokens"], row["output_tokens"]) for row in rows] == [("second", 15, 10)]
    assert not rows[0]["is_estimated"]


async def test_who_leaves_is_recorded_with_the_target_that_was_being_asked(tmp_path: Path) -> None:
    """The row of a call that was stopped before its answer names the last target and counts every try."""
    scene = Scene(fail, hold_back)
    _, rows = await scene.call(tmp_path, chat("both", stream=True), leaves_at="second", cancels="true")
    assert [(row["provider"], row["upstream_model"], row["attempts"]) for row in rows] == [("second", "b", 2)]


async def test_who_leaves_while_a_failed_call_waits_is_charged_nothing(tmp_path: Path) -> None:
    """A provider that failed before its answer has produced nothing, so there is nothing to estimate."""
    _, rows = await Scene(babble, fail).call(tmp_path, chat("one", stream=True), leaves_at="first", backoff=400)
    assert [(row["cost_basis"], row["input_tokens"], row["output_tokens"]) for row in rows] == [("none", 0, 0)]


async def test_a_provider_that_was_asked_leaves_a_row_though_the_next_cannot_be(tmp_path: Path) -> None:
    """The fallback cannot express the call, so the first provider is asked as often as if it stood alone."""
    _, rows = await Scene(fail, fail).call(tmp_path, chat("both", stream=False, n=2), second="anthropic")
    assert [row["attempts"] for row in rows] == [3]


async def test_a_fallback_that_cannot_say_it_does_not_blame_the_caller(tmp_path: Path) -> None:
    """The first provider takes the parameter and is down: that is a 502, and no 400 for what the caller asked."""
    heard, _ = await Scene(fail, fail).call(tmp_path, chat("both", stream=False, n=2), second="anthropic")
    assert heard.status == 502


async def test_a_stream_that_is_refused_by_its_first_event_falls_back(tmp_path: Path) -> None:
    """Nothing has reached the client yet, so Anthropic's overloaded_error is retried like a 529."""
    body = chat("both", stream=True)
    heard, rows = await Scene(refuse_overloaded, stream_slowly).call(tmp_path, body, dialect="anthropic")
    assert heard.is_done
    assert [(row["provider"], row["attempts"]) for row in rows] == [("second", 2)]


async def test_an_answer_that_broke_off_is_estimated_not_free(tmp_path: Path) -> None:
    """The provider made it and bills it, though the client gets an error: the row is flagged and holds the prompt."""
    heard, rows = await Scene(cut_off, fail).call(tmp_path, chat("one", stream=False))
    assert heard.status == 502
    assert [row["is_estimated"] and row["input_tokens"] > 0 for row in rows] == [True]


async def test_an_answer_that_broke_off_is_not_asked_for_again(tmp_path: Path) -> None:
    """The same target would make, and bill, the same answer twice."""
    _, rows = await Scene(cut_off, fail).call(tmp_path, chat("one", stream=False))
    assert [row["attempts"] for row in rows] == [1]
