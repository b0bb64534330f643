"""A stream on its way: what waits, what flows, what a slow, gone or silent party changes, and that it ends once."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from fakes import DONE, STREAM, USAGE_CHUNK, FakeClient, FakeExchange, chunk
from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.relay import COMMENT, MAX_WAITING_BYTES, Relay
from providers.errors import InvalidAnswer, Truncated
from providers.openai.stream import OpenAiStream

SHOWN = chunk("Hel") + chunk("lo!")


class Stream:
    """A relay with its two ends."""

    def __init__(self, *, cancels: bool = True, answers: int = 1) -> None:
        self.exchange = FakeExchange(is_prompt=False)
        self.client = FakeClient()
        self.relay = Relay(OpenAiStream(answers), self.exchange, asyncio.get_running_loop(), cancels=cancels)

    def feed(self, *pieces: bytes) -> "Stream":
        """Let the provider send."""
        for piece in pieces:
            self.relay.piece(piece)
        return self

    def attach(self) -> "Stream":
        """Let the client's head out."""
        self.relay.attach(self.client)
        return self


async def test_pieces_wait_until_the_clients_head_is_out() -> None:
    """Then they go at once, in one part."""
    stream = Stream().feed(*STREAM[:2]).attach()
    assert stream.client.parts == [SHOWN]


async def test_pieces_flow_once_the_client_is_there() -> None:
    """Each as it comes, with no task in between."""
    stream = Stream().attach().feed(*STREAM[:2])
    assert stream.client.parts == list(STREAM[:2])


async def test_nothing_that_waited_is_sent_twice() -> None:
    """The waiting bytes are gone once they are out."""
    stream = Stream().feed(STREAM[0]).attach().feed(STREAM[1])
    assert stream.client.parts == list(STREAM[:2])


async def test_what_waits_is_bounded() -> None:
    """A provider that sends faster than a head is written is held back."""
    stream = Stream().feed(chunk("x" * MAX_WAITING_BYTES))
    assert stream.exchange.log[-1] == "pause"


async def test_what_was_held_back_goes_on_with_the_client() -> None:
    """The reading is resumed."""
    stream = Stream().feed(chunk("x" * MAX_WAITING_BYTES)).attach()
    assert stream.exchange.log[-1] == "resume"


async def test_a_little_that_waits_holds_nothing_back() -> None:
    """The ordinary case."""
    assert "pause" not in Stream().feed(*STREAM[:2]).exchange.log


async def test_a_slow_client_holds_the_provider_back() -> None:
    """Memory stays bounded by the sockets' buffers."""
    stream = Stream().attach()
    stream.client.press(True)
    assert stream.exchange.log == ["pause"]


async def test_a_client_that_catches_up_lets_the_provider_go_on() -> None:
    """Pause and resume come in pairs."""
    stream = Stream().attach()
    stream.client.press(True)
    stream.client.press(False)
    assert stream.exchange.log == ["pause", "resume"]


async def test_a_client_that_is_slow_from_the_first_write_holds_the_provider_back() -> None:
    """What waited may fill its buffer already; that is not undone by attaching."""
    stream = Stream().feed(STREAM[0])
    stream.client.on_write = lambda: stream.client.press(True)
    stream.attach()
    assert [word for word in stream.exchange.log if word != "touch"][-1] == "pause"


async def test_started_once_there_is_something_to_send() -> None:
    """The head can go out."""
    stream = Stream().feed(STREAM[0])
    assert (stream.relay.started.done(), stream.relay.done.done()) == (True, False)


async def test_a_comment_of_the_provider_is_no_start() -> None:
    """Nothing of it goes to the client."""
    assert not Stream().feed(b": OPENROUTER PROCESSING\n\n").relay.started.done()


async def test_each_event_extends_the_idle_time() -> None:
    """Two events, two touches."""
    assert Stream().feed(*STREAM[:2]).exchange.log == ["touch", "touch"]


async def test_comments_and_halves_extend_nothing() -> None:
    """A provider that only keeps the line open is idle."""
    assert Stream().feed(b": ping\n\n", STREAM[0][:10]).exchange.log == []


async def test_the_last_event_ends_the_stream() -> None:
    """[DONE]: the rest of the connection is of no interest."""
    stream = Stream().attach().feed(*STREAM)
    assert (stream.relay.done.done(), stream.exchange.log[-1]) == (True, "release")


async def test_an_end_without_done_is_an_end() -> None:
    """The finish_reason was seen, so the answer is whole."""
    stream = Stream().attach().feed(chunk(), chunk(None, "stop"))
    stream.relay.ended(None)
    assert (stream.relay.done.done(), stream.relay.reader.failure) == (True, None)


async def test_a_connection_error_behind_the_finish_is_no_failure() -> None:
    """Complete: nothing that the client needs is missing."""
    stream = Stream().attach().feed(chunk(), chunk(None, "stop"))
    stream.relay.ended(Truncated("reset"))
    assert (stream.relay.reader.failure, stream.relay.reader.finished) == (None, True)


async def test_a_connection_error_before_the_finish_is_a_failure() -> None:
    """The client has to be told."""
    error = Truncated("reset")
    stream = Stream().attach().feed(chunk())
    stream.relay.ended(error)
    assert (stream.relay.reader.failure, stream.relay.done.done()) == (error, True)


async def test_a_clean_end_before_the_finish_is_a_failure() -> None:
    """The provider closed as if it were done, and it was not."""
    stream = Stream().attach().feed(chunk())
    stream.relay.ended(None)
    assert isinstance(stream.relay.reader.failure, Truncated)


async def test_a_stream_that_says_nothing_starts_with_its_end() -> None:
    """Whoever waits for the start learns of the failure."""
    stream = Stream()
    stream.relay.ended(Truncated("reset"))
    assert stream.relay.started.done()


@pytest.mark.parametrize("again", ["piece", "ended", "abandon", "close"])
async def test_a_stream_ends_once(again: str) -> None:
    """Whatever comes afterwards changes nothing."""
    stream = Stream().attach().feed(*STREAM)
    before = (list(stream.client.parts), list(stream.exchange.log))
    more: dict[str, Any] = {"piece": (chunk("more"),), "ended": (Truncated("reset"),)}
    getattr(stream.relay, again)(*more.get(again, ()))
    assert (stream.client.parts, stream.exchange.log) == before
    assert (stream.relay.reader.failure, stream.relay.is_abandoned) == (None, False)


async def test_leaving_closes_the_connection_where_that_stops_the_bill() -> None:
    """At once."""
    stream = Stream().attach().feed(chunk())
    stream.client.leave()
    assert (stream.exchange.log[-1], stream.relay.done.done(), stream.relay.is_abandoned) == ("abort", True, True)


async def test_leaving_reads_on_where_the_bill_runs_on() -> None:
    """The usage is worth it."""
    stream = Stream(cancels=False).attach().feed(chunk())
    stream.client.leave()
    assert ("abort" in stream.exchange.log, stream.relay.done.done()) == (False, False)


async def test_what_is_read_for_the_usage_goes_to_nobody() -> None:
    """Nor does it wait anywhere."""
    stream = Stream(cancels=False).attach()
    stream.client.leave()
    stream.feed(chunk("x" * MAX_WAITING_BYTES), chunk(None, "stop"), USAGE_CHUNK, DONE)
    assert (stream.client.parts, "pause" in stream.exchange.log) == ([], False)
    assert stream.relay.reader.usage is not None


async def test_leaving_while_held_back_reads_on() -> None:
    """A slow client that leaves does not keep the provider waiting for ever."""
    stream = Stream(cancels=False).attach()
    stream.client.press(True)
    stream.client.leave()
    assert stream.exchange.log == ["pause", "resume"]


async def test_reading_on_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that never ends is closed after a while."""
    monkeypatch.setattr("gateway.backends.relay.MAX_DRAIN_S", 0.001)
    stream = Stream(cancels=False).attach()
    stream.client.leave()
    async with asyncio.timeout(5):
        await stream.relay.done
    assert stream.exchange.log[-1] == "abort"


async def test_a_client_that_left_before_the_head_is_not_attached() -> None:
    """There is nobody to write to."""
    stream = Stream(cancels=False)
    stream.relay.abandon()
    stream.feed(chunk()).attach()
    assert stream.client.parts == []


async def test_a_silent_stream_gets_a_comment() -> None:
    """Proxies in between close quiet connections."""
    stream = Stream().attach()
    stream.relay.comment_if_silent(asyncio.get_running_loop().time() + 15, 15)
    assert stream.client.parts == [COMMENT]


async def test_a_stream_that_speaks_gets_none() -> None:
    """Silence is counted from the last write."""
    stream = Stream().attach()
    stream.relay.comment_if_silent(asyncio.get_running_loop().time() + 14, 15)
    assert stream.client.parts == []


async def test_comments_come_once_in_each_silence() -> None:
    """A comment is a write, too."""
    stream = Stream().attach()
    now = asyncio.get_running_loop().time()
    for passed in (15, 16, 29, 31):
        stream.relay.comment_if_silent(now + passed, 15)
    assert stream.client.parts == [COMMENT, COMMENT]


async def test_no_comment_comes_before_the_head() -> None:
    """It would be the first byte of the answer."""
    stream = Stream()
    stream.relay.comment_if_silent(1e12, 15)
    assert stream.client.parts == []


async def test_no_comment_goes_to_a_client_that_left() -> None:
    """It is read on for the usage alone."""
    stream = Stream(cancels=False).attach()
    stream.client.leave()
    stream.relay.comment_if_silent(1e12, 15)
    assert stream.client.log == []


async def test_a_stream_is_silent_until_there_is_something_to_see() -> None:
    """Comments and a role are not; as long as it is silent, another target may answer."""
    stream = Stream().feed(b": ping\n\n", STREAM[0][:10])
    assert stream.relay.is_silent
    assert not stream.feed(STREAM[0][10:]).relay.is_silent


async def test_a_stream_whose_first_event_is_its_last_is_not_silent() -> None:
    """It is held back for the figures, and it is an answer."""
    assert not Stream().feed(chunk("Hello", "stop")).relay.is_silent


async def test_a_stream_that_breaks_before_its_first_event_is_silent() -> None:
    """The failure is no part of an answer."""
    stream = Stream()
    stream.relay.ended(Truncated("reset"))
    assert stream.relay.is_silent


async def test_a_stream_is_attached_once_the_clients_head_is_out() -> None:
    """From then on only an event can tell the client of a failure."""
    stream = Stream().feed(STREAM[0])
    before = stream.relay.is_attached
    assert (before, stream.attach().relay.is_attached) == (False, True)


async def test_a_client_that_left_before_is_never_attached() -> None:
    """It has no head."""
    stream = Stream(cancels=False)
    stream.relay.abandon()
    assert not stream.attach().relay.is_attached


@pytest.mark.parametrize(("answers", "is_whole"), [(1, True), (2, False)])
async def test_a_connection_that_breaks_behind_the_finish_of_every_choice_broke_nothing(
    answers: int, is_whole: bool
) -> None:
    """Of two choices the other one is still missing: then why it broke is the failure."""
    stream = Stream(answers=answers).attach().feed(*STREAM[:3])
    broken = Truncated("the connection was reset")
    stream.relay.ended(broken)
    assert stream.relay.reader.finished is is_whole
    assert stream.relay.reader.failure is (None if is_whole else broken)


async def test_a_stream_is_bounded_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that never stops is cut off, and the client is told."""
    monkeypatch.setattr("gateway.backends.relay.MAX_STREAM_BYTES", 2 * len(SHOWN))
    stream = Stream().attach().feed(SHOWN, SHOWN)
    assert not stream.relay.done.done()
    stream.feed(b":")
    assert isinstance(stream.relay.reader.failure, InvalidAnswer)
    assert (stream.client.data, stream.exchange.log[-1]) == (2 * SHOWN, "abort")
    assert stream.relay.done.done()


async def test_what_nobody_sees_counts_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments cost the reading, too."""
    monkeypatch.setattr("gateway.backends.relay.MAX_STREAM_BYTES", 100)
    stream = Stream().attach()
    stream.feed(*[b": ping\n\n"] * 20)
    assert (stream.relay.done.done(), stream.exchange.log) == (True, ["abort"])


@given(st.lists(st.integers(0, sum(map(len, STREAM))), max_size=12), st.integers(0, 12))
async def test_any_cut_and_any_moment_of_attaching_gives_the_same_bytes(cuts: list[int], moment: int) -> None:
    """The client's bytes depend on the stream alone."""
    data = b"".join(STREAM)
    places = sorted({0, *cuts, len(data)})
    stream = Stream()
    for number, (start, end) in enumerate(pairwise(places)):
        if number == moment:
            stream.attach()
        stream.feed(data[start:end])
    if moment >= len(places) - 1:
        stream.attach()
    assert stream.client.data == SHOWN
    assert stream.relay.reader.finished
