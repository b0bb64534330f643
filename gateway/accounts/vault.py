"""The vault: seals secrets for the database under keys that the master key yields, so that its rows alone tell nothing.

Every value is encrypted with a data key of its own, and that key is wrapped by a key-encryption key (AES-256-GCM both).
A key-encryption key is named by the master key that it comes from and by a version. The current master key's seal;
those of the previous ones, and every version, still open. What was sealed for one place opens in no other.

    seal   1 format, 8 master key's id, 4 version | 12 nonce, 48 wrapped data key | 12 nonce, n + 16 value

Failure behavior: a seal that cannot be opened raises a VaultError, whose text shows neither key nor value.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.accounts.master import VAULT, VAULT_ID, decode_previous_keys, derive_key, load_master_key
from gateway.config.secret import Secret

# A seal begins with its key's name.
KEY_NAME_BYTES = 13
_FORMAT = b"\x01"
_MASTER_ID_BYTES = 8
_VERSION_BYTES = 4
_NONCE_BYTES = 12
_TAG_BYTES = 16
_DATA_KEY_BYTES = 32
_WRAPPED_BYTES = _NONCE_BYTES + _DATA_KEY_BYTES + _TAG_BYTES
_LEAST_BYTES = KEY_NAME_BYTES + _WRAPPED_BYTES + _NONCE_BYTES + _TAG_BYTES


class VaultError(Exception):
    """A seal cannot be opened."""


class VaultKeyMissing(VaultError):
    """It was sealed under a master key that is not given here."""


class SealBroken(VaultError):
    """It is no seal, was altered, or was sealed for another place."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a seal belongs: it opens nowhere else."""

    table: str
    row_id: str
    column: str
    # Other values of the row, with which alone the seal is right.
    bound: tuple[str | None, ...] = ()

    def __str__(self) -> str:
        return f"{self.table}.{self.column} of {self.row_id!r}"


class Vault:
    """Seals and opens; knows the current master key and the previous ones."""

    __slots__ = ("_current_id", "_masters")

    def __init__(self, current: bytes, previous: Sequence[bytes] = ()) -> None:
        self._current_id = _identify(current)
        self._masters = {_identify(master): master for master in (*previous, current)}

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Vault cannot be serialised: it holds the master keys")

    def name_key(self, version: int) -> bytes:
        """Name the key that seals at this version, as its seals begin."""
        return _FORMAT + self._current_id + version.to_bytes(_VERSION_BYTES)

    def knows(self, key_name: bytes) -> bool:
        """Tell whether seals that begin so can be opened."""
        return key_name[:1] == _FORMAT and key_name[1 : 1 + _MASTER_ID_BYTES] in self._masters

    def seal(self, value: bytes, place: Place, version: int) -> bytes:
        """Seal a value for its place; the same value gives another seal each time."""
        data_key = os.urandom(_DATA_KEY_BYTES)
        return self._wrap(data_key, place, version) + _encrypt(data_key, value, _value_context(place))

    def open(self, seal: bytes, place: Place) -> bytes:
        """Give the value back. Raises VaultKeyMissing or SealBroken."""
        return _decrypt(
            self._unwrap(seal, place), seal[KEY_NAME_BYTES + _WRAPPED_BYTES :], _value_context(place), place
        )

    def rewrap(self, seal: bytes, place: Place, version: int) -> bytes:
        """Wrap the data key of a seal anew, its value left as it is. Raises VaultKeyMissing or SealBroken."""
        return self._wrap(self._unwrap(seal, place), place, version) + seal[KEY_NAME_BYTES + _WRAPPED_BYTES :]

    def _wrap(self, data_key: bytes, place: Place, version: int) -> bytes:
        name = self.name_key(version)
        return name + _encrypt(self._derive(name), data_key, _key_context(name, place))

    def _unwrap(self, seal: bytes, place: Place) -> bytes:
        if len(seal) < _LEAST_BYTES or seal[:1] != _FORMAT:
            raise SealBroken(f"{place} holds no seal that this version can read: restore a backup, or replace it")
        name = seal[:KEY_NAME_BYTES]
        if not self.knows(name):
            raise VaultKeyMissing(
                f"{place} was sealed under another master key ({show_key(name)}): "
                "give that key in WATCHLLM_PREVIOUS_MASTER_KEYS, or replace the secret"
            )
        wrapped = seal[KEY_NAME_BYTES : KEY_NAME_BYTES + _WRAPPED_BYTES]
        return _decrypt(self._derive(name), wrapped, _key_context(name, place), place)

    def _derive(self, name: bytes) -> bytes:
        master = self._masters[name[1 : 1 + _MASTER_ID_BYTES]]
        return derive_key(master, f"{VAULT}{int.from_bytes(name[1 + _MASTER_ID_BYTES :])}")


def load_vault(given: Secret | None, previous: Sequence[Secret], data_dir: Path) -> Vault:
    """Make the vault of the configured master keys, or of the key in ``data_dir``. Raises MasterKeyError."""
    current = load_master_key(given.reveal() if given else None, data_dir)
    return Vault(current, decode_previous_keys(key.reveal() for key in previous))


def show_key(key_name: bytes) -> str:
    """Write a key's name for people: the id of its master key, which tells nothing of it, and the version."""
    end = 1 + _MASTER_ID_BYTES
    return f"{key_name[1:end].hex()}/{int.from_bytes(key_name[end:KEY_NAME_BYTES])}"


def _identify(master: bytes) -> bytes:
    return derive_key(master, VAULT_ID)[:_MASTER_ID_BYTES]


def _encrypt(key: bytes, value: bytes, context: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, value, context)


def _decrypt(key: bytes, encrypted: bytes, context: bytes, place: Place) -> bytes:
    try:
        return AESGCM(key).decrypt(encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:], context)
    except InvalidTag:
        raise SealBroken(f"{place} was altered, or moved here from elsewhere: replace the secret") from None


def _key_context(name: bytes, place: Place) -> bytes:
    return b"key" + name + _write_place(place)


def _value_context(place: Place) -> bytes:
    return b"value" + _write_place(place)


def _write_place(place: Place) -> bytes:
    """Write a place so that no two are written alike."""
    return msgspec.json.encode((place.table, place.row_id, place.column, *place.bound))
