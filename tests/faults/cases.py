"""The hostile inputs that may lie beside the project: their cases, their tool, and the bytes of their requests."""

import importlib.util
import json
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

SHARED = Path(__file__).parents[3] / "shared"
CASES_FILE = SHARED / "data" / "bad_inputs.jsonl"
TOOL_FILE = SHARED / "tools" / "fault_upstream.py"
HELLO = [{"role": "user", "content": "Hello!"}]

Case = dict[str, Any]


@cache
def load_cases() -> dict[str, Case]:
    """Every case by id; none where the file is absent."""
    if not CASES_FILE.is_file() or not TOOL_FILE.is_file():
        return {}
    return {case["id"]: case for case in map(json.loads, CASES_FILE.read_text(encoding="utf-8").splitlines())}


@cache
def load_tool() -> ModuleType:
    """The fault upstream as a module, for the bodies that its generators make."""
    spec = importlib.util.spec_from_file_location("fault_upstream", TOOL_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dialect_of(case: Case) -> str:
    """The provider's dialect that a case is about."""
    return str(case["expect"].get("provider", "openai"))


def substitute(value: Any, names: dict[str, str]) -> Any:
    """Fill the ``$NAMES`` in every text of a value; longer names first, so that $KEY leaves $KEY_A alone."""
    if isinstance(value, str):
        for name in sorted(names, key=len, reverse=True):
            value = value.replace(f"${name}", names[name])
        return value
    if isinstance(value, list):
        return [substitute(item, names) for item in value]
    if isinstance(value, dict):
        return {key: item if key in ("hex", "kind", "name") else substitute(item, names) for key, item in value.items()}
    return value


def header_lines(headers: dict[str, Any]) -> list[bytes]:
    """The header lines of a case's request, without line ends."""
    lines = []
    for name, given in headers.items():
        for value in given if isinstance(given, list) else [given]:
            text = b"".join(load_tool().generate(value)) if isinstance(value, dict) else value.encode("latin-1")
            lines.append(name.encode() + b": " + text)
    return lines


def request_bytes(request: dict[str, Any], names: dict[str, str]) -> bytes:
    """A whole request of the client's side as it goes over the wire."""
    filled = substitute(request, names)
    spec = filled["body"]
    body = load_tool().body_bytes(spec)
    lines = [f"{filled['method']} {filled['path']} HTTP/1.1".encode(), b"host: gateway.test"]
    lines += header_lines(filled["headers"])
    if spec is not None:
        lines.append(b"content-length: %d" % spec.get("content_length", len(body)))
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(body)


def chat_request(model: str, key: str, **more: Any) -> bytes:
    """A well-formed chat call."""
    body = json.dumps({"model": model, "messages": HELLO, **more}).encode()
    return post_request("/v1/chat/completions", key, body)


def post_request(path: str, key: str, body: bytes) -> bytes:
    """A well-formed call with a JSON body."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get_request(path: str, key: str = "") -> bytes:
    """A well-formed GET."""
    credential = f"authorization: Bearer {key}\r\n" if key else ""
    return f"GET {path} HTTP/1.1\r\nhost: gateway.test\r\n{credential}\r\n".encode()
