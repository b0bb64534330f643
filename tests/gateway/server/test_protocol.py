"""The HTTP of the server: what it refuses, when it gives up, and that what it accepts goes on."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lines import SECOND_S, line
from running import (
    STREAM_HEAD,
    Request,
    Running,
    always,
    chat_reply,
    framed,
    json_reply,
    openai_config,
    running,
    upstream,
)

from gateway.server.checks import MAX_URL_BYTES
from gateway.server.protocol import MAX_HEAD_BYTES, GatewayProtocol

CHAT = b"/v1/chat/completions"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def start(folder: Path) -> AsyncIterator[Running]:
    """A gateway whose provider says hello, with small bodies and short times."""
    more = "[server]\nmax_body_bytes = 2_048\nheader_timeout_ms = 100\nbody_timeout_ms = 100\n"
    async with upstream(always(json_reply(chat_reply()))) as provider:
        async with running(folder, openai_config(provider, more)) as started:
            yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One for this module: each test has connections of its own."""
    async with start(tmp_path_factory.mktemp("protocol")) as started:
        yield started


def post(
    gateway: Running, body: bytes = b"", *lines: bytes, version: bytes = b"1.1", length: int | None = None
) -> bytes:
    """A chat call by hand."""
    head = [
        b"POST %s HTTP/%s" % (CHAT, version),
        b"host: gateway",
        b"authorization: Bearer " + gateway.live_key.encode(),
        *lines,
    ]
    if b"transfer-encoding: chunked" not in lines:
        head.append(b"content-length: %d" % (len(body) if length is None else length))
    return b"\r\n".join(head) + b"\r\n\r\n" + body


HEALTH = b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n"


def hello(**more: Any) -> bytes:
    """The body of a chat call."""
    return json.dumps({"model": "gpt-4", "messages": [{"role": "user", "content": "Hello!"}], **more}).encode()


def sweep(gateway: Running, seconds: float) -> None:
    """Do what the server does every second, as if this much time had gone by."""
    now_s = asyncio.get_running_loop().time()
    for connection in list(gateway.server.state.connections):
        if isinstance(connection, GatewayProtocol):
            connection.sweep(now_s)
            connection.sweep(now_s + seconds)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: evil/?\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: me@evil\r\n\r\n",
        b"GET http://evil.example/health HTTP/1.1\r\nhost: gateway\r\n\r\n",
        b"GET /health HTTP/1.1\nhost: gateway\n\n",
        b"GET /health HTTP/1.1\r\nhost : gateway\r\n\r\n",
        b"GET /health HTTP/9.9\r\nhost: gateway\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
    ids=["no host", "two hosts", "path", "user", "absolute", "bare LF", "space before colon", "version", "TLS"],
)
async def test_a_request_that_could_be_read_in_two_ways_is_refused(gateway: Running, head: bytes) -> None:
    """One Host that is a host, a target that is a path, and HTTP/1.1 to the letter; else 400 and the end."""
    async with line(gateway) as client:
        client.send(head)
        assert await client.refusal() == (400, "invalid_request")
        assert await client.is_closed()


@pytest.mark.parametrize("version", [b"2.0", b"0.9"])
async def test_another_version_is_not_spoken(gateway: Running, version: bytes) -> None:
    """Nor answered as if it were HTTP/1.1."""
    async with line(gateway) as client:
        client.send(post(gateway, hello(), version=version))
        assert (await client.refusal())[0] == 505
        assert await client.is_closed()


async def test_http_1_0_has_a_connection_for_each_request(gateway: Running) -> None:
    """It would wait for an end of the answer that it is not told of, whatever it asked for."""
    for request in (post(gateway, hello(), b"connection: keep-alive", version=b"1.0"), HEALTH.replace(b"1.1", b"1.0")):
        async with line(gateway) as client:
            client.send(request)
            status, headers, _ = await client.answer()
            assert (status, headers["connection"]) == (200, "close")
            assert await client.is_closed()


@pytest.mark.parametrize("way", ["short", "ordinary"])
async def test_an_answer_before_which_another_request_came_says_that_nothing_follows(
    gateway: Running, way: str
) -> None:
    """RFC 9112 section 9.6: so the client knows that the others were not read."""
    request = HEALTH if way == "ordinary" else post(gateway, hello())
    async with line(gateway) as client:
        client.send(request * 3)
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await client.is_closed()


async def test_http_1_0_needs_no_host(gateway: Running) -> None:
    """The header came with HTTP/1.1."""
    async with line(gateway) as client:
        client.send(b"GET /health HTTP/1.0\r\n\r\n")
        assert (await client.answer())[0] == 200


async def test_a_head_that_is_too_large_is_refused(gateway: Running) -> None:
    """431, and nothing of it is kept."""
    async with line(gateway) as client:
        client.send(b"GET /health HTTP/1.1\r\nhost: gateway\r\nx-a: " + b"a" * (MAX_HEAD_BYTES + 10) + b"\r\n\r\n")
        assert (await client.refusal())[0] == 431


async def test_a_head_that_never_ends_is_refused(gateway: Running) -> None:
    """The size counts while the head is still coming."""
    async with line(gateway) as client:
        client.send(b"GET /health HTTP/1.1\r\nhost: gateway\r\n")
        for _ in range(MAX_HEAD_BYTES // 16_384 + 1):
            client.send(b"x-a: " + b"a" * 16_384 + b"\r\n")
            await asyncio.sleep(0.005)
        assert (await client.refusal())[0] == 431


async def test_a_path_that_is_too_long_is_refused(gateway: Running) -> None:
    """414."""
    async with line(gateway) as client:
        client.send(b"GET /" + b"a" * MAX_URL_BYTES + b" HTTP/1.1\r\nhost: gateway\r\n\r\n")
        assert (await client.refusal())[0] == 414


@pytest.mark.parametrize("start", [b"GET /health HTTP/1.1\r\nhost: ", b""], ids=["headers", "body"])
async def test_what_comes_too_slowly_is_given_up(gateway: Running, start: bytes) -> None:
    """408 for a head and for a body, by the times of [server]."""
    async with line(gateway) as client:
        client.send(start or post(gateway, b'{"model"', length=500))
        for _ in range(20):
            await asyncio.sleep(0.002)
        sweep(gateway, 0.2)
        assert await client.refusal() == (408, "request_timeout")
        assert await client.is_closed()


async def test_a_connection_that_is_used_is_not_given_up(gateway: Running) -> None:
    """A call that is being answered has no deadline of the client's side."""
    async with line(gateway) as client:
        client.send(post(gateway, hello()))
        assert (await client.answer())[0] == 200
        sweep(gateway, 10.0)
        client.send(post(gateway, hello()))
        assert (await client.answer())[0] == 200


async def test_a_body_that_says_it_is_too_large_is_not_read(gateway: Running) -> None:
    """413 before the first byte of it."""
    async with line(gateway) as client:
        client.send(post(gateway, length=1 << 30))
        assert await client.refusal() == (413, "request_too_large")
    # As the document of the path says it.
    async with line(gateway) as client:
        client.send(b"POST /api/v1/auth/login HTTP/1.1\r\nhost: gateway\r\ncontent-length: 9999\r\n\r\n")
        status, _, body = await client.answer()
        assert (status, json.loads(body)["code"]) == (400, "VALIDATION_ERROR")


async def test_a_body_that_grows_too_large_is_refused(gateway: Running) -> None:
    """Chunks carry no total, so the sum counts."""
    async with line(gateway) as client:
        client.send(post(gateway, framed(b"x" * 1_500) * 2, b"transfer-encoding: chunked"))
        assert await client.refusal() == (413, "request_too_large")


async def test_a_refusal_reaches_a_client_that_is_still_sending(gateway: Running) -> None:
    """RFC 9112 section 9.6: who closes at once resets the connection, and the answer is lost to the client."""
    request = post(gateway, b"x" * 3_000_000)

    def send_then_read() -> bytes:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=SECOND_S) as client:
            for start in range(0, len(request), 65_536):
                client.sendall(request[start : start + 65_536])
            return client.recv(12)

    assert await asyncio.to_thread(send_then_read) == b"HTTP/1.1 413"


async def test_a_chunked_body_is_read(gateway: Running) -> None:
    """Its parts are put together."""
    body = hello()
    async with line(gateway) as client:
        client.send(post(gateway, framed(body[:9]) + framed(body[9:]) + b"0\r\n\r\n", b"transfer-encoding: chunked"))
        assert (await client.answer())[0] == 200


async def test_another_transfer_encoding_is_refused(gateway: Running) -> None:
    """A body in gzip would be taken for what it is not."""
    async with line(gateway) as client:
        lines = b"transfer-encoding: gzip, chunked"
        request = post(gateway, b"", lines).replace(b"content-length: 0\r\n", b"")
        client.send(request + framed(hello()) + b"0\r\n\r\n")
        assert (await client.refusal())[0] in (400, 501)


async def test_a_body_is_asked_for_when_it_is_wanted(gateway: Running) -> None:
    """100 Continue for a caller that is known."""
    async with line(gateway) as client:
        client.send(post(gateway, b"", b"expect: 100-continue", length=len(hello())))
        async with asyncio.timeout(SECOND_S):
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(hello())
        assert (await client.answer())[0] == 200


async def test_a_body_is_not_asked_for_in_vain(gateway: Running) -> None:
    """A stranger gets 401 in place of 100 Continue, and the end, since the body may still come."""
    async with line(gateway) as client:
        request = post(gateway, b"", b"expect: 100-continue", length=10)
        client.send(request.replace(gateway.live_key.encode(), b"wrong"))
        assert await client.refusal() == (401, "invalid_api_key")
        assert await client.is_closed()


async def test_a_request_before_its_turn_is_sent_again(tmp_path: Path) -> None:
    """Pipelining: the first is answered, the second was not read, and the connection ends."""
    async with start(tmp_path) as gateway:
        async with line(gateway) as client:
            client.send(post(gateway, hello()) + post(gateway, hello()))
            assert (await client.answer())[0] == 200
            assert await client.is_closed()
        assert len(gateway.rows) == 1


async def test_a_refused_call_leaves_the_connection_usable(gateway: Running) -> None:
    """401, 400, 404 and 405, then a chat, all on one connection."""
    async with line(gateway) as client:
        client.send(post(gateway, hello()).replace(gateway.live_key.encode(), b"wrong"))
        assert (await client.answer())[0] == 401
        client.send(post(gateway, b"{"))
        assert (await client.answer())[0] == 400
        client.send(b"GET /nothing HTTP/1.1\r\nhost: gateway\r\n\r\n")
        assert (await client.answer())[0] == 404
        client.send(b"GET %s HTTP/1.1\r\nhost: gateway\r\n\r\n" % CHAT)
        assert (await client.answer())[0] == 405
        client.send(post(gateway, hello()))
        assert (await client.answer())[0] == 200


async def test_a_body_in_small_pieces_after_a_refusal_is_forgotten(gateway: Running) -> None:
    """What is left of a refused request is not taken for the next one."""
    body = hello()
    async with line(gateway) as client:
        client.send(post(gateway, body[:5], length=len(body)).replace(gateway.live_key.encode(), b"wrong"))
        assert (await client.answer())[0] == 401
        client.send(body[5:])
        await asyncio.sleep(0.02)
        client.send(post(gateway, body))
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize("method", [b"OPTIONS", b"TRACE", b"PUT", b"DELETE"])
async def test_other_methods_are_refused(gateway: Running, method: bytes) -> None:
    """The proxied paths take POST."""
    async with line(gateway) as client:
        client.send(b"%s %s HTTP/1.1\r\nhost: gateway\r\n\r\n" % (method, CHAT))
        assert await client.refusal() == (405, "method_not_allowed")


async def test_head_gets_no_body(gateway: Running) -> None:
    """Whatever a HEAD is answered, no body follows, so that the next answer is read as it stands."""
    async with line(gateway) as client:
        client.send(b"HEAD %s HTTP/1.1\r\nhost: gateway\r\n\r\n" % CHAT)
        async with asyncio.timeout(SECOND_S):
            head = await client.reader.readuntil(b"\r\n\r\n")
        assert b" 405 " in head
        client.send(b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n")
        assert (await client.answer())[0] == 200


async def test_an_offer_to_upgrade_is_not_taken_up(gateway: Running) -> None:
    """RFC 9110 section 7.8: a server may ignore it. Java's HTTP client offers h2c with every plain request."""
    async with line(gateway) as client:
        offer = (b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAEAAEAA")
        client.send(post(gateway, hello(), *offer))
        assert (await client.answer())[0] == 200


async def stream_slowly(_: Request, writer: asyncio.StreamWriter) -> None:
    """A provider that takes a moment for its second half."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    first = {**chunk, "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]}
    last = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {**chunk, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}
    events = [b"data: %s\n\n" % json.dumps(event).encode() for event in (first, last, usage)]
    writer.write(STREAM_HEAD + framed(events[0]))
    await asyncio.sleep(0.05)
    writer.write(framed(events[1] + events[2] + b"data: [DONE]\n\n") + b"0\r\n\r\n")


async def test_http_1_0_gets_a_stream_that_ends_with_the_connection(tmp_path: Path) -> None:
    """HTTP/1.0 knows no chunks."""
    async with upstream(stream_slowly) as provider, running(tmp_path, openai_config(provider)) as gateway:
        async with line(gateway) as client:
            client.send(post(gateway, hello(stream=True), version=b"1.0"))
            status, headers, body = await client.answer()
    assert status == 200
    assert "transfer-encoding" not in headers
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")


async def test_a_stream_that_runs_ends_before_the_server_does(tmp_path: Path) -> None:
    """A stop lets what is being answered end, writes its row, and takes nothing new on that connection."""
    async with upstream(stream_slowly) as provider, running(tmp_path, openai_config(provider)) as gateway:
        async with line(gateway) as client:
            client.send(post(gateway, hello(stream=True)))
            async with asyncio.timeout(SECOND_S):
                head = await client.reader.readuntil(b"\n\n")
                gateway.server.handle_exit(signal.SIGTERM, None)
                rest = await client.reader.read()
    assert b" 200 " in head
    assert b"data: [DONE]\n\n" in rest
    assert [(row.status, row.total_tokens) for row in gateway.rows] == [("complete", 4)]


async def test_an_idle_connection_is_closed_when_the_server_ends(tmp_path: Path) -> None:
    """Nobody waits for it."""
    async with start(tmp_path) as gateway, line(gateway) as client:
        client.send(post(gateway, hello()))
        assert (await client.answer())[0] == 200
        gateway.server.handle_exit(signal.SIGTERM, None)
        assert await client.is_closed()


async def test_one_connection_too_many_is_refused(tmp_path: Path) -> None:
    """[server] max_connections; those that are open go on."""
    async with running(tmp_path, "[server]\nmax_connections = 2\n") as gateway:
        async with line(gateway) as first, line(gateway) as second:
            for client in (first, second):
                client.send(b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n")
                assert (await client.answer())[0] == 200
            async with line(gateway) as third:
                third.send(b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n")
                async with asyncio.timeout(SECOND_S):
                    answer = await third.reader.read(12)
            assert answer in (b"", b"HTTP/1.1 503")
            first.send(b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n")
            assert (await first.answer())[0] == 200
