"""Passwords: their rules, and their argon2id hashes, made in a few threads of their own.

An unknown person's password is checked against a hash that nobody's password has, at the same cost, so that how long
an answer takes does not tell who is known.

Failure behavior: where too many wait already, PasswordsBusy is raised at once, since each takes a thread and much
memory. A stored hash that cannot be read counts as a wrong password and is logged without the hash.
"""

import asyncio
import base64
import importlib
import logging
import os
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from gateway.config.secret import Secret

MIN_PASSWORD_BYTES = 8
# Longer ones add no strength, only work.
MAX_PASSWORD_BYTES = 1024
_SALT_BYTES = 16
_HASH_BYTES = 32
_log = logging.getLogger(__name__)

T = TypeVar("T")


class PasswordCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a hash costs; the default is the second recommendation of RFC 9106 section 4 (64 MiB, 3 passes, 4 lanes)."""

    memory_kib: int = 65_536
    passes: int = 3
    lanes: int = 4
    # Hashes at work at once, each with memory_kib.
    threads: int = 2
    # Hashes at work or waiting.
    max_pending: int = 64


DEFAULT_COST = PasswordCost()


class PasswordCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a password was right; where it was, a fresh hash if the stored one was made at another cost."""

    is_right: bool
    fresh_hash: Secret | None = None


class PasswordsBusy(Exception):
    """Too many passwords wait to be hashed; trying again later helps."""


def find_length_fault(password: Secret) -> str | None:
    """Say what is wrong with a new password's length, without showing it; None: nothing."""
    length = len(_to_bytes(password))
    if MIN_PASSWORD_BYTES <= length <= MAX_PASSWORD_BYTES:
        return None
    return f"the password has {length} bytes: choose one of {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes in UTF-8"


def load_common_passwords() -> frozenset[str]:
    """List the 30,000 that are used most, in lower case.

    A tenth of a second and 15 MB, that only a process needs where somebody registers or changes a password.
    """
    lists = importlib.import_module("zxcvbn.frequency_lists").FREQUENCY_LISTS
    return frozenset(lists["passwords"])


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self, cost: PasswordCost) -> None:
        self._hasher = PasswordHasher(
            time_cost=cost.passes,
            memory_cost=cost.memory_kib,
            parallelism=cost.lanes,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
        )
        self._decoy = _make_decoy(cost)
        self._threads = ThreadPoolExecutor(cost.threads, thread_name_prefix="passwords")
        self._max_pending = cost.max_pending
        self._pending = 0
        self._common: frozenset[str] | None = None

    async def find_fault(self, password: Secret) -> str | None:
        """Say what is wrong with a new password, without showing it; None: nothing. Raises PasswordsBusy."""
        return find_length_fault(password) or await self._work(lambda: self._find_common(password))

    async def hash(self, password: Secret) -> Secret:
        """Hash a new password, whose rule was checked. Raises PasswordsBusy."""
        return await self._work(lambda: Secret(self._hasher.hash(_to_bytes(password))))

    async def check(self, stored: Secret | None, password: Secret) -> PasswordCheck:
        """Check a password against the hash of the person who is meant; None: nobody is. Raises PasswordsBusy."""
        return await self._work(lambda: self._check(stored, password))

    def close(self) -> None:
        """End the threads once they are done."""
        self._threads.shutdown()

    async def _work(self, work: Callable[[], T]) -> T:
        if self._pending >= self._max_pending:
            raise PasswordsBusy(f"{self._pending} passwords are being checked already: try again in a moment")
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._pending -= 1

    def _find_common(self, password: Secret) -> str | None:
        if self._common is None:
            self._common = load_common_passwords()
        if password.reveal().lower() in self._common:
            return (
                "the password is one of the 30,000 that are used most, which are tried first by whoever guesses: "
                "choose another, such as four words that have nothing to do with each other"
            )
        return None

    def _check(self, stored: Secret | None, password: Secret) -> PasswordCheck:
        # Nobody's password is longer, so what is cut off makes none right.
        given = _to_bytes(password)[: MAX_PASSWORD_BYTES + 1]
        reference = self._decoy if stored is None else stored.reveal()
        try:
            self._hasher.verify(reference, given)
        except VerifyMismatchError:
            return PasswordCheck(is_right=False)
        except (VerificationError, InvalidHashError) as error:
            _log.error("a stored password hash is unreadable (%s): its owner cannot sign in", type(error).__name__)
            return PasswordCheck(is_right=False)
        is_stale = self._hasher.check_needs_rehash(reference)
        fresh_hash = Secret(self._hasher.hash(given)) if is_stale else None
        return PasswordCheck(is_right=stored is not None, fresh_hash=fresh_hash)


def _to_bytes(password: Secret) -> bytes:
    """One password for both ways in which keyboards compose an accented letter (RFC 8265 section 4.2.2: NFC)."""
    return unicodedata.normalize("NFC", password.reveal()).encode("utf-8", "surrogatepass")


def _make_decoy(cost: PasswordCost) -> str:
    """Write what looks like the hash of a password, which nobody knows; checking against it costs the same."""
    salt, digest = (base64.b64encode(os.urandom(size)).decode().rstrip("=") for size in (_SALT_BYTES, _HASH_BYTES))
    return f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p={cost.lanes}${salt}${digest}"
