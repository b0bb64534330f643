"""Calls that the gateway makes by itself take the path of any other, and end in time."""

import asyncio
import json
import time
from typing import Any

import msgspec
import pytest
from fakes import TESTER
from questions import make_asked
from running import Answer, Request, Running, Upstream, chat_reply, json_reply, openai_config

from gateway.accounts.directory import KeyRecord
from gateway.caching.auditing.judge import compose
from gateway.caching.semantic.interface import Asker, Case, Check, Look
from gateway.surfaces.access import Caller
from gateway.surfaces.proxy import own_calls
from gateway.surfaces.proxy.own_calls import OwnCalls, stand_in

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOK = Look(
    decision="miss", entry=None, similarity=0.9, score=0.9, threshold=0.5, guards=(), neighbours=(), verdict=None
)


async def say_same(request: Request, writer: Any) -> None:
    """What a judge says; asked about slowness it says nothing."""
    if b"slow" in request.body:
        await asyncio.sleep(30)
    writer.write(json_reply(chat_reply("SAME")))


@pytest.fixture(scope="module")
def answer() -> Answer:
    """What the provider does."""
    return say_same


@pytest.fixture(scope="module")
def config(shared_provider: Upstream) -> str:
    """OpenAI, and a server without prices."""
    more = f'[providers.house]\ndialect = "openai"\nmodels = ["own"]\nbase_url = "{shared_provider.url}"\n'
    return openai_config(shared_provider, more)


def make_case(gateway: Running, model: str, reference: str = "Paris.") -> Case:
    """A case of the gateway's first project, whose key may name another model alone."""
    caller = gateway.gateway.services.directory.find(gateway.live_key.encode(), time.time_ns())
    assert isinstance(caller, KeyRecord)
    caller = msgspec.structs.replace(caller, allowed_models=frozenset({"gpt-4"}))
    check = Check(request_id="r1", asked=make_asked(), look=LOOK)
    asker = Asker(model=model, caller=caller, tags="blue", session="s")
    return Case(asker=asker, check=check, reference=reference, other="It is Paris.")


async def test_a_judge_is_asked_as_an_audit_of_the_key(quiet: Running, provider: Upstream) -> None:
    """Past the cache, and the list of models that the key may name; the row tells whose it is."""
    calls, case = OwnCalls(quiet.gateway.services), make_case(quiet, "gpt-4.1-mini")
    body = compose(case)
    for _ in range(2):
        assert (await calls.make(case, body)).status == 200
    assert len(provider.requests) == 2
    sent = json.loads(provider.requests[0].body)
    assert (sent["temperature"], sent["max_tokens"], "tools" in sent, "stream" in sent) == (0, 256, False, False)
    row = quiet.rows[-1]
    assert (row.cache_layer, row.key_id, row.tags, row.session) == ("audit", case.asker.caller.key_id, "blue", "s")
    assert (row.model, row.status, row.is_cached) == ("gpt-4.1-mini", "complete", False)
    assert 0 < row.cost_pusd < (calls.estimate_pusd(case, body) or 0)


async def test_what_has_no_price_is_estimated_as_nothing(quiet: Running) -> None:
    """And a model that nobody has cannot be asked at all."""
    calls = OwnCalls(quiet.gateway.services)
    estimates = [calls.estimate_pusd(case, compose(case)) for case in (make_case(quiet, "own"), make_case(quiet, "no"))]
    assert estimates == [0, None]


async def test_a_call_that_takes_too_long_is_ended(quiet: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a row like any call that was broken off, and nothing is left open."""
    monkeypatch.setattr(own_calls, "JUDGE_S", 0.05)
    case = make_case(quiet, "gpt-4.1-mini", "slow")
    reply = await OwnCalls(quiet.gateway.services).make(case, compose(case))
    assert (reply.status, reply.body) == (504, b"")
    assert (quiet.rows[-1].cache_layer, quiet.rows[-1].status) == ("audit", "incomplete")
    assert quiet.gateway.services.metrics.requests_in_flight == 0


async def test_a_project_stands_in_as_if_a_key_called() -> None:
    """The row names who it was."""
    caller = Caller(account_id="acc", key=TESTER)
    made = stand_in(caller, "proj_2")
    assert (made.key_id, made.project_id, made.kind, made.account_id) == ("key_2", "proj_2", "live", "acc")
