"""Requests that leave within the call that posts them, over a connection that was kept; who waits is told, once."""

import asyncio

import pytest

from providers.errors import TimedOut, Truncated

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\nok"


class Ear:
    """Hears what became of a request."""

    def __init__(self):
        self.heard = []

    def done(self):
        """It waits until it has heard."""
        return bool(self.heard)

    def hand(self, result):
        """An answer."""
        self.heard.append(result)

    def fail(self, error):
        """None."""
        self.heard.append(error)


@pytest.fixture
def ear():
    """Who waits."""
    return Ear()


async def test_it_arrives_like_what_is_fetched(lab, ear, wait_until):
    """Nothing of it is there before; the connection is kept again."""
    upstream = await lab.serve([OK])
    await lab.fetch(upstream)
    posted = lab.post(upstream, ear)
    assert (ear.heard, lab.counts(upstream)) == ([], (1, 0))
    await wait_until(ear.done)
    assert (ear.heard, posted.status, posted.body) == ([None], 200, b"ok")
    assert (lab.counts(upstream), upstream.connections) == ((0, 1), 1)
    first, second = upstream.requests
    assert first == second


async def test_without_a_kept_connection_nothing_is_sent(lab, ear):
    """None was there yet, or all are busy, or the transport is closed."""
    upstream = await lab.serve([OK])
    assert lab.post(upstream, ear) is None
    await lab.fetch(upstream)
    assert lab.post(upstream, ear) is not None
    assert lab.post(upstream, ear) is None
    await lab.transport.close()
    assert lab.post(upstream, ear) is None
    assert len(ear.heard) == 1


@pytest.mark.parametrize(
    "case",
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "close"], {}, Truncated),
        (["hang"], {"first_byte_ms": 60}, TimedOut),
    ],
    ids=["broken off", "silent"],
)
async def test_who_waits_is_told_why_there_is_no_answer(lab, ear, then, wait_until, case):
    """Once; the connection is gone."""
    script, named, error = case
    upstream = await lab.serve([OK], [step if isinstance(step, bytes) else then(step) for step in script])
    await lab.fetch(upstream)
    lab.post(upstream, ear, **named)
    await wait_until(ear.done)
    await wait_until(lambda: lab.counts(upstream) == (0, 0))
    assert [type(heard) for heard in ear.heard] == [error]


async def test_one_that_is_aborted_tells_nobody_who_is_done(lab, ear, then):
    """Its connection is closed."""
    upstream = await lab.serve([OK], [then.HANG])
    await lab.fetch(upstream)
    posted = lab.post(upstream, ear)
    await asyncio.sleep(0)
    ear.heard.append("left")
    posted.abort()
    assert ear.heard == ["left"]
    assert lab.counts(upstream) == (0, 0)
