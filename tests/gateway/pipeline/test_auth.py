"""Room 1: every way to present a key, and what each bad one is answered."""

from typing import cast

import pytest
from fakes import CALLER, NOW_NS, FakeDirectory
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.directory import KeyDirectory, KeyFault
from gateway.errors import Fault
from gateway.pipeline.auth import Credentials, authenticate, authenticate_anyhow, read_key

KEY = b"lgw_proj_x"


def directory(found: object = CALLER, *, is_stale: bool = False) -> KeyDirectory:
    """A directory that knows one key."""
    return cast("KeyDirectory", FakeDirectory({KEY: found}, is_stale=is_stale))  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials((b"Bearer " + KEY,)),
        Credentials((b"bearer " + KEY,)),
        Credentials((b"BEARER   " + KEY + b" ",)),
        Credentials((), (KEY,)),
        Credentials((), (b" " + KEY + b" ",)),
        Credentials((), (KEY, KEY)),
        Credentials((b"Bearer " + KEY,), (KEY,)),
    ],
)
def test_every_form_of_one_credential_is_read(credentials: Credentials) -> None:
    """Authorization: Bearer in any case, x-api-key and api-key, alone or saying the same."""
    assert read_key(credentials) == KEY


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(),
        Credentials((b"",)),
        Credentials((b"Bearer",)),
        Credentials((b"Bearer ",)),
        Credentials((KEY,)),
        Credentials((b"Basic dXNlcjpwYXNz",)),
        Credentials((), (b"",)),
        Credentials((), (b"  ",)),
        Credentials((b"Basic dXNlcjpwYXNz",), (KEY,)),
    ],
)
def test_no_credential_is_an_invalid_key(credentials: Credentials) -> None:
    """Nothing, an empty one or another scheme is 401."""
    with pytest.raises(Fault) as refused:
        read_key(credentials)
    assert (refused.value.code, refused.value.status) == ("invalid_api_key", 401)


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials((b"Bearer " + KEY,), (b"other",)),
        Credentials((), (KEY, b"other")),
        Credentials((b"Bearer " + KEY, b"Bearer other")),
        Credentials((b"Bearer " + KEY, b"Bearer " + KEY)),
        Credentials((b"Bearer ",), (KEY,)),
    ],
)
def test_credentials_that_disagree_are_refused(credentials: Credentials) -> None:
    """A proxy in front may have looked at the other one, so none is believed."""
    with pytest.raises(Fault) as refused:
        read_key(credentials)
    assert (refused.value.code, refused.value.status) == ("invalid_request", 400)


def test_blanks_behind_bearer_are_no_key() -> None:
    """Only white space reaches the directory as nothing at all."""
    with pytest.raises(Fault) as refused:
        authenticate(Credentials((b"Bearer    ",)), directory(), NOW_NS)
    assert refused.value.status == 401


def test_a_known_key_is_its_record() -> None:
    """The caller is what the directory says."""
    assert authenticate(Credentials((b"Bearer " + KEY,)), directory(), NOW_NS) == CALLER


@pytest.mark.parametrize("fault", list(KeyFault))
def test_a_key_that_is_not_honoured_is_401(fault: KeyFault) -> None:
    """Unknown, malformed, revoked and expired keys are told apart in words only."""
    with pytest.raises(Fault) as refused:
        authenticate(Credentials((b"Bearer " + KEY,)), directory(fault), NOW_NS)
    assert (refused.value.status, fault.value in refused.value.message) == (401, True)


def test_an_unknown_key_of_a_stale_directory_is_503() -> None:
    """It may have been made while the database was away, so the client asks again."""
    with pytest.raises(Fault) as refused:
        authenticate(Credentials((b"Bearer new",)), directory(is_stale=True), NOW_NS)
    assert (refused.value.code, refused.value.retry_after_ms) == ("service_unavailable", 1_000)


async def test_only_what_is_unknown_is_worth_a_second_look() -> None:
    """Which may find it; what is refused for another reason, and what is known, waits for nothing."""
    known = FakeDirectory({KEY: KeyFault.UNKNOWN})
    looks = 0

    async def catch_up() -> None:
        nonlocal looks
        looks += 1
        known.keys[KEY] = CALLER

    known.catch_up = catch_up  # type: ignore[method-assign]
    asked = Credentials((b"Bearer " + KEY,))
    keys = cast("KeyDirectory", known)
    assert [await authenticate_anyhow(asked, keys, lambda: NOW_NS) for _ in range(2)] == [CALLER, CALLER]
    assert looks == 1
    for fault in set(KeyFault) - {KeyFault.UNKNOWN}:
        known.keys[KEY] = fault
        with pytest.raises(Fault):
            await authenticate_anyhow(asked, keys, lambda: NOW_NS)
    assert looks == 1


@pytest.mark.parametrize("fault", [KeyFault.MALFORMED, KeyFault.REVOKED, KeyFault.EXPIRED])
def test_a_stale_directory_still_refuses_what_it_knows(fault: KeyFault) -> None:
    """Revoked stays revoked while the database is away."""
    with pytest.raises(Fault) as refused:
        authenticate(Credentials((b"Bearer " + KEY,)), directory(fault, is_stale=True), NOW_NS)
    assert refused.value.status == 401


def test_a_stale_directory_honours_known_keys() -> None:
    """What was known goes on."""
    assert authenticate(Credentials((b"Bearer " + KEY,)), directory(is_stale=True), NOW_NS) == CALLER


@given(st.lists(st.binary(max_size=12), max_size=3), st.lists(st.binary(max_size=12), max_size=3))
def test_any_headers_are_one_key_or_a_fault_that_does_not_repeat_them(
    authorization: list[bytes], api_key: list[bytes]
) -> None:
    """Whatever bytes stand in the headers, nothing but a Fault is raised, and no credential is echoed."""
    canary = b"c4n4ry"
    credentials = Credentials(
        tuple(canary + value for value in authorization), tuple(canary + value for value in api_key)
    )
    try:
        key = read_key(credentials)
    except Fault as fault:
        assert "c4n4ry" not in fault.message
    else:
        assert key.startswith(canary)
