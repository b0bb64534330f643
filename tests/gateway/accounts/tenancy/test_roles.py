"""Roles: an explicit table, and nobody grants more than they have."""

import typing
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.store import DEFAULT_SCOPES
from gateway.accounts.tenancy.refusals import RefusalKind
from gateway.accounts.tenancy.roles import PERMISSIONS, Permission, Role, find_obstacle, may, may_grant

ROLES: tuple[Role, ...] = typing.get_args(Role)
SCOPES = {"proxy", "inference", "deploy", "data", "usage:read", "billing", "gpu", "agents", "budgets", "admin"}
roles = st.sampled_from(ROLES)
# One step: who acts, on whom, to which role (None: out).
steps = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), roles | st.none()), max_size=30)


def test_every_role_has_its_row() -> None:
    """No role without a row, no permission that nobody has."""
    assert set(PERMISSIONS) == set(ROLES)
    assert PERMISSIONS["owner"] == set(typing.get_args(Permission))


def test_roles_are_a_ladder() -> None:
    """Each has all that the next lower one has, and more."""
    for higher, lower in pairwise(ROLES):
        assert PERMISSIONS[higher] > PERMISSIONS[lower]


def test_the_scopes_of_keys_are_permissions() -> None:
    """A key never has a word that no person could have given it."""
    assert SCOPES | DEFAULT_SCOPES <= set(typing.get_args(Permission))


def test_who_only_looks_changes_nothing() -> None:
    """A viewer spends no money either."""
    assert PERMISSIONS["viewer"] == {"account:read", "usage:read"}


@given(roles, roles)
def test_nobody_grants_more_than_they_have(actor: Role, granted: Role) -> None:
    """For every pair."""
    assert not may_grant(actor, granted) or PERMISSIONS[granted] <= PERMISSIONS[actor]
    assert may_grant(actor, granted) == (may(actor, "members") and ROLES.index(granted) >= ROLES.index(actor))


@given(roles, roles | st.none(), st.integers(1, 3))
def test_everybody_may_leave_or_step_down(role: Role, wanted: Role | None, owners: int) -> None:
    """Except the last owner; nobody rises by themselves."""
    obstacle = find_obstacle(role, role, wanted, is_self=True, owners=owners)
    if wanted is not None and ROLES.index(wanted) < ROLES.index(role):
        assert obstacle is RefusalKind.NOT_ALLOWED
    elif role == "owner" and wanted != "owner" and owners == 1:
        assert obstacle is RefusalKind.LAST_OWNER
    else:
        assert obstacle is None


@given(roles, roles, roles | st.none())
def test_nobody_touches_those_above_them(actor: Role, current: Role, wanted: Role | None) -> None:
    """An admin removes no owner and makes none."""
    concerned = {current} if wanted is None else {current, wanted}
    is_free = find_obstacle(actor, current, wanted, is_self=False, owners=2) is None
    assert is_free == all(may_grant(actor, role) for role in concerned)


@given(steps)
def test_an_account_always_has_an_owner(taken: list[tuple[int, int, Role | None]]) -> None:
    """Whatever four members try, in any order."""
    members: dict[int, Role] = {0: "owner", 1: "owner", 2: "admin", 3: "member"}
    for actor, target, wanted in taken:
        if actor not in members or target not in members:
            continue
        owners = list(members.values()).count("owner")
        before = members[actor], members[target]
        if find_obstacle(*before, wanted, is_self=actor == target, owners=owners) is not None:
            continue
        if wanted is None:
            del members[target]
        else:
            members[target] = wanted
            assert PERMISSIONS[wanted] <= PERMISSIONS[before[0]]
        assert "owner" in members.values()
