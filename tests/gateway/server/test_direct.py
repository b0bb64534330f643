"""The client of the short way: exact bytes on the socket, and when it tells whom."""

import asyncio
import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import cast

import pytest

from gateway.errors import Fault
from gateway.server.direct import JOINED_BYTES, QUEUED_BYTES, DirectClient, last_answer, status_line
from providers.transport.outbox import Outbox

HEAD = b"x-a: 1\r\n"


class Socket:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""
        self.writes = self.parts = 0

    def is_closing(self) -> bool:
        """It is open."""
        return False

    def writelines(self, parts: Sequence[bytes | memoryview]) -> None:
        """Keep the parts of one write."""
        self.parts += len(parts)
        self.write(b"".join(parts))

    def write(self, data: bytes) -> None:
        """Keep the bytes."""
        self.data += data
        self.writes += 1


class Connection:
    """A client on a socket, and how often it said that it was done."""

    def __init__(self, *, keeps_alive: bool = True, is_http_11: bool = True) -> None:
        self.socket = Socket()
        self.completions = 0
        self.outbox = Outbox()
        # No loop runs here whose turn could end.
        self.outbox.at_once = 1_000
        self.client = DirectClient(
            cast("asyncio.Transport", self.socket),
            self.outbox,
            self._complete,
            keeps_alive=keeps_alive,
            is_http_11=is_http_11,
        )

    def _complete(self) -> None:
        self.completions += 1


def stream(connection: Connection) -> None:
    """Answer in two parts."""
    connection.client.start(HEAD)
    connection.client.write(b"0123456789abcdef")
    connection.client.end(b"end")


def test_a_whole_answer_is_one_write() -> None:
    """Status, head, length, body."""
    connection = Connection()
    connection.client.send(200, HEAD, b"body")
    assert (connection.socket.data, connection.socket.writes) == (
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 4\r\n\r\nbody",
        1,
    )


# Copied, in parts, and more than waits for others.
SIZES = [JOINED_BYTES, JOINED_BYTES + 1, QUEUED_BYTES, QUEUED_BYTES + 1]


@pytest.mark.parametrize("size", SIZES)
async def test_a_large_answer_is_one_write_as_well(size: int) -> None:
    """Of parts that are not copied before; what is too much to wait for others leaves at once."""
    connection = Connection()
    connection.outbox.at_once = 0
    connection.client.send(200, HEAD, b"x" * (size - 3), memoryview(b"end"))
    assert connection.socket.writes == (size > QUEUED_BYTES)
    connection.outbox.flush()
    head, _, body = connection.socket.data.partition(b"\r\n\r\n")
    assert (head.splitlines()[-1], body) == (b"content-length: %d" % size, b"x" * (size - 3) + b"end")
    assert (connection.socket.writes, connection.socket.parts) == (1, 3 if size > JOINED_BYTES else 0)


@pytest.mark.parametrize("is_http_11", [True, False], ids=["chunked", "to its end"])
@pytest.mark.parametrize("size", SIZES)
def test_the_end_of_a_long_stream_is_one_write_as_well(size: int, is_http_11: bool) -> None:
    """One chunk and the last one, in parts that are not copied before."""
    connection = Connection(is_http_11=is_http_11)
    connection.client.start(HEAD)
    connection.client.end(b"x" * (size - 3), b"end")
    connection.outbox.flush()
    _, _, body = connection.socket.data.partition(b"\r\n\r\n")
    data = b"x" * (size - 3) + b"end"
    assert body == (b"%x\r\n%b\r\n0\r\n\r\n" % (size, data) if is_http_11 else data)
    assert (connection.socket.writes, connection.completions) == (1, 1)
    assert (connection.socket.parts > 0) == (size > JOINED_BYTES)


def test_a_connection_that_will_close_says_so() -> None:
    """The client opens another."""
    connection = Connection(keeps_alive=False)
    connection.client.send(200, HEAD, b"")
    assert b"connection: close\r\n" in connection.socket.data


def test_a_stream_is_chunked() -> None:
    """Sizes in hexadecimal, and an empty chunk at the end."""
    connection = Connection()
    stream(connection)
    assert connection.socket.data == (
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n"
        b"10\r\n0123456789abcdef\r\n3\r\nend\r\n0\r\n\r\n"
    )


def test_a_streams_head_leaves_with_its_first_part() -> None:
    """One packet, not two."""
    connection = Connection()
    connection.client.start(HEAD)
    assert connection.socket.data == b""
    connection.client.write(b"a")
    assert connection.socket.writes == 1


def test_a_stream_of_one_part_has_its_head() -> None:
    """Even if the end is all there is."""
    connection = Connection()
    connection.client.start(HEAD)
    connection.client.end(b"end")
    assert connection.socket.data.startswith(b"HTTP/1.1 200 OK\r\nx-a: 1\r\n")


def test_http_10_gets_a_stream_without_chunks() -> None:
    """It ends where the connection closes, and says so."""
    connection = Connection(is_http_11=False)
    stream(connection)
    assert connection.socket.data == b"HTTP/1.1 200 OK\r\nx-a: 1\r\nconnection: close\r\n\r\n0123456789abcdefend"
    assert connection.client.keeps_alive is False


@pytest.mark.parametrize("how", ["send", "end"])
def test_an_end_is_told_once(how: str) -> None:
    """The connection goes on to its next request."""
    connection = Connection()
    if how == "send":
        connection.client.send(200, HEAD, b"")
    else:
        stream(connection)
    connection.client.left()
    assert connection.completions == 1


def test_nothing_follows_the_end_of_an_answer() -> None:
    """It would be read as the next answer."""
    connection = Connection()
    connection.client.send(200, HEAD, b"body")
    before = connection.socket.data
    connection.client.write(b"more")
    connection.client.end(b"more")
    connection.client.send(500, HEAD, b"more")
    assert connection.socket.data == before


def test_an_empty_part_does_not_end_a_stream() -> None:
    """A chunk of size 0 would."""
    connection = Connection()
    connection.client.start(HEAD)
    connection.client.write(b"a")
    connection.client.write(b"")
    connection.client.end(b"b")
    assert connection.socket.data.count(b"0\r\n\r\n") == 1


def test_an_answer_within_a_stream_does_not_begin_a_second_head() -> None:
    """A fault that comes in the middle is no part of the body."""
    connection = Connection()
    connection.client.start(HEAD)
    connection.client.write(b"a")
    connection.client.send(500, HEAD, b"fault")
    assert connection.socket.data.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("url", "headers", "status", "code"),
    [
        (b"", [], 413, ("error", "code", "request_too_large")),
        (b"/api/projects", [], 413, ("error", "code", "request_too_large")),
        (b"/api/v1/guardrails/spending?a=b", [], 400, ("code", "VALIDATION_ERROR")),
        (b"/api/v1/deployments", [], 400, ("error", "code", "INVALID_INPUT")),
        (b"/api/v1/auth/login", [(b"x-api-surface", b"s")], 400, ("error", "code", "INVALID_INPUT")),
        (b"/v1/usage", [], 400, ("error", "code", "invalid_request")),
    ],
)
def test_what_is_turned_away_is_told_as_its_paths_document_says(
    url: bytes, headers: list[tuple[bytes, bytes]], status: int, code: tuple[str, ...]
) -> None:
    """Its envelope and its statuses; every answer has an id."""
    head, _, body = last_answer(Fault("request_too_large", "Too large."), url, headers).partition(b"\r\n\r\n")
    told = json.loads(body)
    for name in code[:-1]:
        told = told[name]
    assert (int(head[9:12]), told) == (status, code[-1])
    assert b"\r\nx-request-id: req_" in head
    assert head.endswith(b"connection: close")


def test_leaving_is_told() -> None:
    """Once, and writing does nothing from then on."""
    connection = Connection()
    told: list[object] = []
    connection.client.watch(lambda: told.append(1), lambda _: None)
    connection.client.left()
    connection.client.left()
    connection.client.send(200, HEAD, b"body")
    assert (told, connection.client.is_gone, connection.socket.data) == ([1], True, b"")


def test_leaving_after_the_end_is_no_leaving() -> None:
    """The answer is out."""
    connection = Connection()
    told: list[object] = []
    connection.client.watch(lambda: told.append(1), lambda _: None)
    connection.client.send(200, HEAD, b"body")
    connection.client.left()
    assert (told, connection.client.is_gone) == ([], False)


def test_a_watcher_that_comes_late_is_told_at_once() -> None:
    """The client left before."""
    connection = Connection()
    told: list[object] = []
    connection.client.left()
    connection.client.watch(lambda: told.append(1), lambda _: None)
    assert told == [1]


def test_the_last_watcher_is_the_one_that_is_told() -> None:
    """Each room replaces the one before."""
    connection = Connection()
    told: list[object] = []
    connection.client.watch(lambda: told.append("first"), lambda _: None)
    connection.client.watch(lambda: told.append("second"), lambda _: None)
    connection.client.left()
    assert told == ["second"]


def test_slow_reading_is_told() -> None:
    """And that it is over."""
    connection = Connection()
    told: list[object] = []
    connection.client.watch(lambda: None, told.append)
    connection.client.press(True)
    connection.client.press(False)
    assert told == [True, False]


def test_slow_reading_of_an_answer_that_is_out_concerns_nobody() -> None:
    """The provider's stream is over."""
    connection = Connection()
    told: list[object] = []
    connection.client.watch(lambda: None, told.append)
    stream(connection)
    connection.client.press(True)
    assert told == []


@pytest.mark.parametrize("status", [status.value for status in HTTPStatus if status.value >= 200])
def test_a_known_status_has_its_phrase(status: int) -> None:
    """As RFC 9110 lists them."""
    assert status_line(status) == f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()


@pytest.mark.parametrize("status", [418 + 101, 529, 599])
def test_an_unnamed_status_is_sent_all_the_same(status: int) -> None:
    """Providers invent statuses, and the sandbox plays them."""
    assert status_line(status) == f"HTTP/1.1 {status} Unnamed\r\n".encode()


def test_what_cannot_become_a_call_has_a_name_too() -> None:
    """Each its own, so that whoever was refused can be found."""
    heads = [last_answer(Fault("request_timeout", "Late.")).partition(b"\r\n\r\n")[0] for _ in range(2)]
    names = [re.findall(rb"\r\nx-request-id: (req_[0-9a-z]{26})\r\n", head) for head in heads]
    assert [len(name) for name in names] == [1, 1]
    assert names[0] != names[1]
