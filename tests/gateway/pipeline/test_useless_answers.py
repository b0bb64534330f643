"""An answer that is of no use, or in another form than was asked for: what it says that it used is paid, once."""

import msgspec
import pytest
from fakes import DONE, STREAM, USAGE_CHUNK, FakeBackend, FakeExchange, answer_body, whole

from tests.gateway.pipeline.test_run import Path


@pytest.mark.parametrize("stream", [False, True])
async def test_it_costs_what_it_says(stream: bool) -> None:
    """502; it was made and will be billed, so the same target is not asked again."""
    useless = FakeExchange((USAGE_CHUNK, b"data: {broken\n\n")) if stream else whole(body=answer_body(choices=[]))
    backend = FakeBackend(useless)
    path = await Path(backend, stream=stream, tries=3).run()
    good = await Path(FakeBackend(whole())).run()
    assert (len(backend.requests), path.ending) == (1, ("failed", 502, "upstream_invalid"))
    assert path.row.cost_pusd == good.row.cost_pusd > 0
    assert (path.row.input_tokens, path.row.output_tokens, path.row.is_estimated) == (15, 10, False)


async def test_it_is_charged_beside_the_next() -> None:
    """Where another target is asked, whose model has no price here."""
    path = await Path(FakeBackend(whole(body=answer_body(choices=[]))), FakeBackend(whole(), name="b")).run()
    good = await Path(FakeBackend(whole())).run()
    assert (path.client.status, path.row.attempts, path.row.provider) == (200, 2, "b")
    assert path.row.lost_pusd == path.row.cost_pusd == good.row.cost_pusd > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_what_came_before_an_error_is_charged_beside_the_next(stream: bool) -> None:
    """A usage chunk, and an answer that ends with an error, tell what a target used before another one was asked."""
    choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "error"}
    broken = FakeExchange((USAGE_CHUNK, b'data: {"error":{"message":"down"}}\n\n'))
    first = FakeBackend(broken if stream else whole(body=answer_body(choices=[choice])))
    second = FakeBackend(FakeExchange(STREAM) if stream else whole(), name="b")
    path = await Path(first, second, stream=stream).run()
    good = await Path(FakeBackend(whole())).run()
    assert (path.client.status, path.row.attempts, path.row.provider) == (200, 2, "b")
    assert path.row.lost_pusd == good.row.cost_pusd > 0


@pytest.mark.parametrize("body", [b'{"id":"c1","choices":[{"message"', b'{"choices":[],"x":"' + b"[" * 5_000])
async def test_half_an_answer_is_paid_once(body: bytes) -> None:
    """Its input at least, by an estimate: it is not asked for again."""
    backend = FakeBackend(whole(body=body))
    path = await Path(backend, tries=3).run()
    assert (len(backend.requests), path.ending) == (1, ("failed", 502, "upstream_invalid"))
    assert (path.row.cost_pusd > 0, path.row.input_tokens > 0, path.row.is_estimated) == (True, True, True)


async def test_figures_that_cannot_be_are_estimated() -> None:
    """Never nothing: the prompt was read."""
    absurd = {"prompt_tokens": -5, "completion_tokens": 1}
    path = await Path(FakeBackend(whole(body=answer_body(choices=[], usage=absurd)))).run()
    assert (path.client.status, path.row.is_estimated, path.row.cost_pusd > 0) == (502, True, True)


async def test_what_cannot_be_read_costs_its_input_once() -> None:
    """A page with status 200 may stand before an answer that was made: it is not asked for again, nor is it free."""
    backend = FakeBackend(whole(body=b"<html>"))
    path = await Path(backend, tries=3).run()
    assert (len(backend.requests), path.ending) == (1, ("failed", 502, "upstream_invalid"))
    assert (path.row.cost_pusd > 0, path.row.is_estimated, path.row.output_tokens) == (True, True, 0)


async def test_a_stream_that_says_nothing_is_free_and_asked_for_again() -> None:
    """From its head to its end there was nothing to be billed."""
    backend = FakeBackend(FakeExchange((b"<html>",)), FakeExchange((b"data: [DONE]\n\n",)))
    path = await Path(backend, stream=True, tries=2).run()
    assert (len(backend.requests), path.ending, path.row.cost_pusd) == (2, ("failed", 502, "upstream_invalid"), 0)


async def test_an_error_that_cannot_be_read_is_an_error() -> None:
    """Nothing was made, so it is free and asked for again."""
    backend = FakeBackend(whole(status=302, body=b"<html>"))
    path = await Path(backend, tries=2).run()
    assert (len(backend.requests), path.row.cost_pusd) == (2, 0)


@pytest.mark.parametrize("status", [200, 201])
async def test_a_whole_answer_to_a_stream_is_a_stream(status: int) -> None:
    """It was made and is paid: nobody asks for it again."""
    json_type = ((b"content-type", b"application/json"),)
    backend = FakeBackend(FakeExchange((answer_body(),), status=status, headers=json_type))
    path = await Path(backend, stream=True, tries=3).run()
    good = await Path(FakeBackend(whole())).run()
    assert (len(backend.requests), path.client.status, path.ending) == (1, 200, ("complete", 200, ""))
    assert b'"content":"Hello!"' in path.client.data
    assert path.client.data.endswith(b"data: [DONE]\n\n")
    assert path.row.cost_pusd == good.row.cost_pusd > 0


async def test_a_stream_to_a_whole_call_is_a_whole_answer() -> None:
    """The same the other way round."""
    backend = FakeBackend(whole(body=b"".join(STREAM)))
    path = await Path(backend, tries=3).run()
    good = await Path(FakeBackend(whole())).run()
    assert (len(backend.requests), path.ending) == (1, ("complete", 200, ""))
    assert msgspec.json.decode(path.client.data)["choices"][0]["message"]["content"] == "Hello!"
    assert path.row.cost_pusd == good.row.cost_pusd > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_output_that_was_not_reported_is_counted(stream: bool) -> None:
    """A report may tell the input alone, of a whole answer too."""
    told = {"prompt_tokens": 15, "completion_tokens": 0, "total_tokens": 15}
    told_chunk = b"data: %s\n\n" % msgspec.json.encode({"id": "c1", "choices": [], "usage": told})
    answer = FakeExchange((*STREAM[:3], told_chunk, DONE)) if stream else whole(body=answer_body(usage=told))
    path = await Path(FakeBackend(answer), stream=stream).run()
    assert (path.row.input_tokens, path.row.output_tokens > 0, path.row.is_estimated) == (15, True, True)
