"""Where a request goes and how long it may take: Origin, the parser of base URLs, Timeouts."""

import ipaddress
import re
from urllib.parse import urlsplit

import msgspec

DEFAULT_PORTS = {"http": 80, "https": 443}
# Labels of letters, digits, hyphens and underscores (container networks use them), with an optional final dot.
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?\Z"
)
_PRINTABLE = re.compile(r"[!-\[\]-~]+\Z")
# What an error says of each limit of Timeouts.
TIMEOUT_WORDS = {
    "connect": "no connection within",
    "first_byte": "no answer within",
    "idle": "nothing new for",
    "total": "the answer was not complete within",
}


class Origin(msgspec.Struct, frozen=True, cache_hash=True):
    """One upstream server: everything that must be equal for a connection to be shared."""

    # "http" or "https".
    scheme: str
    # Lower case, without brackets.
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The value of the Host header: brackets around IPv6, no default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """The four limits of one exchange, in ms, all of them above 0 and kept to 50 ms."""

    # Name resolution, TCP and TLS together.
    connect_ms: int
    # From the moment the request was written to the response head, in attach mode to the first ``touch()``.
    first_byte_ms: int
    # Between body bytes, in attach mode between two calls of ``touch()``.
    idle_ms: int
    # From the start of the call to its last byte, connecting included.
    total_ms: int


def parse_base_url(url: str) -> tuple[Origin, str]:
    """Split a base URL into its origin and its path prefix ("" or "/v1", never with a final slash).

    Raises ValueError for anything but an absolute http or https URL of printable ASCII without user-info, query and
    fragment.
    """
    if not _PRINTABLE.match(url) or "?" in url or "#" in url:
        raise _refusal(
            url, "only printable ASCII, no spaces, backslashes, query or fragment (write IDN hosts in punycode)"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refusal(url, str(error)) from error
    if parts.scheme not in DEFAULT_PORTS or not parts.netloc:
        raise _refusal(url, "it must begin with http:// or https:// and name a host")
    if "@" in parts.netloc:
        # The user-info may be a secret, so this message alone does not repeat the URL.
        raise ValueError(f"base URL for host {parts.hostname!r} has user-info: put the credential into its own setting")
    if port == 0 or parts.netloc.endswith(":"):
        raise _refusal(url, "the port must be a number from 1 to 65535, or be left out")
    host = _checked_host(url, parts.netloc, parts.hostname or "")
    return Origin(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme]), parts.path.rstrip("/")


def _checked_host(url: str, netloc: str, host: str) -> str:
    """Return the host in lower case if it is a name or an address."""
    if netloc.startswith("["):
        try:
            # A zone ("%eth0") names an interface of this machine; it has no place in a URL.
            return str(ipaddress.IPv6Address("" if "%" in host else host))
        except ValueError as error:
            raise _refusal(url, f"{host!r} is not an IPv6 address") from error
    if not _HOST_NAME.match(host):
        raise _refusal(url, f"{host!r} is not a host name")
    return host


def _refusal(url: str, reason: str) -> ValueError:
    return ValueError(f"invalid base URL {url!r}: {reason}")
