"""What a budget is: a limit on what a scope spends in a window of the calendar."""

from typing import Literal

import msgspec

from gateway.counters.interface import MAX_PUSD

Scope = Literal["account", "project", "key", "tag"]
Span = Literal["hour", "day", "week", "month", "total"]
Action = Literal["block", "alert"]
# "credits" is an account's balance: what was granted or paid, as a limit without end.
Kind = Literal["limit", "credits"]

THRESHOLDS = (0.5, 0.8, 1.0)


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A budget as it is stored."""

    budget_id: str
    # Who owns it; None: the operator.
    account_id: str | None
    kind: Kind = "limit"
    scope: Scope
    # An account's, project's or key's id; of a tag see ``tag_scope_id``.
    scope_id: str
    span: Span
    limit_pusd: int
    action: Action = "block"
    # Shares of the limit at which an event is written, ascending.
    thresholds: tuple[float, ...] = THRESHOLDS
    created_ns: int
    deleted_ns: int | None = None
    # Of the IANA database: where its days begin.
    zone: str = "UTC"
    # How often the account's zone was changed.
    zone_changes: int = 0
    # The first key of its line of rotations, where the scope is a key that took over from another.
    root_id: str | None = None

    @property
    def counted_id(self) -> str:
        """By which its scope's spending is kept: a key and its successors are one."""
        return self.root_id or self.scope_id

    @property
    def line_key(self) -> str:
        """By which its counters are named, anew with each change of the zone.

        What a counter of another zone knows ends with that: nobody counts on it when the zone comes back.
        """
        is_as_begun = not self.zone_changes or self.span == "total"
        return self.budget_id if is_as_begun else f"{self.budget_id}.{self.zone_changes}"

    @property
    def tag(self) -> str | None:
        """The tag itself, None for another scope."""
        return self.scope_id.partition("/")[2] if self.scope == "tag" else None

    @property
    def enforced_pusd(self) -> int:
        """What reservations are held against: one that only alerts refuses nothing."""
        return self.limit_pusd if self.action == "block" else MAX_PUSD


def tag_scope_id(account_id: str | None, tag: str) -> str:
    """Name a tag of an account: the same word of two accounts is two tags."""
    return f"{account_id or ''}/{tag}"
