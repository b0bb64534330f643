"""A stand-in for OpenAI: answers every chat with the same words and the usage that belongs to them."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

WORDS = ("Hello", "!", " How", " can", " I", " help", "?")
USAGE = {"prompt_tokens": 9, "completion_tokens": len(WORDS), "total_tokens": 9 + len(WORDS)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer whole or as a stream."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind, body = ("text/event-stream", stream(asked)) if asked.get("stream") else ("application/json", whole(asked))
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Be silent."""


def whole(asked: dict[str, Any]) -> bytes:
    """Write a chat completion."""
    message = {"role": "assistant", "content": "".join(WORDS)}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps(_reply(asked, "chat.completion", choices) | {"usage": USAGE}).encode()


def stream(asked: dict[str, Any]) -> bytes:
    """Write the same as events, usage last."""
    deltas: list[tuple[dict[str, str], str | None]] = [({"content": word}, None) for word in WORDS]
    chunks = [
        _reply(asked, "chat.completion.chunk", [{"index": 0, "delta": delta, "finish_reason": reason}])
        for delta, reason in [*deltas, ({}, "stop")]
    ]
    chunks.append(_reply(asked, "chat.completion.chunk", []) | {"usage": USAGE})
    return b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


def _reply(asked: dict[str, Any], kind: str, choices: list[Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_795_000_000, "model": asked["model"], "choices": choices}


@contextmanager
def openai_stand_in() -> Generator[str, None, None]:
    """Run it; yields its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
