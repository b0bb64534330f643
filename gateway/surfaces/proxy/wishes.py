"""The caller's words about the cache: the headers that say what it may do for a call.

Failure behavior: a word that is not known is refused with those that are, a value out of its bounds with the bounds.
"""

import re
from collections.abc import Mapping

from gateway.accounts.keys import NO_CACHE_WISHES, KeyCache
from gateway.caching.policy import Allowed
from gateway.config.settings import MAX_TTL_S
from gateway.errors import Fault, shown
from gateway.pipeline.flow import CacheWish

WISHES: dict[bytes, CacheWish] = {
    b"": "default",
    b"off": "off",
    b"read": "read",
    b"write": "write",
    b"refresh": "refresh",
    b"only": "only",
}
WRONG_RATE, WRONG_HIT_RATE = b"x-watchllm-max-wrong-rate", b"x-watchllm-max-wrong-hit-rate"
# Nothing is kept as long as ten digits say.
_MAX_AGE = re.compile(rb'max-age="?0*([0-9]{1,10})"?')
SHARE = re.compile(r"(0(\.[0-9]{1,9})?|1(\.0{1,9})?)")


def read_wish(value: bytes) -> CacheWish:
    """Read ``x-watchllm-cache``; raises Fault for a word that it does not know."""
    wish = WISHES.get(value.strip().lower())
    if wish is None:
        known = ", ".join(word.decode() for word in WISHES if word)
        raise Fault(
            "invalid_request",
            f"The header x-watchllm-cache is {shown(value.decode('latin-1'))}; it takes one of {known}.",
            param="x-watchllm-cache",
        )
    return wish


def read_control(value: bytes, wish: CacheWish) -> tuple[CacheWish, int | None]:
    """What ``Cache-Control`` adds to a wish, and the age in seconds that an answer is to be below; None: any will do.

    no-store is off, no-cache and max-age=0 are refresh, only-if-cached is only, as far as the wish is of no other mind;
    the rest is for others' caches (https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1, 2026-11-28).
    """
    words = {word.strip() for word in value.lower().split(b",")}
    if b"no-store" in words:
        return "off", None
    ages = [int(found[1]) for found in map(_MAX_AGE.fullmatch, words) if found is not None]
    max_age_s = min(ages) if ages else None
    if b"only-if-cached" in words and wish in ("default", "read"):
        return "only", max_age_s
    if wish == "default" and (b"no-cache" in words or max_age_s == 0):
        return "refresh", None
    return wish, max_age_s


def read_ttl(value: bytes) -> int:
    """Read ``x-watchllm-cache-ttl`` in seconds; raises Fault for anything but a whole number of them."""
    text = value.decode("latin-1").strip()
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:12]) <= MAX_TTL_S):
        raise Fault(
            "invalid_request",
            f"The header x-watchllm-cache-ttl is {shown(text)}; it takes seconds, 1 to {MAX_TTL_S}.",
            param="x-watchllm-cache-ttl",
        )
    return int(text)


def read_allowed(single: Mapping[bytes, bytes], wanted: KeyCache = NO_CACHE_WISHES) -> Allowed:
    """The share of wrong answers that a call and its key (``wanted``) allow; raises Fault for anything but a share."""
    own = Allowed(max_wrong_rate=wanted.max_wrong_rate, max_wrong_hit_rate=wanted.max_wrong_hit_rate)
    said = Allowed(
        max_wrong_rate=_read_share(single.get(WRONG_RATE), WRONG_RATE),
        max_wrong_hit_rate=_read_share(single.get(WRONG_HIT_RATE), WRONG_HIT_RATE),
    )
    return said.tighten(own)


def _read_share(value: bytes | None, header: bytes) -> float | None:
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    if not SHARE.fullmatch(text):
        name = header.decode()
        raise Fault("invalid_request", f"The header {name} is {shown(text)}; it takes a share, 0 to 1.", param=name)
    return float(text)
