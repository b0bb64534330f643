"""The form of an API key, and the keyed digest by which it is stored and found.

A key is a prefix that tells who issued it, 43 characters of base62 that hold 32 random bytes, and six more that hold
the CRC32 of all before them, so that a mistyped key is told from an unknown one without asking anybody. The prefix
tells nothing of what the key may: its scopes do.
"""

import hashlib
import os
import zlib
from typing import Annotated, Literal

import msgspec

from gateway.config.settings import MAX_TTL_S, Rate

KeyKind = Literal["live", "test"]
# The document whose endpoint issued it: W, E or A.
Issuer = Literal["lgw", "efg", "ak"]

PREFIXES: dict[tuple[Issuer, KeyKind], str] = {
    ("lgw", "live"): "lgw_proj_",
    ("lgw", "test"): "lgw_test_",
    ("efg", "live"): "EFG_sk_live_",
    ("ak", "live"): "ak_live_",
}
# Behind the prefix.
BODY_CHARS = 49
MAX_KEY_CHARS = BODY_CHARS + max(map(len, PREFIXES.values()))
_SHOWN_CHARS = 3
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_BYTES = 32
# 62**43 > 2**256 and 62**6 > 2**32.
_SECRET_CHARS = 43
_CHECK_CHARS = 6
_STARTS = tuple(prefix.encode() for prefix in PREFIXES.values())
_SHA256_BLOCK_BYTES = 64


class KeyCache(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key's calls want of the cache where they say nothing themselves; None: what their project wants."""

    # Nothing is looked up and nothing is kept: every answer is a fresh one.
    mode: Literal["off"] | None = None
    ttl_s: Annotated[int, msgspec.Meta(ge=1, le=MAX_TTL_S)] | None = None
    # Shares of wrong answers, of all requests and of the semantic hits: they tighten the project's, never loosen them.
    max_wrong_rate: Rate | None = None
    max_wrong_hit_rate: Rate | None = None


NO_CACHE_WISHES = KeyCache()


def make_key(kind: KeyKind, issuer: Issuer = "lgw") -> str:
    """Make a fresh key; it is shown once and stored only as its digest."""
    body = PREFIXES[issuer, kind] + _base62(int.from_bytes(os.urandom(_SECRET_BYTES)), _SECRET_CHARS)
    return body + _check_of(body.encode())


def is_well_formed(key: str | bytes) -> bool:
    """Tell whether prefix, length and checksum are those of a key; it may still be unknown."""
    if isinstance(key, str):
        key = key.encode("utf-8", "replace")
    start = next((start for start in _STARTS if key.startswith(start)), None)
    if start is None or len(key) != len(start) + BODY_CHARS:
        return False
    return key[-_CHECK_CHARS:] == _check_of(key[:-_CHECK_CHARS]).encode()


def display_of(key: str) -> str:
    """Cut a key to the start that may be shown for ever."""
    return key[: len(key) - BODY_CHARS + _SHOWN_CHARS] + "..."


class KeyDigester:
    """HMAC-SHA256 under the installation's pepper (RFC 2104).

    The two hash states that the pepper fills are kept, which halves the time of ``hmac.digest``: this runs at every
    request.
    """

    def __init__(self, pepper: bytes) -> None:
        padded = pepper.ljust(_SHA256_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def digest(self, key: bytes) -> bytes:
        """Digest a presented key into its 32 bytes."""
        inner = self._inner.copy()
        inner.update(key)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


def _check_of(body: bytes) -> str:
    return _base62(zlib.crc32(body), _CHECK_CHARS)


def _base62(value: int, width: int) -> str:
    chars: list[str] = []
    for _ in range(width):
        value, digit = divmod(value, 62)
        chars.append(_ALPHABET[digit])
    return "".join(reversed(chars))
