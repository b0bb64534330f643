"""How a connection ends: who is refused before the body is whole has the time to read why."""

from collections.abc import Coroutine
from contextlib import closing
from typing import Any

import pytest
from talks import BOUNDS, CHUNKED, PLAIN, Lobby, Talk, ask

from gateway.errors import Fault
from gateway.server.connection import LINGER_MS
from gateway.server.direct import DirectClient

GROWING = CHUNKED + b"c9\r\n" + b"x" * 201 + b"\r\n"
LARGE = {"said": ask(b"x" * 201), "grown": GROWING, "broken": CHUNKED + b"no length\r\n"}


class SlowLobby(Lobby):
    """A door whose refusals wait, as for counters that are shared."""

    def decline(self, visit: Any, client: DirectClient, fault: Fault) -> Coroutine[Any, Any, None] | None:
        """Refuse when the test says so."""
        return self.answer(3, b"%d" % fault.status, client)


def talk_slowly() -> Talk:
    """A connection to such a door."""
    talk = Talk()
    talk.lobby = SlowLobby(talk.loop)
    talk.connect(talk.lobby)
    return talk


@pytest.mark.parametrize("request_bytes", LARGE.values(), ids=LARGE)
def test_what_comes_while_a_refusal_waits_is_not_read(request_bytes: bytes) -> None:
    """Neither the rest of the body, nor what looks like a request; there is one answer, and then the gateway's end."""
    with closing(talk_slowly()) as talk:
        assert talk.hear(request_bytes, b"x" * 300, ask(b"\1next")) == []
        assert (talk.lobby.events, talk.lobby.knocks) == ([], 1)
        answer, end = talk.release()
        assert (b"connection: close" in answer, end) == (True, b"<eof>")
        assert talk.hear(ask(b"\1next")) == []
        assert talk.wait_s(LINGER_MS / 1_000) == [b"<closed>"]


def test_a_refusal_that_waits_has_no_deadline_of_the_clients() -> None:
    """Its own is the counters'."""
    with closing(talk_slowly()) as talk:
        assert talk.hear(LARGE["said"]) == []
        assert talk.wait_s(BOUNDS.body_timeout_ms / 1_000 + 1) == []
        assert len(talk.release()) == 2


def test_a_slow_body_is_refused_as_its_caller_is() -> None:
    """408, by the door that knows who it is."""
    with closing(talk_slowly()) as talk:
        talk.hear(PLAIN.replace(b"{}", b"9"))
        assert talk.wait_s(BOUNDS.body_timeout_ms / 1_000) == []
        assert b"408" in talk.release()[0]


def test_a_body_elsewhere_is_refused_there_and_the_connection_ends() -> None:
    """By what answers ordinary requests, without a byte of the body."""
    with closing(Talk()) as talk:
        talk.protocol.app = refuse_unread
        head = PLAIN.replace(b"/v1/chat/completions", b"/api/projects").replace(b"KEY", b"")
        written = talk.hear(ask(b"x" * 201, head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")))
        assert (written[0][9:12], written[-1], b"<closed>" in written) == (b"413", b"<eof>", False)
        assert talk.hear(ask(b"\1next")) == []
        assert talk.wait_s(LINGER_MS / 1_000) == [b"<closed>"]


async def refuse_unread(_: Any, receive: Any, send: Any) -> None:
    """Answer by the head alone."""
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"none"})
