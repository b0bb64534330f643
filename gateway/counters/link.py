"""The way to Redis: every call has a time limit, and a Redis that is slow or dead is soon spared.

        closed ──five calls in a row failed or slow──▶ open ──a probe in the background is answered fast──▶ closed

Failure behavior: a call that fails, or is not answered within ``timeout_ms``, raises CountersUnavailable; whether it
was done is not known. Once ``failures`` calls in a row have failed or asked for longer than ``slow_ms``, those that
still wait are let go and all others raise at once, without asking, until a probe finds Redis well again. So at most
``failures`` calls are kept waiting by Redis for longer than ``slow_ms``, and none waits longer than ``timeout_ms`` for
its answer. A call that has not had its turn within ``turn_ms``, because so many came before it, raises too. Calls are
never repeated. A wait that is this process's own doing, its loop being busy or many calls before it, is not held
against Redis, nor is an answer that a value is damaged.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

import msgspec
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.client import NEVER_DECODE
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from gateway.counters.interface import CountersSpared, CountersUnavailable
from gateway.counters.scripts import Script

_log = logging.getLogger(__name__)
# Few, so that a question that was sent is answered at once by a Redis that is well, however many calls there are; the
# others wait for their turn, which nobody blames on Redis.
_CONNECTIONS = 8
# After a time in which the loop was busy, answers that have come wait to be read: a call is slow only if it still has
# none after the loop has turned freely for this long. It is the last part of ``slow_ms``.
_SECOND_LOOK_S = 0.01
# What Redis says of a value that is none of what a script works with.
_OF_VALUES = ("WRONGTYPE", "not an integer", "not a valid float")


class LinkLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How patient the link is, in ms."""

    # One call that has its turn, connecting included.
    timeout_ms: int = 250
    # Until a call has its turn: a thousand callers at once are through well before, and a provider takes longer.
    turn_ms: int = 5_000
    # To be asked for longer than this counts as a failure, answered or not; more than 10, less than timeout_ms.
    slow_ms: int = 50
    # In a row, until Redis is spared.
    failures: int = 5
    # Before the first probe of a Redis that is being spared: it may have paused only for a moment.
    first_probe_ms: int = 50
    # Between two probes at the most; each pause is twice the one before.
    probe_ms: int = 1_000


class _Call:
    """A call that waits for its turn, and then for its answer."""

    __slots__ = ("asked_s", "is_blamed", "scope")

    def __init__(self, scope: asyncio.Timeout) -> None:
        self.scope = scope
        self.asked_s = math.inf
        # Whether it has been counted as a failure already.
        self.is_blamed = False

    @property
    def has_asked(self) -> bool:
        """Whether it had its turn."""
        return self.asked_s < math.inf


class RedisLink:
    """Runs scripts in one Redis."""

    def __init__(self, client: Redis, limits: LinkLimits) -> None:
        self._client = client
        # Its own type is unknown to the type checkers.
        untyped: Any = client
        self._execute: Callable[..., Awaitable[Any]] = untyped.execute_command
        self._timeout_s = limits.timeout_ms / 1_000
        self._turn_s = limits.turn_ms / 1_000
        self._slow_s = limits.slow_ms / 1_000
        self._first_probe_s = min(limits.first_probe_ms, limits.probe_ms) / 1_000
        self._probe_s = limits.probe_ms / 1_000
        self._limit = limits.failures
        self._failures = 0
        self._calls: set[_Call] = set()
        self._turns = asyncio.Semaphore(_CONNECTIONS)
        # Those that have asked, the oldest first.
        self._asking: dict[_Call, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._probing: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, url: str, limits: LinkLimits | None = None) -> Self:
        """Make a link to the Redis at ``url``; nothing is connected before the first call. Raises ValueError."""
        limits = limits or LinkLimits()
        pool_type: Any = ConnectionPool
        try:
            pool = pool_type.from_url(
                url,
                # One more for the probe.
                max_connections=_CONNECTIONS + 1,
                socket_timeout=None,
                socket_connect_timeout=None,
                retry=Retry(NoBackoff(), 0),
                # With these notifications on, the pool lends connections that Redis has closed.
                protocol=2,
                maint_notifications_config=MaintNotificationsConfig(enabled=False),
            )
        except ValueError:
            # The library's own text may repeat a part of the password.
            raise ValueError("REDIS_URL is no address of a Redis: write redis://USER:PASSWORD@HOST:PORT/0") from None
        return cls(Redis.from_pool(pool), limits)

    @property
    def is_sparing(self) -> bool:
        """Whether Redis is being spared: every call raises at once."""
        return self._probing is not None

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int | bytes]) -> Any:
        """Run a script and give its answer, texts as bytes. Raises CountersUnavailable."""
        self._refuse_while_spared()
        call = _Call(asyncio.timeout(self._turn_s))
        self._calls.add(call)
        try:
            async with call.scope, self._turns:
                answer = await self._ask(call, script, keys, arguments)
        except TimeoutError as error:
            self._calls.discard(call)
            if not call.has_asked:
                self._refuse_while_spared()
                raise CountersSpared(f"too many calls ask Redis: no turn within {self._turn_s:g} s") from error
            if not call.is_blamed and self._tells(call):
                self._count_failure(f"no answer within {self._timeout_s:g} s")
            raise CountersUnavailable(f"the counters in Redis did not answer within {self._timeout_s:g} s") from error
        except (RedisError, OSError) as error:
            self._calls.discard(call)
            if not call.is_blamed and not _tells_of_a_value(error):
                self._count_failure(str(error))
            raise CountersUnavailable(f"the counters in Redis cannot be used: {error}") from error
        finally:
            self._calls.discard(call)
        if not call.is_blamed:
            self._failures = 0
        return answer

    def _refuse_while_spared(self) -> None:
        if self._probing is not None:
            raise CountersSpared("Redis is being spared after failures in a row: it is probed in the background")

    async def close(self) -> None:
        """Close every connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait((self._probing,))
        await self._client.aclose()

    async def _ask(
        self, call: _Call, script: Script, keys: Sequence[str], arguments: Sequence[str | int | bytes]
    ) -> Any:
        # Spared since it began to wait, it has been let go.
        self._refuse_while_spared()
        options = {NEVER_DECODE: True}
        call.asked_s = asyncio.get_running_loop().time()
        call.scope.reschedule(call.asked_s + self._timeout_s)
        self._asking[call] = None
        if self._timer is None:
            self._plan(call.asked_s)
        try:
            return await self._execute("EVALSHA", script.sha, len(keys), *keys, *arguments, **options)
        except NoScriptError:
            # A Redis that was restarted, or never saw it, did nothing; this time it gets the whole text.
            return await self._execute("EVAL", script.text, len(keys), *keys, *arguments, **options)
        finally:
            del self._asking[call]

    def _plan(self, now_s: float) -> None:
        """See to it that the oldest question that is not yet slow is looked at, twice, at the end of its time."""
        oldest = next((call for call in self._asking if not call.is_blamed), None)
        if oldest is None:
            return
        first_s = oldest.asked_s + self._slow_s - _SECOND_LOOK_S
        is_second = first_s <= now_s
        due_s = now_s + _SECOND_LOOK_S if is_second else first_s
        self._timer = asyncio.get_running_loop().call_at(due_s, self._look, due_s, is_second)

    def _look(self, due_s: float, is_second: bool) -> None:
        """Count the questions that have become slow, unless this look comes late itself."""
        self._timer = None
        now_s = asyncio.get_running_loop().time()
        if is_second and now_s - due_s < _SECOND_LOOK_S / 2:
            for call in list(self._asking):
                if not call.is_blamed and call.asked_s + self._slow_s <= now_s:
                    call.is_blamed = True
                    self._count_failure(f"no answer within {self._slow_s:g} s")
        self._plan(now_s)

    def _tells(self, call: _Call) -> bool:
        """Whether a call that ran out of time tells of Redis: not if it had its turn only now, or the loop was busy."""
        now_s = asyncio.get_running_loop().time()
        due_s = call.scope.when()
        is_late = due_s is not None and now_s - due_s >= _SECOND_LOOK_S / 2
        return not is_late and now_s - call.asked_s >= self._slow_s

    def _count_failure(self, reason: str) -> None:
        self._failures += 1
        if self._failures < self._limit or self._probing is not None:
            return
        _log.warning("Redis is spared after %d failures in a row, the last one: %s", self._failures, reason)
        loop = asyncio.get_running_loop()
        self._probing = loop.create_task(self._probe())  # Kept, and awaited on close.
        for call in self._calls:
            call.is_blamed = True
            if not call.scope.expired():
                call.scope.reschedule(loop.time())

    async def _probe(self) -> None:
        """Ask Redis until it answers fast; the first question of each time may have to connect."""
        pause_s = self._first_probe_s
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self._probe_s)
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._execute("PING")
                async with asyncio.timeout(self._slow_s):
                    await self._execute("PING")
            except (TimeoutError, RedisError, OSError):
                continue
            break
        self._failures = 0
        self._probing = None
        _log.warning("Redis answers again")


def _tells_of_a_value(error: Exception) -> bool:
    """Whether Redis answered, and well: what lies under one name is damaged, and all others are not to wait for it."""
    return isinstance(error, ResponseError) and any(words in str(error) for words in _OF_VALUES)
