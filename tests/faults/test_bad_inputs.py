"""Every hostile input that lies beside the project, against a real gateway process; nothing where the file is absent.

The cases of one run are played side by side by one fixture; a test looks at what was seen in one case. Cases that take
long or need a process of their own are in test_bad_inputs_long.py and test_bad_processes.py.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from certificates import write_certificate
from faults.behaviours import BEHAVIOURS
from faults.cases import Case, chat_request, load_cases
from faults.judging import CHECKS, WORDS, Seen, judge
from faults.long_behaviours import LONG
from faults.playing import find_secrets, play_all
from faults.processes import PROCESSES
from faults.sentences import check
from faults.upstreams import fault_upstream, good_provider, sink
from faults.waiting import CASES, GROUPS, RUNS, reason, runnable
from faults.wire import exchange
from faults.world import FORMULA, World, configure, gateway, make_keys

OWN_TESTS = frozenset({"auth-026"})


def is_here(case: Case) -> bool:
    """Whether a case is played in this file."""
    kind = case.get("behaviour", {}).get("kind")
    if case["group"] == "cache" or case["id"] in OWN_TESTS | PROCESSES.keys():
        return False
    return "fault" not in case and (kind in BEHAVIOURS or kind not in LONG)


HERE = [case for case in runnable(load_cases().values()) if is_here(case)]


class Play(dict[str, Seen]):
    """What was seen, by case, and what is true of the whole."""

    problems: list[str]


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Every case that this run asks for, played."""
    asked = {
        item.callspec.params["name"]
        for item in request.session.items
        if hasattr(item, "callspec") and item.path == Path(__file__) and "name" in item.callspec.params
    }
    cases = [case for case in HERE if case["id"] in asked] or HERE
    return asyncio.run(_play(cases, tmp_path_factory.mktemp("faults")))


async def _play(cases: list[Case], folder: Path) -> Play:
    async with _world(cases, folder) as world:
        # Loads what is loaded once (tokenizers), so that no case is measured with it.
        warm = await exchange(world.port, chat_request("good/m", world.key))
        assert warm.status == 200, warm
        play = Play(await play_all(cases, world))
        play.problems = [problem async for problem in _look_around(world)]
    return play


async def _look_around(world: World) -> AsyncIterator[str]:
    """What must hold after all of them: nothing left open, nothing charged to nobody, no secret anywhere."""
    for gauge in ("watchllm_requests_in_flight", "watchllm_holds_open"):
        if value := await world.gateway.gauge(gauge):
            yield f"{gauge} is {value} at rest"
    known = {case["id"] for case in HERE} | {"good", FORMULA.split("/", maxsplit=1)[0]}
    for row in world.gateway.rows():
        if row["model"].split("/")[0].removeprefix("fallback-") not in known:
            yield f"a usage row of no case: {row['model'][:80]!r}, {row['status']}"
    log = world.gateway.log
    if "Traceback" in log or '"traceback"' in log:
        yield f"the log has a traceback: {log[log.lower().index('traceback') - 500 :][:3000]}"
    async for found in find_secrets(world):
        yield found
    if world.trap.connections:
        yield f"{world.trap.connections} connections to where nobody should call"
    alive = await world.gateway.ask("/health")
    if alive.status != 200:
        yield f"/health answers {alive.status}"


@asynccontextmanager
async def _world(cases: list[Case], folder: Path) -> AsyncIterator[World]:
    async with contextlib.AsyncExitStack() as stack:
        good = await stack.enter_async_context(good_provider())
        trap = await stack.enter_async_context(sink())
        fault_port = await stack.enter_async_context(fault_upstream())
        trusted = write_certificate(folder / "other.pem", "other.example")
        wrong_port = await stack.enter_async_context(_tls_provider(trusted))
        own_port = await stack.enter_async_context(_tls_provider(write_certificate(folder / "own.pem", "127.0.0.1")))
        bases = {
            "upstream-055": "http://no-such-host.invalid/v1",
            "upstream-058": f"https://127.0.0.1:{wrong_port}/v1",
            "upstream-059": f"https://127.0.0.1:{own_port}/v1",
        }
        proxy = f"http://127.0.0.1:{trap.port}"
        environ = {"SSL_CERT_FILE": str(trusted), "NO_PROXY": ""}
        environ |= {name: proxy for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")}
        config = configure(cases, good.port, fault_port, bases)
        running = await stack.enter_async_context(gateway(folder / "gateway", config, environ))
        names = await make_keys(running)
        yield World(gateway=running, good=good, trap=trap, fault_port=fault_port, names=names)


@asynccontextmanager
async def _tls_provider(certificate: Path) -> AsyncIterator[int]:
    """A provider behind TLS that would answer anybody; gives its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", [case["id"] for case in HERE])
def test_a_hostile_input_is_met_as_its_case_expects(name: str, played: Play) -> None:
    """Status, envelope, calls, charge, text, time, memory and each sentence of the case."""
    assert judge(played[name], check) == []


@pytest.mark.timeout(240)
@pytest.mark.parametrize("moment", ["after all of them"] if HERE else [])
def test_nothing_stays_behind(moment: str, played: Play) -> None:
    """No open hold, no row of no case, no traceback, no secret in log, journal or database, no call to the trap."""
    assert played.problems == [], moment


def every_reason() -> Iterator[tuple[str, str]]:
    """The waiting cases with their reasons."""
    for name, case in load_cases().items():
        if (why := reason(case)) is not None:
            yield name, why


def test_every_case_runs_or_waits_for_a_reason() -> None:
    """A case that is new or that no file plays fails here, and so does a reason for a case that is not there."""
    cases = load_cases()
    elsewhere = OWN_TESTS | PROCESSES.keys()
    elsewhere |= {name for name, case in cases.items() if case.get("behaviour", {}).get("kind") in LONG}
    # Of these test_bad_caches.py tells whether each is played.
    elsewhere |= {name for name, case in cases.items() if case["group"] == "cache"}
    played = {case["id"] for case in HERE} | elsewhere
    waiting = dict(every_reason())
    if cases:
        assert cases.keys() == (played & cases.keys()) | waiting.keys()
        assert not played & waiting.keys()
        assert CASES.keys() | RUNS <= cases.keys()
        assert GROUPS.keys() <= {case["group"] for case in cases.values()}
    assert all(waiting.values())


def test_every_word_of_an_expectation_is_understood() -> None:
    """A member of ``expect`` that no check reads fails here."""
    words = {word for case in HERE for word in case["expect"]}
    assert words <= CHECKS.keys() | WORDS
