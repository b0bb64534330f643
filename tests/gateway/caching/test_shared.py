"""Answers in a real Redis: shared within their time and room, and given to nobody who should not have them."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable

import pytest
from caches import AT_NS, make_answer
from redis.asyncio import Redis

from gateway.caching.answers import MAX_SHARED_S, NS_PER_S, Answers, Purge, StoredAnswer
from gateway.caching.shared import MAX_PURGES, MAX_TELLING, Purges, SharedAnswers
from gateway.counters.link import LinkLimits, RedisLink
from providers.openai.recorded import is_whole, record_body
from tests.servers import RedisServer

KEY, OTHER = b"k" * 16, b"o" * 16
PATIENT = LinkLimits(timeout_ms=20_000, slow_ms=10_000)
SECRET = b"s" * 32


class Process:
    """What one process has: a memory, what it knows of purges, a clock and its way to the shared answers."""

    def __init__(
        self, url: str, namespace: str, *, secret: bytes = SECRET, max_bytes: int = 1 << 20,
        limits: LinkLimits = PATIENT,
    ) -> None:  # fmt: skip
        self.now_ns = AT_NS
        self.answers = Answers(max_bytes=1 << 20, max_project_bytes=1 << 20, max_answer_bytes=1 << 16)
        self.purges = Purges()
        asking, telling = RedisLink.open(url, limits), RedisLink.open(url, limits)
        self.shared = SharedAnswers(
            asking, telling, self.answers, self.purges, secret,
            max_bytes=max_bytes, now_ns=lambda: self.now_ns, namespace=namespace,
        )  # fmt: skip

    async def put(self, key: bytes = KEY, *, ttl_s: int = 60, answer: StoredAnswer | None = None) -> None:
        """Share an answer, and have it there."""
        self.shared.put(key, answer or make_answer(), ttl_s=ttl_s, saved_pusd=5)
        await self.shared.settle()

    async def find(self, key: bytes = KEY, project_id: str = "p") -> StoredAnswer | None:
        """Ask for one."""
        return await self.shared.find(key, project_id)


MakeProcess = Callable[..., Process]


@pytest.fixture
def namespace() -> str:
    """What the keys of one test begin with."""
    return os.urandom(8).hex()


@pytest.fixture
async def make(redis_url: str, namespace: str) -> AsyncIterator[MakeProcess]:
    """Make processes of one installation."""
    made: list[Process] = []

    def build(**parts: object) -> Process:
        made.append(Process(redis_url, namespace, **parts))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for each in made:
        await each.shared.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator["Redis"]:
    """What lies there."""
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


async def names(redis: "Redis", namespace: str) -> list[bytes]:
    """The names of the answers that lie there."""
    books = (b"order", b"bytes")
    return [name async for name in redis.scan_iter(f"{{{namespace}}}:*") if not name.endswith(books)]


async def test_what_one_kept_another_has(make: MakeProcess) -> None:
    """In its memory too, with the rest of its life."""
    one, two = make(), make()
    answer = make_answer(tags=("a",))
    await one.put(answer=answer)
    found = await two.find()
    assert found is not None
    assert (found.entry_id, found.tags, found.usage, found.lines) == (
        answer.entry_id, answer.tags, answer.usage, answer.lines,
    )  # fmt: skip
    assert found.recorded.body == answer.recorded.body
    assert two.answers.find(KEY, AT_NS + 60 * NS_PER_S - 1) is found
    assert two.answers.find(KEY, AT_NS + 60 * NS_PER_S) is None
    assert await two.find(OTHER) is None


async def test_an_answer_that_was_given_before_it_is_shared_is_whole(make: MakeProcess) -> None:
    """Who shared its call may be quicker: what was put in place of its name there is none to those who get it."""
    here, there = make(), make()
    choice = b'{"index":0,"message":{"content":"Hi."},"finish_reason":"stop"}'
    answer = make_answer(body=b'{"id":"x","created":1,"choices":[%b]}' % choice)
    answer.recorded.as_body("first", 1)
    await here.put(answer=answer)
    found = await there.find()
    assert found is not None
    assert is_whole(found.recorded, 1, allows_calls=False)
    assert b'"id":"chatcmpl-second"' in found.recorded.as_body("second", 2)


async def test_an_older_answer_does_not_take_a_newer_ones_place(make: MakeProcess) -> None:
    """Another process may have refreshed it while the older call went on."""
    one, two = make(), make()
    await one.put(answer=make_answer(entry_id="ce_2", created_ns=AT_NS + 1_000))
    await two.put(answer=make_answer(entry_id="ce_1"))
    found = await two.find()
    assert found is not None and found.entry_id == "ce_2"
    await two.put(answer=make_answer(entry_id="ce_3", created_ns=AT_NS + 2_000))
    found = await make().find()
    assert found is not None and found.entry_id == "ce_3"


async def test_an_answer_lives_its_time_and_no_longer(make: MakeProcess, redis: "Redis", namespace: str) -> None:
    """By the process's clock and by Redis's; a week at most."""
    one, two = make(), make()
    one.now_ns = two.now_ns = time.time_ns()
    await one.put(answer=make_answer(created_ns=one.now_ns), ttl_s=10**7)
    (name,) = await names(redis, namespace)
    assert MAX_SHARED_S * 1_000 - 60_000 < await redis.pttl(name) <= MAX_SHARED_S * 1_000
    two.now_ns += MAX_SHARED_S * NS_PER_S
    assert await two.find() is None
    one.now_ns += MAX_SHARED_S * NS_PER_S
    await one.put(OTHER, answer=make_answer(), ttl_s=1)
    assert len(await names(redis, namespace)) == 1


@pytest.mark.parametrize(
    ("purge", "gone"),
    [
        (Purge(project_id="p"), True),
        (Purge(project_id="p", tag="blue"), True),
        (Purge(project_id="p", tag="red"), False),
        (Purge(project_id="p", entry_ids=frozenset(["ce_1"])), True),
        (Purge(project_id="p", before_ns=AT_NS), False),
        (Purge(project_id="q"), False),
    ],
)
async def test_what_was_purged_is_not_given(make: MakeProcess, purge: Purge, gone: bool) -> None:
    """Wherever it still lies; what came after the purge is."""
    one, two = make(), make()
    two.purges.add(purge, AT_NS + 1)
    await one.put(answer=make_answer(tags=("blue",)))
    assert (await two.find() is None) is gone
    await one.put(answer=make_answer(tags=("blue",), created_ns=AT_NS + 1))
    assert await two.find() is not None


async def test_what_was_replaced_elsewhere_is_not_given(make: MakeProcess) -> None:
    """What took its place may not have come to Redis."""
    one, two = make(), make()
    await one.put()
    two.answers.refresh(KEY, AT_NS + 1)
    assert await two.find() is None
    await one.put(answer=make_answer(created_ns=AT_NS + 1))
    assert await two.find() is not None


def test_what_was_stored_after_every_purge_is_covered_by_none() -> None:
    """Whatever their terms; of other projects' purges nothing is asked."""
    purges = Purges()
    purges.add(Purge(project_id="p", before_ns=AT_NS - 1), AT_NS)
    purges.add(Purge(project_id="p", tag="red"), AT_NS - 5)
    purges.add(Purge(project_id="q"), AT_NS + 5)
    assert not purges.cover(make_answer(created_ns=AT_NS - 1, tags=("red",)))
    assert purges.cover(make_answer(created_ns=AT_NS - 2))


def test_many_purges_become_one() -> None:
    """Of the oldest only the time is known: all that was stored before is gone, so none of it comes back."""
    purges = Purges()
    for number in range(MAX_PURGES + 2):
        purges.add(Purge(project_id="p", entry_ids=frozenset([f"ce_{number}"])), AT_NS + number)
        purges.add(Purge(project_id="p", entry_ids=frozenset([f"ce_{number}"])), AT_NS + number)
    assert purges.cover(make_answer(entry_id="ce_other", created_ns=AT_NS))
    assert not purges.cover(make_answer(entry_id="ce_other", created_ns=AT_NS + 1))
    assert purges.cover(make_answer(entry_id="ce_2", created_ns=AT_NS + 1))
    assert not purges.cover(make_answer(project_id="q", entry_id="ce_2"))


async def test_nothing_of_an_answer_can_be_read_there(make: MakeProcess, redis: "Redis", namespace: str) -> None:
    """Neither its words nor the key of its request."""
    one = make()
    await one.put(answer=make_answer(body=b'{"choices":"a secret word"}'))
    (name,) = await names(redis, namespace)
    data = await redis.get(name)
    assert data is not None
    assert b"secret" not in data
    assert KEY.hex().encode() not in name


async def test_what_is_damaged_moved_or_forged_is_a_miss(make: MakeProcess, redis: "Redis", namespace: str) -> None:
    """Whoever can write to Redis cannot make anybody say anything."""
    one = make()
    await one.put()
    (name,) = await names(redis, namespace)
    data = await redis.get(name)
    assert data is not None
    await one.put(OTHER)
    (other,) = set(await names(redis, namespace)) - {name}
    for wrong in (b"", b"x", data[:20], data[:-1], data[:-1] + bytes([data[-1] ^ 1]), await redis.get(other)):
        await redis.set(name, wrong or b"")
        assert await one.find() is None
    await redis.set(name, data)
    assert await one.find() is not None
    assert await make(secret=b"t" * 32).find() is None
    await redis.delete(name)
    await redis.lpush(name, "a list")
    assert await one.find() is None


async def test_another_project_gets_nothing(make: MakeProcess) -> None:
    """Even under the same key, which no two projects have."""
    one = make()
    await one.put()
    assert await one.find(project_id="q") is None


async def test_the_room_is_bounded(make: MakeProcess, redis: "Redis", namespace: str) -> None:
    """What ends first leaves first; one answer that is put again takes its room once."""
    one = make(max_bytes=10_000)
    for number in range(20):
        body = bytes([65 + number]) * 1_000
        answer = make_answer(recorded=record_body("chat/completions", body))
        await one.put(bytes([number]) * 16, answer=answer, ttl_s=1_000 + number)
        await one.put(bytes([number]) * 16, answer=answer, ttl_s=1_000 + number)
    kept = [number for number in range(20) if await one.find(bytes([number]) * 16) is not None]
    assert kept == list(range(20 - len(kept), 20))
    assert 5 <= len(kept) <= 9
    sizes = [await redis.strlen(name) for name in await names(redis, namespace)]
    total = int(await redis.get(f"{{{namespace}}}:answers:bytes") or 0)
    assert sum(sizes) < total == sum(sizes) + 256 * len(sizes) <= 10_000
    await one.put(b"x" * 16, answer=make_answer(recorded=record_body("chat/completions", b"x" * 11_000)))
    assert await one.find(b"x" * 16) is None
    assert len(await names(redis, namespace)) == len(kept)


async def test_what_has_ended_makes_room(make: MakeProcess, redis: "Redis", namespace: str) -> None:
    """Its bytes are counted no more once the next comes, and what stands in its place stays."""
    one = make(max_bytes=10_000)
    one.now_ns = time.time_ns()
    body = record_body("chat/completions", b"x" * 3_000)
    for key in (KEY, OTHER):
        await one.put(key, answer=make_answer(created_ns=one.now_ns, recorded=body), ttl_s=1)
    await asyncio.sleep(1.1)
    assert await names(redis, namespace) == []
    one.now_ns = time.time_ns()
    for key in (KEY, b"a" * 16):
        await one.put(key, answer=make_answer(created_ns=one.now_ns, recorded=body), ttl_s=60)
    assert await one.find() is not None
    (size, *_), total = (
        [await redis.strlen(name) for name in await names(redis, namespace)],
        int(await redis.get(f"{{{namespace}}}:answers:bytes") or 0),
    )
    assert total == 2 * (size + 256)


@pytest.mark.parametrize("kind", ["order", "bytes", "text", "negative", "huge", "member", "answer"])
async def test_what_is_damaged_there_heals(
    make: MakeProcess, redis: "Redis", namespace: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The next answer is shared as if nothing had been, and Redis is not spared for it."""
    one, two = make(max_bytes=10_000), make()
    one.now_ns = two.now_ns = time.time_ns()
    prefix = f"{{{namespace}}}:answers:"
    await one.put(answer=make_answer(created_ns=one.now_ns))
    (name,) = await names(redis, namespace)
    if kind == "member":
        await redis.zadd(f"{prefix}order", {"something": 0, "else 99999999999999999999": 0})
    elif kind in ("order", "bytes", "answer"):
        place = name.decode() if kind == "answer" else prefix + kind
        await redis.delete(place)
        await redis.lpush(place, "x")
    else:
        await redis.set(f"{prefix}bytes", {"text": "many", "negative": "-5", "huge": "9" * 30}[kind])
    assert (await two.find() is None) is (kind == "answer")
    for number in range(8):
        one.now_ns += 1
        await one.put(answer=make_answer(entry_id=f"ce_{number}", created_ns=one.now_ns))
        found = await make().find()
        assert found is not None and found.entry_id == f"ce_{number}"
    (size,), total = (
        [await redis.strlen(each) for each in await names(redis, namespace)],
        int(await redis.get(f"{prefix}bytes") or 0),
    )
    assert (total, await redis.zcard(f"{prefix}order")) == (size + 256, 1)
    assert "spared" not in caplog.text


async def test_long_answers_and_too_many_at_once_are_not_shared(
    make: MakeProcess, redis: "Redis", namespace: str
) -> None:
    """What is not kept here is not put there, and nobody waits for Redis."""
    one = make(max_bytes=1 << 24)
    await one.put(answer=make_answer(recorded=record_body("chat/completions", b"x" * (1 << 17))))
    assert await names(redis, namespace) == []
    for number in range(2 * MAX_TELLING):
        one.shared.put(bytes([number]) * 16, make_answer(), ttl_s=60, saved_pusd=1)
    await one.shared.settle()
    assert len(await names(redis, namespace)) == MAX_TELLING


async def test_a_redis_that_hangs_or_is_gone_is_a_miss(redis_server: RedisServer) -> None:
    """Each call waits its time at most, and after a few none waits at all."""
    limits = LinkLimits(timeout_ms=100, turn_ms=100, slow_ms=60)
    one = Process(redis_server.url, "gone", limits=limits)
    one.now_ns = time.time_ns()
    await one.put(answer=make_answer(created_ns=one.now_ns))
    redis_server.process.send_signal(signal.SIGSTOP)
    for _ in range(8):
        assert await one.find() is None
    began = time.thread_time()
    for _ in range(200):
        assert await one.find() is None
    assert time.thread_time() - began < 1
    one.shared.put(OTHER, make_answer(created_ns=one.now_ns), ttl_s=60, saved_pusd=1)
    await one.shared.settle()
    redis_server.process.send_signal(signal.SIGCONT)
    redis_server.process.kill()
    redis_server.process.wait()
    assert await one.find() is None
    await one.shared.close()
