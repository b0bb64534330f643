"""Passwords: hashed by argon2id, never shown, and one cost for known and unknown people."""

import asyncio
import threading

import pytest
from argon2 import PasswordHasher, extract_parameters
from households import CHEAP
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.accounts.tenancy.passwords import PasswordCost, Passwords, PasswordsBusy, find_length_fault
from gateway.config.secret import Secret

GIVEN = Secret("correct horse")


@pytest.fixture
def passwords():
    """Passwords that cost next to nothing."""
    passwords = Passwords(CHEAP)
    yield passwords
    passwords.close()


async def test_a_password_is_known_by_its_hash(passwords: Passwords) -> None:
    """The right one is, another is not, and nothing has to be hashed anew."""
    stored = await passwords.hash(GIVEN)
    right, wrong = await passwords.check(stored, GIVEN), await passwords.check(stored, Secret("correct horsf"))
    assert (right.is_right, right.fresh_hash, wrong.is_right) == (True, None, False)


async def test_the_hash_is_argon2id_with_a_salt(passwords: Passwords) -> None:
    """Two people of one password have two hashes."""
    one, other = (await passwords.hash(GIVEN)).reveal(), (await passwords.hash(GIVEN)).reveal()
    assert one.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert one != other


def test_the_default_cost_is_what_the_standard_recommends() -> None:
    """RFC 9106 section 4: 64 MiB, 3 passes, 4 lanes where memory is dear."""
    cost = PasswordCost()
    assert (cost.memory_kib, cost.passes, cost.lanes) == (65_536, 3, 4)


@pytest.mark.parametrize("length", [0, 1, 7, 1025, 5000])
def test_a_password_of_another_length_is_refused(length: int) -> None:
    """The message says what is wrong, in bytes."""
    assert find_length_fault(Secret("x" * length)) == (
        f"the password has {length} bytes: choose one of 8 to 1024 bytes in UTF-8"
    )


@pytest.mark.parametrize("password", ["x" * 8, "x" * 1024, "ключи", "é" * 512], ids=["8", "1024", "10", "1024-utf8"])
def test_a_password_of_8_to_1024_bytes_is_taken(password: str) -> None:
    """Bytes of UTF-8, not characters."""
    assert find_length_fault(Secret(password)) is None


@given(st.text(min_size=1))
def test_the_fault_never_shows_the_password(password: str) -> None:
    """Whatever it is."""
    fault = find_length_fault(Secret(f"§{password}§" * 300))
    assert fault is not None
    assert "§" not in fault


@pytest.mark.parametrize("password", ["password123", "PassWord123", "iloveyou", "12345678", "qwertyuiop"])
async def test_a_common_password_is_refused(passwords: Passwords, password: str) -> None:
    """However it is capitalised; the message says what to do and does not repeat it."""
    fault = await passwords.find_fault(Secret(password))
    assert fault is not None
    assert "choose another" in fault
    assert password.lower() not in fault.lower()


@pytest.mark.parametrize("password", ["correct horse", "secure_password123", "ключи от дома"])
async def test_an_uncommon_password_is_taken(passwords: Passwords, password: str) -> None:
    """Those of the documents' examples too."""
    assert await passwords.find_fault(Secret(password)) is None


async def test_the_length_is_told_first(passwords: Passwords) -> None:
    """It needs no list."""
    assert await passwords.find_fault(Secret("qwerty")) == find_length_fault(Secret("qwerty"))
    assert passwords._common is None


async def test_accents_may_be_composed_either_way(passwords: Passwords) -> None:
    """One keyboard sends é as one character, another as two."""
    stored = await passwords.hash(Secret("caf\u00e9 noir"))
    assert (await passwords.check(stored, Secret("cafe\u0301 noir"))).is_right


async def test_a_hash_of_another_cost_is_renewed(passwords: Passwords) -> None:
    """The password is at hand only when it is shown."""
    stored = Secret(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash("correct horse"))
    check = await passwords.check(stored, GIVEN)
    assert check.is_right
    assert check.fresh_hash is not None
    assert extract_parameters(check.fresh_hash.reveal()).memory_cost == 8
    assert (await passwords.check(check.fresh_hash, GIVEN)).fresh_hash is None
    assert (await passwords.check(stored, Secret("wrong one"))).fresh_hash is None


@pytest.mark.parametrize("cost", [CHEAP, PasswordCost()], ids=["cheap", "default"])
async def test_an_unknown_person_costs_the_same(cost: PasswordCost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same call is made, with a hash of the same parameters, and it fails in the same way."""
    seen: list[tuple[str, bytes]] = []

    def verify(_: PasswordHasher, stored: str, password: bytes) -> bool:
        seen.append((stored, password))
        return True

    passwords = Passwords(cost)
    with monkeypatch.context() as patched:
        patched.setattr(PasswordHasher, "verify", verify)
        check = await passwords.check(None, GIVEN)
    passwords.close()
    assert not check.is_right
    ((decoy, given),) = seen
    assert given == b"correct horse"
    expected = PasswordHasher(cost.passes, cost.memory_kib, cost.lanes)
    assert not expected.check_needs_rehash(decoy)


async def test_no_password_fits_the_decoy(passwords: Passwords) -> None:
    """It is read by the library as any hash is, and is the hash of nothing."""
    assert not (await passwords.check(None, GIVEN)).is_right
    assert not (await passwords.check(None, Secret(""))).is_right


async def test_an_endless_password_is_cut(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be right, and may not keep a thread busy."""
    lengths: list[int] = []
    stored = await passwords.hash(Secret("x" * 1024))
    verify = PasswordHasher.verify

    def measure(hasher: PasswordHasher, reference: str, password: bytes) -> bool:
        lengths.append(len(password))
        return verify(hasher, reference, password)

    monkeypatch.setattr(PasswordHasher, "verify", measure)
    assert not (await passwords.check(stored, Secret("x" * 1_000_000))).is_right
    assert lengths == [1025]


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$v=19$m=8,t=1,p=1$", "$2b$12$abc"], ids=range(4))
async def test_an_unreadable_hash_is_a_wrong_password(
    stored: str, passwords: Passwords, caplog: pytest.LogCaptureFixture
) -> None:
    """The log tells of it, without the hash."""
    assert not (await passwords.check(Secret(stored), GIVEN)).is_right
    assert "unreadable" in caplog.text
    assert not stored or stored not in caplog.text


async def test_hashing_leaves_the_loop_free(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    """It happens in a thread of its own name."""
    names: list[str] = []
    monkeypatch.setattr(PasswordHasher, "hash", lambda *_: names.append(threading.current_thread().name) or "x")
    await passwords.hash(GIVEN)
    assert names[0].startswith("passwords")


async def test_only_so_many_are_hashed_and_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at work, one waiting, and the fourth is told at once; afterwards there is room again."""
    gate, working = threading.Event(), threading.Semaphore(0)

    def hash_slowly(*_: object) -> str:
        working.release()
        gate.wait(10)
        return "x"

    monkeypatch.setattr(PasswordHasher, "hash", hash_slowly)
    passwords = Passwords(replace(CHEAP, threads=2, max_pending=3))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(passwords.hash(GIVEN)) for _ in range(3)]
        await asyncio.to_thread(lambda: [working.acquire(timeout=10) for _ in range(2)])
        with pytest.raises(PasswordsBusy, match="try again"):
            await passwords.check(None, GIVEN)
        assert not working.acquire(blocking=False)
        gate.set()
    assert [task.result().reveal() for task in tasks] == ["x"] * 3
    assert (await passwords.hash(GIVEN)).reveal() == "x"
    passwords.close()


async def test_no_repr_shows_a_hash(passwords: Passwords) -> None:
    """Neither that of a check nor that of a stored hash."""
    stored = Secret(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash("correct horse"))
    assert "$argon2" not in repr(await passwords.check(stored, GIVEN)) + repr(await passwords.hash(GIVEN))
