"""One gateway for the tests of a module, in front of one provider: each test comes to it as somebody new.

These are fixtures for a conftest. A module that wants another configuration or another provider has a fixture
``config`` or ``answer`` of its own. A test starts a gateway for itself where it changes what everybody has, counts what
everybody did, or asks what becomes of connections: those to the provider stay open from test to test.
"""

import time
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from budgeting import budget_config
from running import Answer, Running, Upstream, always, chat_reply, json_reply, running, upstream

from gateway.accounts import store
from gateway.accounts.keys import KeyDigester
from gateway.accounts.master import API_KEYS, derive_key, load_master_key
from gateway.ids import new_id


@pytest.fixture(scope="module")
def answer() -> Answer:
    """What the provider does at the beginning of each test."""
    return always(json_reply(chat_reply()))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_provider(answer: Answer) -> AsyncIterator[Upstream]:
    """The provider of all tests of the module."""
    async with upstream(answer) as listening:
        yield listening


@pytest.fixture(scope="module")
def config(shared_provider: Upstream) -> str:
    """The gateway's configuration."""
    return budget_config(shared_provider)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_gateway(tmp_path_factory: pytest.TempPathFactory, config: str) -> AsyncIterator[Running]:
    """The gateway of all tests of the module."""
    async with running(tmp_path_factory.mktemp("shared"), config) as started:
        yield started


@pytest.fixture
def provider(shared_provider: Upstream, answer: Answer) -> Upstream:
    """The provider, as if nobody had asked it anything."""
    shared_provider.answer = answer
    shared_provider.requests.clear()
    return shared_provider


@pytest.fixture
def quiet(shared_gateway: Running, provider: Upstream) -> Running:
    """The gateway, which remembers no call and spares no target."""
    shared_gateway.rows.clear()
    for breaker in shared_gateway.gateway.services.routes.breakers().values():
        breaker.succeeded()
    return shared_gateway


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(quiet: Running) -> Running:
    """The same, whose two keys are those of an operator's project that nobody has called with."""
    inside, now_ns = quiet.gateway, time.time_ns()
    database = inside.app.state.database
    digester = KeyDigester(derive_key(load_master_key(None, inside.services.settings.data_dir), API_KEYS))
    async with database.write() as connection:
        project = await store.insert_project(connection, None, new_id(now_ns), None, now_ns)
        assert project is not None
        live, test = [
            await store.insert_key(connection, digester, store.NewKey(project_id=project.project_id, kind=kind), now_ns)
            for kind in ("live", "test")
        ]
    await inside.services.directory.refresh()
    return msgspec.structs.replace(quiet, live_key=live.key, test_key=test.key)
