"""What each role may in an account, and who may give which role to whom."""

from typing import Literal

from gateway.accounts.tenancy.refusals import RefusalKind

Role = Literal["owner", "admin", "member", "viewer"]
# The scopes of keys (row C3), and what only people do.
Permission = Literal[
    "proxy",
    "inference",
    "deploy",
    "data",
    "usage:read",
    "billing",
    "gpu",
    "agents",
    "admin",
    # See the account's members, projects and budgets.
    "account:read",
    # Rename and delete the account.
    "account",
    # Invite, change and remove members.
    "members",
    "projects",
    "keys",
    # The account's own keys at providers.
    "credentials",
    # Make and delete budgets.
    "budgets",
    "audit:read",
    # What was asked and answered, where a project keeps it.
    "prompts:read",
]

_VIEWER: frozenset[Permission] = frozenset({"account:read", "usage:read"})
_MEMBER: frozenset[Permission] = frozenset(
    {*_VIEWER, "proxy", "inference", "deploy", "data", "agents", "keys", "prompts:read"}
)
_ADMIN: frozenset[Permission] = frozenset(
    {*_MEMBER, "gpu", "admin", "members", "projects", "credentials", "budgets", "audit:read"}
)
_OWNER: frozenset[Permission] = frozenset({*_ADMIN, "billing", "account"})

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    "owner": _OWNER,
    "admin": _ADMIN,
    "member": _MEMBER,
    "viewer": _VIEWER,
}


def may(role: Role, permission: Permission) -> bool:
    """Tell whether a role has a permission."""
    return permission in PERMISSIONS[role]


def may_grant(actor: Role, granted: Role) -> bool:
    """Tell whether one may make somebody this: nobody grants more than they have."""
    return may(actor, "members") and PERMISSIONS[granted] <= PERMISSIONS[actor]


def find_obstacle(actor: Role, current: Role, wanted: Role | None, *, is_self: bool, owners: int) -> RefusalKind | None:
    """Tell why a member's role may not become ``wanted``, or why they may not be removed when that is None.

    Everybody may leave or step down; who touches others needs all that those have and get.
    """
    is_stepping_down = is_self and (wanted is None or PERMISSIONS[wanted] <= PERMISSIONS[current])
    is_allowed = may_grant(actor, current) and (wanted is None or may_grant(actor, wanted))
    if not is_stepping_down and not is_allowed:
        return RefusalKind.NOT_ALLOWED
    if current == "owner" and wanted != "owner" and owners <= 1:
        return RefusalKind.LAST_OWNER
    return None
