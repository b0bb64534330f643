"""Room 3: what the caller wants of the cache. Nothing is stored yet, so every lookup ends in a call or a refusal."""

from gateway.errors import Fault, shown
from gateway.pipeline.flow import CacheWish, Inbound

WISHES: dict[bytes, CacheWish] = {
    b"": "default",
    b"off": "off",
    b"read": "read",
    b"write": "write",
    b"refresh": "refresh",
    b"only": "only",
}


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


def find(inbound: Inbound) -> None:
    """Refuse a call that wants a stored answer or none."""
    if inbound.cache == "only":
        raise Fault(
            "cache_miss",
            "There is no stored answer for this request, and x-watchllm-cache: only forbids to call the provider.",
            should_retry=False,
        )
