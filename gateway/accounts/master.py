"""The master key, from which every other secret of an installation is derived, one per purpose.

Failure behavior: a key file that others may read, that is not 32 bytes of base64, or that cannot be made refuses the
start; the gateway never goes on with another key than the one it was given, since no stored key would be known by it.
"""

import base64
import binascii
import hashlib
import hmac
import os
import stat
from collections.abc import Iterable
from pathlib import Path

MASTER_KEY_BYTES = 32
MASTER_KEY_FILE = "master.key"
# The purposes that keys are derived for; a name is never used for a second one.
API_KEYS = "api-keys"
# Puts addresses into buckets that nobody outside can choose.
BUCKETS = "buckets"
# Seals the answers that processes share.
SHARED_ANSWERS = "shared-answers"
# Followed by the version of the key-encryption key: "vault-1".
VAULT = "vault-"
# Yields no key but the name by which the vault tells master keys apart.
VAULT_ID = "vault-id"


class MasterKeyError(Exception):
    """The master key cannot be used; the message says why and what to do."""


def load_master_key(given: str | None, data_dir: Path) -> bytes:
    """Read the master key from its text, or else from ``data_dir``, where it is made on the first start.

    Two processes that start at once get the same key. Raises MasterKeyError.
    """
    if given is not None:
        return _decode(given, "WATCHLLM_MASTER_KEY")
    path = data_dir / MASTER_KEY_FILE
    try:
        if not path.exists():
            _make_file(path)
        return _read_file(path)
    except OSError as error:
        raise MasterKeyError(f"{path} cannot be read or made ({error.strerror}): make the folder writable") from error


def decode_previous_keys(given: Iterable[str]) -> tuple[bytes, ...]:
    """Read the master keys that were in use before, from their texts. Raises MasterKeyError."""
    return tuple(
        _decode(text, f"key {number} of WATCHLLM_PREVIOUS_MASTER_KEYS") for number, text in enumerate(given, 1)
    )


def derive_key(master: bytes, purpose: str) -> bytes:
    """Derive 32 bytes for one purpose by HKDF-SHA256 without salt (RFC 5869); keys of two purposes tell nothing."""
    pseudorandom = hmac.digest(bytes(hashlib.sha256().digest_size), master, "sha256")
    return hmac.digest(pseudorandom, purpose.encode() + b"\x01", "sha256")


def _decode(text: str, source: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise MasterKeyError(
            f"{source} is not {MASTER_KEY_BYTES} bytes in base64; make one with: openssl rand -base64 32"
        )
    return key


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise MasterKeyError(f"{path} may be read by others (mode {mode:04o}): run chmod 600 {path}")
        return _decode(file.read(1024).decode("ascii", "replace"), str(path))


def _make_file(path: Path) -> None:
    """Write a fresh key beside the path and link it there: whole or not at all, and the first of two stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(base64.b64encode(os.urandom(MASTER_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        _sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
