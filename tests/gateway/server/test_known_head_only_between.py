"""A head is known only between two requests: not inside one, and not behind a refusal."""

from contextlib import closing
from typing import Any

import pytest
from talks import AT_ONCE, CHAT, HOST, KEY, PLAIN, Talk, ask

BAD = PLAIN.replace(b"good", b"bad")


@pytest.mark.parametrize(
    "reads",
    [
        [ask(AT_ONCE, BAD) + ask(AT_ONCE), ask(AT_ONCE, BAD)],
        [ask(AT_ONCE), ask(AT_ONCE) + b"P", ask(AT_ONCE)],
        [ask(AT_ONCE), ask(AT_ONCE, BAD) + b"P", ask(AT_ONCE)],
        [ask(AT_ONCE), ask(AT_ONCE) + CHAT + b"x-a: ", ask(AT_ONCE)],
        [
            ask(AT_ONCE) + CHAT + HOST[:3],
            HOST[3:] + KEY + b"content-length: 8\r\n\r\n" + AT_ONCE,
            HOST[3:] + KEY + b"content-length: 8\r\n\r\n" + AT_ONCE,
        ],
    ],
    ids=[
        "refused head with an accepted visit",
        "answered, then a beginning",
        "refused, then a beginning",
        "head in a head",
        "rest of a head",
    ],
)
def test_a_head_is_known_only_between_requests(reads: list[bytes]) -> None:
    """A read that begins inside a request, or holds two, is not taken for one with a known head."""
    with closing(Talk()) as talk, closing(Talk(reads_all=True)) as measure:
        for data in reads:
            assert talk.step(data) == measure.step(data)


async def answer_hastily(_: Any, receive: Any, send: Any) -> None:
    """Answer before the body is here."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"none"})


def test_a_body_that_is_still_coming_is_not_taken_for_a_request() -> None:
    """Although it reads like one."""
    with closing(Talk()) as talk:
        talk.protocol.app = answer_hastily
        talk.hear(ask(AT_ONCE), PLAIN.replace(b"/v1/", b"/v2/").replace(b"{}", b"%d" % len(ask(AT_ONCE))))
        assert talk.hear(ask(AT_ONCE)) == []
        assert len(talk.lobby.events) == 1
        assert talk.hear(ask(AT_ONCE))[0][9:12] == b"200"


@pytest.mark.parametrize(
    "refused",
    [ask(b"x" * 201), ask(AT_ONCE, PLAIN.replace(b"gateway", b"a/b")), ask(b"", BAD)],
    ids=["413", "400", "401"],
)
def test_nothing_is_answered_behind_a_refusal_that_ends_the_connection(refused: bytes) -> None:
    """Whatever came in the same read: the connection ends."""
    with closing(Talk()) as talk:
        talk.hear(refused + ask(AT_ONCE))
        assert (len(talk.socket.log), talk.lobby.events) == (2, [])


@pytest.mark.parametrize(
    "data",
    [
        ask(b"", PLAIN.replace(HOST, b"host: a/b\r\nconnection: upgrade\r\nupgrade: h2c\r\n")),
        ask(AT_ONCE, PLAIN.replace(HOST, HOST + b"connection: upgrade\r\nupgrade: h2c\r\n")) * 2,
    ],
    ids=["refused", "twice"],
)
def test_an_offer_to_upgrade_raises_nothing(data: bytes) -> None:
    """It is declined, however often it comes."""
    with closing(Talk()) as talk:
        talk.hear(data)
