"""Plays one case against the running world and returns what was seen."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from faults.behaviours import BEHAVIOURS
from faults.cases import Case, chat_request, get_request, post_request, request_bytes, substitute
from faults.judging import OK, Seen
from faults.people import play_listing, play_role
from faults.wire import connect, exchange
from faults.world import FORMULA, World

CONCURRENT = 16
# Cases whose provider fails and that are asked a second time through an alias with a second target.
WITH_FALLBACK = frozenset({"sse-084", "upstream-020", "upstream-025", "upstream-031"})
# Cases in which the caller's key may use some models only.
WITH_LIMITED_KEY = frozenset({"json-020", "param-044"})
FORMULA_STARTS = tuple("=+-@")
FIRST = frozenset({"upstream-016"})
Play = Callable[[Case, World], Awaitable[Seen]]


async def play(case: Case, world: World) -> Seen:
    """Play a case by its kind."""
    player = play_address if is_address(case) else SPECIAL.get(case["id"])
    if player is None:
        player = next(function for member, function in KINDS.items() if member in case)
    seen = await player(case, world)
    if case["id"] in WITH_FALLBACK:
        seen.calls = await world.calls(case)
        seen.fallback = await exchange(
            world.port, chat_request(f"fallback-{case['id']}", world.key, **case.get("client", {}))
        )
    return seen


async def play_alone(case: Case, world: World) -> Seen:
    """Play a case while nothing else goes on, and measure the process's memory."""
    world.gateway.forget_peak()
    before = world.gateway.memory_kib("VmRSS")
    seen = await play(case, world)
    seen.growth_kib = world.gateway.memory_kib("VmHWM") - before
    return seen


async def play_all(cases: list[Case], world: World) -> dict[str, Seen]:
    """Play many cases side by side, then those that measure time or memory one by one.

    The metrics name so many providers only, so the case that looks itself up there is the first.
    """
    cases = sorted(cases, key=lambda case: case["id"] not in FIRST)
    alone = [case for case in cases if {"max_seconds", "max_rss_growth_mb"} & case["expect"].keys()]
    room = asyncio.Semaphore(CONCURRENT)

    async def enter(case: Case) -> Seen:
        async with room:
            return await play(case, world)

    together = [case for case in cases if case not in alone]
    seen = dict(zip([case["id"] for case in together], await asyncio.gather(*map(enter, together)), strict=True))
    for case in alone:
        seen[case["id"]] = await play_alone(case, world)
    await add_afterwards(seen, world)
    return seen


async def add_afterwards(seen: dict[str, Seen], world: World) -> None:
    """Add what only shows when the cases are over: calls, rows, the log, connections to the trap."""
    rows = await world.gateway.settled_rows()
    log = world.gateway.log
    secrets_kept = not [found async for found in find_secrets(world)]
    for name, one in seen.items():
        one.rows = [row for row in rows if row["model"].startswith(f"{name}/")]
        one.calls = one.calls or await world.calls(one.case)
        one.asked = list(world.good.asked[name])
        one.log = log
        one.facts["secrets_kept"] = secrets_kept
        one.trap_connections = world.trap.connections


async def find_secrets(world: World) -> AsyncIterator[str]:
    """Where a key stands that should stand nowhere: in the log, the journal, the database, the metrics."""
    places = {path.name: path.read_bytes() for path in (world.gateway.folder / "data").rglob("*") if path.is_file()}
    places["the log"] = world.gateway.log.encode()
    places["the metrics"] = (await world.gateway.ask("/metrics")).body
    for name in ("PROVIDER_KEY", "KEY", "KEY_B", "LIMITED"):
        for place, data in places.items():
            if name in world.names and world.names[name].encode() in data:
                yield f"${name} stands in {place}"


def names_of(case: Case, world: World) -> dict[str, str]:
    """What stands for each ``$NAME`` in this case."""
    name = case["id"]
    own = {
        "MODEL": f"{name}/m",
        "ALLOWED": f"{name}/m",
        "FORBIDDEN": f"{name}/forbidden",
        "EMB": f"{name}/e",
        "SINK": str(world.trap.port),
    }
    key = {"KEY": world.names["LIMITED"]} if name in WITH_LIMITED_KEY else {}
    return {**world.names, **own, **key}


async def play_request(case: Case, world: World) -> Seen:
    """A request of the client's."""
    names = names_of(case, world)
    reply = await exchange(world.port, request_bytes(case["request"], names))
    given = substitute(case["request"]["headers"], names).get("Authorization", "")
    credential = given.split(" ", 1)[1] if isinstance(given, str) and " " in given else ""
    return Seen(case=case, replies=[reply], credential=credential or names["KEY"], facts={})


async def play_raw(case: Case, world: World) -> Seen:
    """Bytes on a plain connection."""
    raw = substitute(case["raw"], names_of(case, world)).encode("latin-1")
    async with await connect(world.port) as connection:
        connection.send(raw, half_close=case.get("half_close", False))
        reply = await connection.reply(6.0)
        second = await connection.reply(1.0)
        facts = {"closed": await connection.is_closed(1.0), "second_refused": second.status in (0, 400, 401, 404)}
    return Seen(case=case, replies=[reply], facts=facts)


async def play_script(case: Case, world: World) -> Seen:
    """A well-formed call to a provider that follows the case's script."""
    client = case.get("client", {})
    reply = await exchange(world.port, chat_request(f"{case['id']}/m", world.key, **client))
    facts: dict[str, Any] = {"upstream_closed": await world.is_closed(case, 1.0)}
    if reply.status == 502:
        metrics = (await world.gateway.ask("/metrics")).body.decode()
        mine = [line for line in metrics.splitlines() if f'"{case["id"]}"' in line]
        facts["alerted"] = any("upstream_auth" in line or 'outcome="upstream' in line for line in mine)
    return Seen(case=case, replies=[reply], facts=facts)


async def play_behaviour(case: Case, world: World) -> Seen:
    """What needs more than one request and its answer."""
    return await BEHAVIOURS[case["behaviour"]["kind"]](case, world)


async def play_twice(case: Case, world: World) -> Seen:
    """The same request, two times."""
    request = request_bytes(case["request"], names_of(case, world))
    return Seen(case=case, replies=[await exchange(world.port, request), await exchange(world.port, request)])


async def play_paths(case: Case, world: World) -> Seen:
    """All paths that the case's title names."""
    paths = [word for word in case["title"].split() if word.startswith("/")]
    replies = [await world.gateway.ask(path) for path in paths]
    return Seen(case=case, replies=replies)


async def play_refused_expectation(case: Case, world: World) -> Seen:
    """A client that waits for 100 Continue before it sends its body."""
    head, _, _ = request_bytes(case["request"], names_of(case, world)).partition(b"\r\n\r\n")
    async with await connect(world.port) as connection:
        connection.send(head + b"\r\n\r\n")
        first = await connection.read_until(b"\r\n")
        assert b" 401 " in first, first
        closed = await connection.is_closed(1.0)
    reply = await exchange(world.port, head + b"\r\n\r\n")
    # The body was never sent, so a connection that stayed open would take the next request for it.
    return Seen(case=case, replies=[reply], facts={"body_not_read": closed})


async def play_html_lover(case: Case, world: World) -> Seen:
    """A client that accepts HTML, and then fails."""
    seen = await play_request(case, world)
    request = json.loads(json.dumps(case["request"]))
    request["body"] = {"kind": "text", "text": "{"}
    failed = await exchange(world.port, request_bytes(request, names_of(case, world)))
    seen.facts["errors_are_json"] = failed.header("content-type") == "application/json" and "error" in failed.json()
    return seen


async def play_after_bytes(case: Case, world: World) -> Seen:
    """A body whose declared length is far more than what is sent, slowly."""
    request = request_bytes(case["request"], names_of(case, world))
    head, _, body = request.partition(b"\r\n\r\n")
    started = time.monotonic()
    async with await connect(world.port) as connection:
        connection.send(head + b"\r\n\r\n" + body[:1024])
        reply = await connection.reply()
        reply.seconds = time.monotonic() - started
    again = await exchange(world.port, request)
    return Seen(case=case, replies=[reply, again])


async def play_environment(case: Case, world: World) -> Seen:
    """The gateway runs with proxies in its environment that are the trap; a call must pass them by."""
    return Seen(case=case, replies=[await exchange(world.port, chat_request(f"{case['id']}/m", world.key))])


def is_address(case: Case) -> bool:
    """Whether a case is a provider's address that comes over HTTP."""
    return bool(case.get("request", {}).get("path") == "/api/providers")


async def play_address(case: Case, world: World) -> Seen:
    """The operator stores a provider's key with the case's address; then a project's owner does."""
    given = json.loads(case["request"]["body"]["text"])
    body = {"provider": given["type"], "api_key": given["api_key"], "base_url": given["base_url"]}
    token = world.names["OPERATOR"]
    paths = ["/api/providers", f"/api/projects/{world.names['PROJECT']}/providers"]
    data = json.dumps(body).encode()
    replies = [await exchange(world.port, post_request(path, token, data)) for path in paths]
    listed = [(await exchange(world.port, get_request(path, token))).json()["providers"] for path in paths]
    return Seen(case=case, replies=replies, facts={"not_stored": listed == [[], []]})


async def play_secrets(case: Case, world: World) -> Seen:
    """Nothing to do: the other cases fail in every way at log level debug, and test_bad_inputs.py looks for keys."""
    await asyncio.sleep(0)
    return Seen(case=case, replies=[await exchange(world.port, get_request("/health"))])


async def play_formula(case: Case, world: World) -> Seen:
    """A call by a name that a spreadsheet would run, and the export of the usage."""
    called = await exchange(world.port, chat_request(FORMULA, world.key))
    await world.gateway.settled_rows()
    export = await world.gateway.ask(f"/api/projects/{world.names['PROJECT']}/usage/export", world.key)
    cells = [cell for line in export.body.decode().splitlines() for cell in line.split(",")]
    defused = called.status == OK and any("cmd|" in cell for cell in cells)
    defused &= not any(cell.lstrip('"')[:1] in FORMULA_STARTS for cell in cells)
    return Seen(case=case, replies=[export], facts={"defused": defused})


async def play_pages(case: Case, world: World) -> Seen:
    """Limits out of bounds. No text defines a page or an order of the usage; unknown parameters are not read."""
    usage = f"/api/projects/{world.names['PROJECT']}/usage"
    paths = [f"{usage}?limit={limit}" for limit in ("-1", "1000000000", "%3Bdrop%20table")]
    return Seen(case=case, replies=[await world.gateway.ask(path, world.key) for path in paths])


KINDS: dict[str, Play] = {
    "request": play_request,
    "raw": play_raw,
    "script": play_script,
    "behaviour": play_behaviour,
}
SPECIAL: dict[str, Play] = {
    "header-006": play_twice,
    "header-012": play_html_lover,
    "header-019": play_refused_expectation,
    "json-041": play_after_bytes,
    "route-014": play_paths,
    "ssrf-058": play_environment,
    "auth-031": play_role,
    "auth-034": play_listing,
    "dash-012": play_formula,
    "dash-014": play_secrets,
    "dash-016": play_pages,
}
