"""The real provider traffic that may lie beside the project, for tests that replay it; else nothing."""

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CASSETTES = Path(__file__).parents[2] / "shared" / "data" / "cassettes"
CUTS = ("whole", "bytes", "random")
BYTEWISE_LIMIT_BYTES = 20_000


def recordings(*folders: str) -> list[Path]:
    """The recordings of ``provider/endpoint`` folders."""
    return [path for folder in folders for path in sorted((CASSETTES / folder).glob("*.json"))]


def load(path: Path) -> dict[str, Any]:
    """One recording."""
    item: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return item


def is_stream(item: dict[str, Any]) -> bool:
    """Whether the answer is a stream of events."""
    return "text/event-stream" in str((item["response"].get("headers") or {}).get("content-type", ""))


def body_of(item: dict[str, Any]) -> bytes:
    """The answer's bytes."""
    return str(item["response"]["body"]).encode("utf-8", "surrogatepass")


def cut(body: bytes, how: str, seed: str) -> Iterator[bytes]:
    """The body in pieces: whole, byte by byte (large ones at random), or at random."""
    if how == "whole":
        yield body
        return
    if how == "bytes" and len(body) <= BYTEWISE_LIMIT_BYTES:
        yield from (body[at : at + 1] for at in range(len(body)))
        return
    draw = random.Random(seed)  # noqa: S311 - cuts that repeat, not secrets
    at = 0
    while at < len(body):
        size = draw.choice((1, 2, 3, 7, 19, 64, 257, 1024))
        yield body[at : at + size]
        at += size


def digest(text: str) -> str:
    """As the recordings keep their texts."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
