"""Network addresses and e-mail addresses as one of a bounded number of counters, which nobody outside can choose."""

import hashlib
import ipaddress

from gateway.accounts.tenancy.names import MAX_EMAIL_CHARS, fold

# A counter takes some hundred bytes; two callers share one by chance once in so many.
BUCKETS = 65_536
_DIGEST_BYTES = 8
# The half of an IPv6 address that a site has to itself.
_SITE_BYTES = 8
# Folding makes one character of four at most (a letter and three marks, Unicode 16.0 section 3.11).
_NAME_CHARS = 4 * MAX_EMAIL_CHARS


class Buckets:
    """Finds buckets; those of one secret are the same."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def find(self, address: str, name: str = "") -> str:
        """The bucket of a network address, and of what someone there calls themselves."""
        words = _site(address) + b"\0" + _name(name).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(words, key=self._secret, digest_size=_DIGEST_BYTES).digest()
        return f"{int.from_bytes(digest) % BUCKETS:x}"


def _name(given: str) -> str:
    """A name as it is looked up; what is cut off of a longer one is of nobody, and folding it would only take time."""
    return fold(given.strip()[:_NAME_CHARS])


def _site(address: str) -> bytes:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address.encode("utf-8", "surrogatepass")
    if isinstance(parsed, ipaddress.IPv6Address):
        return parsed.ipv4_mapped.packed if parsed.ipv4_mapped is not None else parsed.packed[:_SITE_BYTES]
    return parsed.packed
