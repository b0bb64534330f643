"""The hostile inputs that take minutes or thousands of sockets, each against a gateway process with default times."""

import asyncio
import contextlib
import random
from pathlib import Path

import pytest
from faults.cases import load_cases, post_request
from faults.judging import Seen, judge
from faults.long_behaviours import HUNG_STREAMS, LONG, raise_file_limit
from faults.playing import add_afterwards
from faults.sentences import check
from faults.upstreams import good_provider, sink
from faults.wire import Connection, connect
from faults.world import SETTINGS, World, configure, gateway

CASES = [case for case in load_cases().values() if case.get("behaviour", {}).get("kind") in LONG]
# What these expect is an answer within a second, while thousands of sockets are open.
TIMED = {"idle_conns", "pool_exhaust"}
TIMED_KEYS = 1_000
TIMED_LOGINS = 100
# Else most of the attempts would be refused unmeasured.
NO_LIMIT = "[limits]\nauth_per_minute = 0\n"
PREFIX_BYTES = 31
SIGNIFICANT = 0.01


async def _play(name: str, folder: Path) -> Seen:
    case = load_cases()[name]
    raise_file_limit()
    async with contextlib.AsyncExitStack() as stack:
        good = await stack.enter_async_context(good_provider())
        trap = await stack.enter_async_context(sink())
        config = configure([case], good.port, 1, {}).replace(SETTINGS, "")
        config = config.replace("api_key =", f"max_connections = {HUNG_STREAMS}\napi_key =")
        running = await stack.enter_async_context(gateway(folder, config))
        names = {"KEY": running.keys["api_key"]}
        world = World(gateway=running, good=good, trap=trap, fault_port=0, names=names)
        seen = await LONG[case["behaviour"]["kind"]](case, world)
        await add_afterwards({name: seen}, world)
        return seen


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(case["id"], marks=[pytest.mark.alone] if case["behaviour"]["kind"] in TIMED else [])
        for case in CASES
    ],
)
def test_a_patient_attacker_is_met_as_the_case_expects(name: str, tmp_path: Path) -> None:
    """Slow readers, vanished clients, idle and hung connections: status, memory and each sentence of the case."""
    seen = asyncio.run(_play(name, tmp_path))
    assert judge(seen, check) == [], seen.facts


def kolmogorov_smirnov(first: list[float], second: list[float]) -> float:
    """The probability that two samples of one distribution differ as much (two-sided, asymptotic)."""
    ordered = sorted([(value, 1 / len(first)) for value in first] + [(value, -1 / len(second)) for value in second])
    distance, difference = 0.0, 0.0
    for _, step in ordered:
        difference += step
        distance = max(distance, abs(difference))
    size = (len(first) * len(second) / (len(first) + len(second))) ** 0.5
    scaled = (size + 0.12 + 0.11 / size) * distance
    terms = [(-1) ** (k - 1) * 2.718281828459045 ** (-2 * (k * scaled) ** 2) for k in range(1, 101)]
    return max(0.0, min(1.0, 2 * sum(terms)))


async def _time(connection: Connection, key: str) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    connection.send(b"GET /v1/models HTTP/1.1\r\nhost: g\r\nauthorization: Bearer %s\r\n\r\n" % key.encode())
    reply = await connection.reply()
    assert reply.status == 401
    return loop.time() - started


async def _measure(folder: Path) -> float:
    draw = random.Random(7)  # noqa: S311 - an order, not a secret
    async with gateway(folder, "") as running:
        key = running.keys["api_key"]
        wrong = ["lgw_proj_" + "".join(draw.choices("ABCDEFGHabcdefgh01234567", k=len(key) - 9)) for _ in range(200)]
        groups = {False: wrong, True: [key[:PREFIX_BYTES] + text[PREFIX_BYTES:] for text in wrong]}
        times: dict[bool, list[float]] = {False: [], True: []}
        order = [False, True] * TIMED_KEYS
        draw.shuffle(order)
        async with await connect(running.port) as connection:
            for has_prefix in order:
                times[has_prefix].append(await _time(connection, draw.choice(groups[has_prefix])))
    return kolmogorov_smirnov(times[False], times[True])


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", [name for name in load_cases() if name == "auth-026"])
def test_the_time_of_a_refusal_tells_nothing_of_a_key(name: str, tmp_path: Path) -> None:
    """Two samples of wrong keys, one with 31 right bytes at the start, cannot be told apart by their times."""
    # One run in a hundred differs by chance alone.
    chances = [asyncio.run(_measure(tmp_path / str(attempt))) for attempt in range(2)]
    assert max(chances) > SIGNIFICANT, name


async def _time_login(connection: Connection, email: str) -> float:
    loop = asyncio.get_running_loop()
    request = post_request("/api/v1/auth/login", "x", b'{"email": "%s", "password": "wrong guess"}' % email.encode())
    started = loop.time()
    connection.send(request)
    reply = await connection.reply()
    assert reply.status == 401
    return loop.time() - started


async def _measure_logins(folder: Path) -> float:
    draw = random.Random(7)  # noqa: S311 - an order, not a secret
    async with gateway(folder, NO_LIMIT) as running, await connect(running.port) as connection:
        body = b'{"email": "known@example.com", "password": "correct horse"}'
        connection.send(post_request("/api/v1/auth/register", "x", body))
        assert (await connection.reply()).status == 201
        times: dict[str, list[float]] = {"known@example.com": [], "other@example.com": []}
        order = list(times) * TIMED_LOGINS
        draw.shuffle(order)
        for email in order:
            times[email].append(await _time_login(connection, email))
    return kolmogorov_smirnov(*times.values())


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(300)
def test_the_time_of_a_refusal_tells_nothing_of_a_person(tmp_path: Path) -> None:
    """Wrong passwords of somebody who is known and of somebody who is not cannot be told apart by their times."""
    # One run in a hundred differs by chance alone.
    chances = [asyncio.run(_measure_logins(tmp_path / str(attempt))) for attempt in range(2)]
    assert max(chances) > SIGNIFICANT
