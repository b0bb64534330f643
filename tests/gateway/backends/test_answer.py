"""A provider's whole answer, read: in either form that it may come in, and its errors with their headers."""

import json

import pytest
from fakes import STREAM, answer_body, make_call, plain_dialect, whole

from gateway.backends.answer import is_success, read_answer
from providers.chat import Answer
from providers.errors import InvalidAnswer, ProviderError, Refused
from providers.wire import Headers

HEADERS: Headers = ((b"retry-after", b"2"),)


def read(body: bytes, status: int = 200, endpoint: str = "chat/completions") -> Answer:
    """What is read of a body."""
    reply = whole(status=status, headers=HEADERS, body=body)
    return read_answer(plain_dialect(), make_call(endpoint=endpoint), reply, reply.body)


def test_an_answer_is_read() -> None:
    """Its bytes stay, and its usage is told."""
    answer = read(answer_body())
    assert answer.usage is not None
    assert (answer.body, answer.usage.total_tokens) == (answer_body(), 25)


@pytest.mark.parametrize("status", [200, 201, 299])
def test_a_stream_is_read_as_the_answer_that_it_is(status: int) -> None:
    """It was made, though nobody asked for that form."""
    assert json.loads(read(b"".join(STREAM), status).body)["choices"][0]["message"]["content"] == "Hello!"


def test_embeddings_are_no_stream() -> None:
    """There is no such form of them."""
    with pytest.raises(InvalidAnswer):
        read(b"".join(STREAM), endpoint="embeddings")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(429, b'{"error":{"message":"slow down"}}', Refused), (302, b"<html>", InvalidAnswer)],
)
def test_an_error_keeps_its_headers(status: int, body: bytes, kind: type[ProviderError]) -> None:
    """Clients may want them; and nothing was made, whether or not it can be read."""
    with pytest.raises(kind) as failed:
        read(body, status)
    assert (tuple(failed.value.headers), failed.value.has_begun) == (HEADERS, False)


def test_what_cannot_be_read_had_begun() -> None:
    """A page with status 200 may stand before an answer that was made."""
    with pytest.raises(InvalidAnswer) as failed:
        read(b"<html>")
    assert failed.value.was_made


@pytest.mark.parametrize(("status", "expected"), [(199, False), (200, True), (299, True), (300, False)])
def test_success_is_all_of_the_two_hundreds(status: int, expected: bool) -> None:
    """A redirection is none."""
    assert is_success(status) is expected
