"""The master key: made once, kept private, never replaced silently."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.accounts.master import (
    MASTER_KEY_FILE,
    MasterKeyError,
    decode_previous_keys,
    derive_key,
    load_master_key,
)

GIVEN = base64.b64encode(bytes(range(32))).decode()


def test_a_given_key_is_used_and_no_file_is_made(tmp_path: Path) -> None:
    """WATCHLLM_MASTER_KEY wins."""
    assert load_master_key(GIVEN, tmp_path) == bytes(range(32))
    assert list(tmp_path.iterdir()) == []


def test_the_first_start_makes_a_private_file(tmp_path: Path) -> None:
    """Only its owner reads the key, and nothing else is left behind."""
    key = load_master_key(None, tmp_path / "data")
    path = tmp_path / "data" / MASTER_KEY_FILE
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600
    assert base64.b64decode(path.read_text()) == key
    assert len(key) == 32


def test_the_second_start_finds_the_first_key(tmp_path: Path) -> None:
    """What was hashed under the key stays known."""
    assert load_master_key(None, tmp_path) == load_master_key(None, tmp_path)


def test_starts_at_the_same_moment_agree(tmp_path: Path) -> None:
    """The first of several files stays, and all read that one."""
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: load_master_key(None, tmp_path), range(16)))
    assert len(set(keys)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [MASTER_KEY_FILE]


@pytest.mark.parametrize("text", ["", "short", "x" * 44, GIVEN[:-4], GIVEN + "AAAA", "ключ"])
def test_a_given_key_of_another_form_is_refused(text: str, tmp_path: Path) -> None:
    """The message says what is wanted and never shows the key."""
    with pytest.raises(MasterKeyError, match="is not 32 bytes in base64") as caught:
        load_master_key(text, tmp_path)
    assert "WATCHLLM_MASTER_KEY" in str(caught.value)
    assert len(text) < 6 or text not in str(caught.value)


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    """A cut file is no reason to make a new key: stored keys would be lost."""
    path = tmp_path / MASTER_KEY_FILE
    path.write_text(GIVEN[:20])
    path.chmod(0o600)
    with pytest.raises(MasterKeyError, match="is not 32 bytes"):
        load_master_key(None, tmp_path)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """The message gives the command that mends it."""
    path = tmp_path / MASTER_KEY_FILE
    path.write_text(GIVEN)
    path.chmod(0o640)
    with pytest.raises(MasterKeyError, match="chmod 600"):
        load_master_key(None, tmp_path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file stands where the data directory should."""
    (tmp_path / "data").write_text("")
    with pytest.raises(MasterKeyError, match="make the folder writable"):
        load_master_key(None, tmp_path / "data")


def test_previous_keys_are_read_in_their_order() -> None:
    """As the current one is, each by itself."""
    other = base64.b64encode(bytes(32)).decode()
    assert decode_previous_keys([GIVEN, f" {other}\n"]) == (bytes(range(32)), bytes(32))
    assert decode_previous_keys([]) == ()


def test_a_previous_key_of_another_form_is_refused() -> None:
    """By its number, since the key itself is not shown."""
    with pytest.raises(MasterKeyError, match="key 2 of WATCHLLM_PREVIOUS_MASTER_KEYS") as caught:
        decode_previous_keys([GIVEN, GIVEN[:20]])
    assert GIVEN[:20] not in str(caught.value)


def test_a_key_is_derived_by_hkdf() -> None:
    """RFC 5869, appendix A.3 (no salt, no info), its first 32 bytes."""
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert derive_key(b"\x0b" * 22, "").hex() == expected


def test_two_purposes_get_two_keys() -> None:
    """A secret used for two purposes is one leak away from both."""
    master = os.urandom(32)
    assert derive_key(master, "key-digest") != derive_key(master, "vault")
