"""An answer that is of no use: the client is told, and what the answer says that it used is paid."""

import pytest
from fakes import USAGE_CHUNK, FakeBackend, FakeExchange, answer_body, whole

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


async def test_figures_that_cannot_be_are_estimated() -> None:
    """Never nothing: the prompt was read."""
    absurd = {"prompt_tokens": -5, "completion_tokens": 1}
    path = await Path(FakeBackend(whole(body=answer_body(choices=[], usage=absurd)))).run()
    assert (path.client.status, path.row.is_estimated, path.row.cost_pusd > 0) == (502, True, True)


async def test_without_figures_it_costs_nothing() -> None:
    """An error page of a proxy is no answer of a model."""
    path = await Path(FakeBackend(whole(body=b"<html>"))).run()
    assert (path.client.status, path.row.cost_pusd) == (502, 0)
