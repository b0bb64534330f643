"""Requests that come again byte for byte, at the door: read once for each key."""

from types import SimpleNamespace
from typing import Any

import pytest
from fakes import CALLER, FakeClient, chat_body
from msgspec.structs import replace

from gateway.surfaces.proxy import bodies
from tests.gateway.surfaces.proxy.test_openai import House, knock


async def test_what_came_before_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own key at its own endpoint; whoever else sends the same bytes has them read."""
    house, body, read = House(), chat_body(), list[str]()

    def decode(endpoint: str, given: bytes) -> Any:
        read.append(endpoint)
        return bodies.decode(endpoint, given)

    monkeypatch.setattr("gateway.surfaces.proxy.openai.bodies", SimpleNamespace(decode=decode))
    house.services.caching.answers.repeats.keep(CALLER.key_id, body, bodies.decode("chat/completions", body))
    visit = knock(house)
    visits = [visit, replace(visit, caller=replace(CALLER, key_id="key_9")), replace(visit, endpoint="completions")]
    for each in visits:
        client = FakeClient()
        answering = house.door.enter(each, bytes(bytearray(body)), client, 0)
        assert answering is not None
        await answering
        assert client.status == 200
    assert read == ["chat/completions", "completions"]
