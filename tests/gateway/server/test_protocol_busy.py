"""What waits for the turn's end is not overtaken, and no connection closes on it."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from talks import Talk

POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer good\r\n"
# The lobby answers it before the protocol returns, with the body itself.
AT_ONCE = POST + b"content-length: 1\r\n\r\ne"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\ne"


@pytest.fixture(params=[False, True], ids=["quiet", "busy"])
def talk(request: pytest.FixtureRequest) -> Iterator[Talk]:
    """A connection, beside others or alone: what it says is the same."""
    with closing(Talk(is_busy=request.param)) as made:
        yield made


def in_one_turn(talk: Talk, *acts: Callable[[], object]) -> list[bytes]:
    """What was written by the end of a turn in which all this happened."""
    return talk.do(lambda: [act() for act in acts])


def hearing(talk: Talk, data: bytes) -> Callable[[], object]:
    """The arrival of a read."""
    return lambda: talk.protocol.data_received(data)


def test_an_answer_leaves_with_its_turn(talk: Talk) -> None:
    """And the next one after it."""
    assert in_one_turn(talk, hearing(talk, AT_ONCE)) == [ANSWER]
    assert in_one_turn(talk, hearing(talk, AT_ONCE)) == [ANSWER]


def test_what_is_no_request_is_answered_after_the_one_before(talk: Talk) -> None:
    """In the same turn; then the connection is closed."""
    first, second, *rest = in_one_turn(talk, hearing(talk, AT_ONCE), hearing(talk, b"\x00\x01\r\n\r\n"))
    assert (first, second[:12]) == (ANSWER, b"HTTP/1.1 400")
    assert all(b"HTTP" not in said for said in rest)


def test_an_answer_leaves_before_its_connection_closes(talk: Talk) -> None:
    """By the client's wish."""
    asked = AT_ONCE.replace(b"host: a", b"host: a\r\nconnection: close")
    said, closed = in_one_turn(talk, hearing(talk, asked))
    assert (said, closed) == (ANSWER.replace(b"1\r\n\r\n", b"1\r\nconnection: close\r\n\r\n"), b"<closed>")


def test_an_answer_leaves_before_the_server_ends(talk: Talk) -> None:
    """A drain that begins in the turn of the answer closes what is idle."""
    assert in_one_turn(talk, hearing(talk, AT_ONCE), talk.protocol.shutdown) == [ANSWER, b"<closed>"]


def test_an_answer_leaves_though_the_client_says_no_more(talk: Talk) -> None:
    """The loop closes the socket behind the end of what it says."""
    assert in_one_turn(talk, hearing(talk, AT_ONCE), talk.protocol.eof_received, talk.socket.close) == [
        ANSWER,
        b"<closed>",
    ]


def test_a_body_is_asked_for_after_the_answer_before(talk: Talk) -> None:
    """100 Continue is about the second request."""
    asked = POST + b"expect: 100-continue\r\ncontent-length: 1\r\n\r\n"
    assert in_one_turn(talk, hearing(talk, AT_ONCE), hearing(talk, asked)) == [
        ANSWER,
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ]
