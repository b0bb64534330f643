"""The seam to the dialects: each of them has what the protocols ask for."""

import inspect
from typing import Any

import pytest

from providers.anthropic.dialect import AnthropicDialect
from providers.openai.dialect import OpenAiDialect
from providers.openai.stream import OpenAiStream
from providers.wire import Call, Dialect, StreamReader

CALL = Call(endpoint="chat/completions", body=b"{}", model="m", stream=True)
DIALECTS: list[Dialect] = [
    OpenAiDialect(endpoints=frozenset({"chat/completions"}), quirks=(), asks_stream_usage=True, now_s=lambda: 0),
    AnthropicDialect(now_s=lambda: 0),
]
READERS: list[StreamReader] = [OpenAiStream(), *(dialect.open_stream(CALL) for dialect in DIALECTS)]


def parameters(owner: Any, name: str) -> list[str]:
    """The names of a method's parameters, self aside."""
    return [parameter for parameter in inspect.signature(getattr(owner, name)).parameters if parameter != "self"]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: type(dialect).__name__)
@pytest.mark.parametrize("name", ["encode", "decode", "open_stream"])
def test_a_dialects_methods_take_what_the_protocol_says(dialect: Dialect, name: str) -> None:
    """The gateway calls them by position."""
    assert parameters(dialect, name) == parameters(Dialect, name)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: type(reader).__name__)
def test_a_fresh_reader_has_seen_nothing(reader: StreamReader) -> None:
    """No usage, no end, no failure, nothing held back, no event, no text."""
    state = (reader.usage, reader.finished, reader.failure, reader.held, reader.usage_chunk, reader.events)
    assert state == (None, False, None, None, None, 0)
    assert reader.delivered().text() == ""


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: type(dialect).__name__)
def test_each_stream_has_a_reader_of_its_own(dialect: Dialect) -> None:
    """Two calls at once never share their state."""
    assert dialect.open_stream(CALL) is not dialect.open_stream(CALL)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: type(dialect).__name__)
def test_a_stream_that_ends_at_once_is_a_failure(dialect: Dialect) -> None:
    """No reader takes silence for an answer."""
    reader = dialect.open_stream(CALL)
    assert (reader.end(), reader.failure is None, reader.finished) == (b"", False, False)
