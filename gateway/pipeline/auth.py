"""Room 1: who calls. Nothing of a request is read for a stranger.

A known key costs a look into memory. One that is well-formed and unknown may have been made by another process a moment
ago, so the directory catches up once before it is refused.

Failure behavior: without a known, valid key there is a 401 that tells neither the key nor which keys exist. While the
database is away known keys are served and unknown ones get 503, because they may have been made meanwhile.
"""

from collections.abc import Callable

import msgspec

from gateway.accounts.directory import KeyDirectory, KeyFault, KeyRecord
from gateway.errors import Fault

BEARER = b"bearer "


class Credentials(msgspec.Struct, frozen=True):
    """Every credential that a request carries, as the header values stand."""

    authorization: tuple[bytes, ...] = ()
    # x-api-key (Anthropic's SDK) and api-key (Azure's).
    api_key: tuple[bytes, ...] = ()


def read_key(credentials: Credentials) -> bytes:
    """The one key that a request presents; raises Fault for none, and for several that disagree."""
    if len(credentials.authorization) == 1 and not credentials.api_key:
        only = credentials.authorization[0]
        if only[: len(BEARER)].lower() == BEARER and len(only) > len(BEARER):
            return only[len(BEARER) :].strip()
    found = {value.strip() for value in credentials.api_key}
    for value in credentials.authorization:
        if value[: len(BEARER)].lower() != BEARER:
            raise Fault("invalid_api_key", "The Authorization header is not of the form 'Bearer KEY'.")
        found.add(value[len(BEARER) :].strip())
    if len(found) > 1 or len(credentials.authorization) > 1:
        raise Fault("invalid_request", "The request carries more than one credential; send one.")
    key = found.pop() if found else b""
    if not key:
        raise Fault("invalid_api_key", "No API key was given. Send it as 'Authorization: Bearer lgw_…'.")
    return key


class KeyUnknown(Fault):
    """A key that may be good is not known here, or not yet."""


def authenticate(credentials: Credentials, directory: KeyDirectory, now_ns: int) -> KeyRecord:
    """Find the caller; raises Fault, KeyUnknown where it may help to ask again once the directory has caught up."""
    found = directory.find(read_key(credentials), now_ns)
    if isinstance(found, KeyRecord):
        return found
    if found is KeyFault.UNKNOWN and directory.is_stale:
        raise Fault("service_unavailable", "Keys cannot be checked right now; ask again.", retry_after_ms=1_000)
    refusal = KeyUnknown if found is KeyFault.UNKNOWN else Fault
    raise refusal("invalid_api_key", f"The API key {found.value}. 'watchllm keys create' makes one.")


async def authenticate_anyhow(
    credentials: Credentials, directory: KeyDirectory, now_ns: Callable[[], int]
) -> KeyRecord:
    """The same, with a second look for a key that is not known here yet; raises Fault."""
    try:
        return authenticate(credentials, directory, now_ns())
    except KeyUnknown:
        await directory.catch_up()
        return authenticate(credentials, directory, now_ns())
