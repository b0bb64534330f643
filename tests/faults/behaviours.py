"""The cases that are no single request: clients that leave, providers that are away, and many of either."""

import asyncio
from collections.abc import Awaitable, Callable

from faults.cases import Case, chat_request
from faults.judging import Seen
from faults.people import bruteforce, csrf, fixation, pass_the_hash, pwchange
from faults.upstreams import STREAM_HEAD, Asked, Peer, completion, event, framed, whole
from faults.wire import Connection, Reply, connect, exchange, nothing
from faults.world import World

LEAVING_S = 1.0


def model(case: Case) -> str:
    """The name by which the case's provider is called."""
    return f"{case['id']}/m"


async def abort(case: Case, world: World) -> Seen:
    """The client of a stream leaves after some events."""
    after, left = case["behaviour"]["after_events"], asyncio.get_running_loop().create_future()

    async def stream(_: Asked, peer: Peer) -> None:
        await peer.send(STREAM_HEAD)
        for _number in range(after):
            await peer.send(framed(event({"content": "Hello"})))
        left.set_result(await peer.is_left(5.0))

    world.good.behaviours[case["id"]] = stream
    async with await connect(world.port) as connection:
        connection.send(chat_request(model(case), world.key, stream=True))
        for _number in range(after):
            await connection.read_until(b"\n\n")
        while not world.good.asked[case["id"]]:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
    closed = await _within(left, LEAVING_S)
    return _told(case, upstream_closed=closed, released=True, delivered=after)


async def abort_nonstream(case: Case, world: World) -> Seen:
    """The client of a whole answer leaves before it is there."""
    answered = asyncio.get_running_loop().create_future()

    async def answer_late(_: Asked, peer: Peer) -> None:
        await asyncio.sleep(case["behaviour"]["after_s"] + 0.3)
        await peer.send(whole(completion()))
        answered.set_result(True)

    world.good.behaviours[case["id"]] = answer_late
    async with await connect(world.port) as connection:
        connection.send(chat_request(model(case), world.key))
        await asyncio.sleep(case["behaviour"]["after_s"])
    await _within(answered, 5.0)
    return _told(case)


async def abort_after_done(case: Case, world: World) -> Seen:
    """The client of a stream leaves as soon as it has [DONE]."""
    async with await connect(world.port) as connection:
        connection.send(chat_request(model(case), world.key, stream=True))
        await connection.read_until(b"data: [DONE]\n\n")
    return _told(case)


async def _within(future: "asyncio.Future[bool]", seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await future
    except TimeoutError:
        return False


def _told(case: Case, **facts: object) -> Seen:
    """What is seen where no answer is to be looked at."""
    return Seen(case=case, replies=[nothing()], facts=dict(facts))


async def slow_body(case: Case, world: World) -> Seen:
    """Bodies that come byte by byte, at a tenth of the case's interval against a twentieth of the default time."""
    head = chat_request(model(case), world.key).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    interval_s = case["behaviour"]["interval_s"] / 10

    async def drip(connection: Connection) -> None:
        connection.send(head + b"{")
        for _ in range(20):
            await asyncio.sleep(interval_s)
            connection.send(b" ")

    async def one() -> Reply:
        async with await connect(world.port) as connection:
            dripping = asyncio.get_running_loop().create_task(drip(connection))
            reply = await connection.reply(10.0)
            dripping.cancel()
        return reply

    replies = await asyncio.gather(*(one() for _ in range(case["behaviour"]["conns"])))
    return Seen(case=case, replies=list(replies), facts={"timed_out": all(reply.status == 408 for reply in replies)})


async def call(case: Case, world: World) -> Seen:
    """One call to a provider whose address is the fault."""
    return Seen(case=case, replies=[await exchange(world.port, chat_request(model(case), world.key))])


async def stale_keepalive(case: Case, world: World) -> Seen:
    """The provider closes each connection after its answer without having said so; the next call meets that."""

    async def answer_and_close(_: Asked, peer: Peer) -> None:
        await peer.send(whole(completion()))
        raise ConnectionResetError

    world.good.behaviours[case["id"]] = answer_and_close
    request = chat_request(model(case), world.key)
    replies = [await exchange(world.port, request) for _ in range(10)]
    calls = len(world.good.asked[case["id"]])
    return Seen(case=case, replies=replies, facts={"all_answered": calls == len(replies)})


async def close_after_request(case: Case, world: World) -> Seen:
    """The provider reads the request and closes."""

    async def close(_: Asked, peer: Peer) -> None:
        await asyncio.sleep(0.02)
        raise ConnectionResetError

    world.good.behaviours[case["id"]] = close
    return await call(case, world)


BEHAVIOURS: dict[str, Callable[[Case, World], Awaitable[Seen]]] = {
    "abort": abort,
    "abort_after_done": abort_after_done,
    "abort_nonstream": abort_nonstream,
    "bruteforce": bruteforce,
    "close_after_request": close_after_request,
    "csrf": csrf,
    "fixation": fixation,
    "nxdomain": call,
    "pass_the_hash": pass_the_hash,
    "pwchange": pwchange,
    "slow_body": slow_body,
    "stale_keepalive": stale_keepalive,
    "tls_selfsigned": call,
    "tls_wronghost": call,
}
