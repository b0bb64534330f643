"""Events: named facts, written in the transaction that made them true; the outbox keeps them until they are delivered.

Failure behavior: raises what the caller's transaction raises; with it the event is written or not.
"""

from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ids import new_id

_INSERT = text(
    "INSERT INTO events (event_id, account_id, name, payload, once, created_ns, delivered_ns) "
    "VALUES (:event_id, :account_id, :name, :payload, :once, :created_ns, NULL) ON CONFLICT DO NOTHING"
)

USAGE_THRESHOLD = "usage.threshold"
CACHE_RECALLED = "cache.recalled"
# The semantic layer stopped serving a project because its bound is not proven any more, and began (again).
CACHE_FALLBACK = "cache.fallback"
CACHE_SERVING = "cache.serving"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A fact; the payload is what its reader gets."""

    name: str
    # Whose fact it is; None: the operator's.
    account_id: str | None
    payload: dict[str, Any]
    # Two events of one ``once`` are one, and the first stands. None: it stands for itself.
    once: str | None = None
    created_ns: int


async def append_event(connection: AsyncConnection, event: Event) -> bool:
    """Put an event into the outbox, inside the caller's transaction; tells whether it is new."""
    values = {
        "event_id": f"evt_{new_id(event.created_ns)}",
        "account_id": event.account_id,
        "name": event.name,
        "payload": msgspec.json.encode(event.payload).decode(),
        "once": event.once,
        "created_ns": event.created_ns,
    }
    return (await connection.execute(_INSERT, values)).rowcount == 1
