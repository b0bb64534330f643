"""Request bodies for tests of their reading: one that passes, and the refusal of one that does not."""

from typing import Any

import pytest
from fakes import chat_body

from gateway.errors import Fault
from gateway.surfaces.proxy.bodies import decode
from providers.wire import Call

CHAT, COMPLETIONS, EMBEDDINGS = "chat/completions", "completions", "embeddings"
HI = '"messages":[{"role":"user","content":"hi"}]'


def refused(body: bytes | str, endpoint: str = CHAT) -> Fault:
    """The fault that a body is."""
    with pytest.raises(Fault) as refusal:
        decode(endpoint, body if isinstance(body, bytes) else body.encode())
    assert refusal.value.status == 400
    return refusal.value


def chat(more: str = "", model: str = '"m"') -> bytes:
    """A chat's body with further members as they are written."""
    return f'{{"model":{model},{HI}{"," if more else ""}{more}}}'.encode()


def call_of(**more: Any) -> Call:
    """A chat with further members, decoded."""
    return decode(CHAT, chat_body(**more))
