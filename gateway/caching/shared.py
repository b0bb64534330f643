"""Exact answers that the processes of an installation share, and keep over restarts: the second level, in Redis.

It is asked for what memory has not, no longer than a call may wait, and told of what is kept when the call has its
answer. What is there is encrypted (AES-256-GCM) for its place under a key of the installation's: a Redis is often open
to more than the gateway, and whoever reads there shall read no answer, and whoever writes there shall give none.

A purge needs no Redis: what was purged is in the database, every process follows it within a second, and what it covers
is not believed wherever it still lies.

Failure behavior: a Redis that is slow, full, gone or being spared, and whatever is damaged, forged, purged, replaced or
too old, are misses. What cannot be told is not shared.
"""

import asyncio
import hmac
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.caching.answers import MAX_SHARED_S, NS_PER_S, Answers, Owned, Purge, StoredAnswer
from gateway.caching.semantic.packing import Damaged, pack_answer, unpack_answer
from gateway.counters.interface import CountersUnavailable
from gateway.counters.scripts import Script, make_script, read_text

# Answers under way to Redis; more are not shared.
MAX_TELLING = 64
# Purges of one project that are told apart; of older ones only that all before the newest of them is gone.
MAX_PURGES = 64
_NS_PER_MS = 1_000_000
_SALT_BYTES, _NAME_BYTES = 16, 16
# Before what is sealed, in digits: when it was asked for, by which Redis tells the newer answer.
_TIME_BYTES = 20
# Each answer has a key of its own, so one nonce will do.
_NONCE = bytes(12)
_log = logging.getLogger(__name__)


class Link(Protocol):
    """The way to Redis; see gateway.counters.link."""

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int | bytes]) -> Any:
        """Run a script. Raises CountersUnavailable."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    expires_ns: int
    saved_pusd: int
    answer: bytes


_encode = msgspec.msgpack.Encoder().encode
_PACKED = msgspec.msgpack.Decoder(_Packed)


class Purges:
    """What was purged of each project, as long as anything that it covers may be shared."""

    def __init__(self) -> None:
        self._purges: dict[str, list[Purge]] = {}
        # None of them is about what was stored since.
        self._latest_ns: dict[str, int] = {}
        # What was stored before is purged, whatever it is.
        self._floors_ns: dict[str, int] = {}

    def add(self, purge: Purge, made_ns: int) -> None:
        """Remember a purge of what was stored before a time."""
        before_ns = made_ns if purge.before_ns is None else min(purge.before_ns, made_ns)
        purge = msgspec.structs.replace(purge, before_ns=before_ns)
        self._latest_ns[purge.project_id] = max(before_ns, self._latest_ns.get(purge.project_id, 0))
        known = self._purges.setdefault(purge.project_id, [])
        if purge in known:
            return
        known.append(purge)
        if len(known) > MAX_PURGES:
            oldest = known.pop(0)
            floor_ns = self._floors_ns.get(purge.project_id, 0)
            self._floors_ns[purge.project_id] = max(floor_ns, oldest.before_ns or 0)

    def cover(self, answer: Owned) -> bool:
        """Whether an answer was purged, or is to come of a call from before a purge."""
        if answer.created_ns >= self._latest_ns.get(answer.project_id, 0):
            return False
        if answer.created_ns < self._floors_ns.get(answer.project_id, 0):
            return True
        return any(purge.covers(answer) for purge in self._purges.get(answer.project_id, ()))


class SharedAnswers:
    """One a process. ``asking`` waits no longer than a call may; ``telling`` has time."""

    def __init__(  # noqa: PLR0913 - two links, what they carry, and by whose rules
        self,
        asking: Link,
        telling: Link,
        answers: Answers,
        purges: Purges,
        secret: bytes,
        *,
        max_bytes: int,
        now_ns: Callable[[], int],
        namespace: str = "watchllm",
    ) -> None:
        self._asking = asking
        self._telling = telling
        self._answers = answers
        self._purges = purges
        self._secret = secret
        self._max_bytes = max_bytes
        self._now_ns = now_ns
        self._prefix = f"{{{namespace}}}:answers:"
        self._find = make_script(read_text("find_answer"))
        self._keep = make_script(read_text("keep_answer"))
        self._tasks: set[asyncio.Task[None]] = set()

    async def find(self, key: bytes, project_id: str) -> StoredAnswer | None:
        """The answer to a request, put into this process's memory as well; None for whatever else may be."""
        try:
            data = await self._asking.run(self._find, (self._name(key),), ())
        except CountersUnavailable:
            # The link tells of it in the log, once.
            return None
        return None if data is None else self._take(key, data, project_id)

    def put(self, key: bytes, answer: StoredAnswer, *, ttl_s: int, saved_pusd: int) -> None:
        """Have an answer shared, some time later."""
        if len(self._tasks) >= MAX_TELLING or answer.recorded.size > self._answers.max_answer_bytes:
            return
        expires_ns = answer.created_ns + min(ttl_s, MAX_SHARED_S) * NS_PER_S
        sealed = self._seal(key, _encode(_Packed(expires_ns, saved_pusd, pack_answer(answer))))
        task = asyncio.get_running_loop().create_task(self._tell(key, answer.created_ns, sealed, expires_ns))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait until all that was put is there, or given up."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def close(self) -> None:
        """Tell what is under way, and close the links."""
        await self.settle()
        await self._asking.close()
        await self._telling.close()

    async def _tell(self, key: bytes, created_ns: int, sealed: bytes, expires_ns: int) -> None:
        life_ms = (expires_ns - self._now_ns()) // _NS_PER_MS
        if life_ms <= 0:
            return
        name = self._name(key)
        keys = (name, f"{self._prefix}order", f"{self._prefix}bytes")
        try:
            await self._telling.run(
                self._keep, keys, (b"%0*d" % (_TIME_BYTES, created_ns) + sealed, life_ms, self._max_bytes)
            )
        except CountersUnavailable as unavailable:
            _log.debug("an answer is not shared: %s", unavailable)

    def _take(self, key: bytes, data: bytes, project_id: str) -> StoredAnswer | None:
        try:
            packed = _PACKED.decode(self._unseal(key, data[_TIME_BYTES:]))
            answer = unpack_answer(packed.answer)
        except (InvalidTag, ValueError, msgspec.MsgspecError, Damaged):
            _log.warning("a shared answer is damaged, or not this installation's; it is not given")
            return None
        now_ns = self._now_ns()
        if packed.expires_ns <= now_ns or answer.project_id != project_id or self._purges.cover(answer):
            return None
        if self._answers.is_refreshed(key, answer.created_ns):
            # What took its place did not come here.
            return None
        ttl_s = (packed.expires_ns - answer.created_ns) // NS_PER_S
        self._answers.keep(key, answer, ttl_s=ttl_s, saved_pusd=packed.saved_pusd)
        return answer

    def _name(self, key: bytes) -> str:
        # Of the request's key nothing is told either: whoever knows a request could look for it.
        # The label is another where what lies there has another form.
        return self._prefix + hmac.digest(self._secret, b"name2" + key, "sha256")[:_NAME_BYTES].hex()

    def _cipher(self, key: bytes, salt: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self._secret, b"seal" + salt + key, "sha256"))

    def _seal(self, key: bytes, data: bytes) -> bytes:
        salt = os.urandom(_SALT_BYTES)
        return salt + self._cipher(key, salt).encrypt(_NONCE, data, key)

    def _unseal(self, key: bytes, sealed: bytes) -> bytes:
        """What was sealed for this key; raises InvalidTag, or ValueError for what is too short."""
        return self._cipher(key, sealed[:_SALT_BYTES]).decrypt(_NONCE, sealed[_SALT_BYTES:], key)
