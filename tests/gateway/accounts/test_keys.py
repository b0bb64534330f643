"""Keys: their form is checked cheaply, their digest is HMAC-SHA256."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.keys import (
    BODY_CHARS,
    PREFIXES,
    Issuer,
    KeyDigester,
    KeyKind,
    display_of,
    is_well_formed,
    make_key,
)

PEPPER = bytes(range(32))
KEY_CHARS = len("lgw_proj_") + BODY_CHARS


@pytest.mark.parametrize(("issuer", "kind"), PREFIXES)
def test_a_made_key_is_well_formed(issuer: Issuer, kind: KeyKind) -> None:
    """Prefix, 43 characters for 32 random bytes, six for the checksum: always one width."""
    assert PREFIXES["lgw", "live"] == "lgw_proj_"
    assert (PREFIXES["efg", "live"], PREFIXES["ak", "live"]) == ("EFG_sk_live_", "ak_live_")
    for _ in range(50):
        key = make_key(kind, issuer)
        assert key.startswith(PREFIXES[issuer, kind])
        assert len(key) == len(PREFIXES[issuer, kind]) + 43 + 6
        assert is_well_formed(key)
        assert is_well_formed(key.encode())


def test_made_keys_differ() -> None:
    """A key holds 256 random bits."""
    assert len({make_key("live") for _ in range(200)}) == 200


@given(st.integers(min_value=0, max_value=KEY_CHARS - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_one_wrong_character_is_noticed(position: int, char: str) -> None:
    """CRC32 finds every error of one character, in the prefix too."""
    key = make_key("live")
    changed = key[:position] + char + key[position + 1 :]
    assert is_well_formed(changed) == (changed == key)


@pytest.mark.parametrize(
    "text",
    ["", "lgw_proj_", "Bearer x", "sk-" + "a" * 55, "lgw_proj_" + "é" * 49, "lgw_proj_" + "a" * 49, "\ud800" * 58],
)
def test_what_is_no_key_is_not_well_formed(text: str) -> None:
    """Anything a client may send is answered, nothing raises."""
    assert not is_well_formed(text)


def test_the_checksum_belongs_to_the_prefix() -> None:
    """A test key does not become a live one by another prefix."""
    assert not is_well_formed(make_key("test").replace("lgw_test_", "lgw_proj_"))


@given(st.binary(max_size=300))
def test_the_digest_is_hmac_sha256(key: bytes) -> None:
    """The kept hash states give what the standard library gives."""
    assert KeyDigester(PEPPER).digest(key) == hmac.digest(PEPPER, key, "sha256")


def test_only_the_start_of_a_key_is_shown() -> None:
    """Row W26's form: the prefix, three characters and three dots."""
    assert display_of("lgw_proj_abc" + "x" * 46) == "lgw_proj_abc..."
    assert display_of("EFG_sk_live_abc" + "x" * 46) == "EFG_sk_live_abc..."
