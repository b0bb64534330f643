"""A key never may more than its maker: whatever is wished, whatever the maker has."""

import msgspec
import pytest
from households import NOW_NS, refused
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.directory import KeyRecord
from gateway.accounts.keyring.rights import (
    ISSUER_SCOPES,
    LIMITS,
    MAX_MAKERS,
    MAX_MODELS,
    MAX_TAGS,
    SCOPES,
    KeyGrant,
    KeyWish,
    Rights,
    grant,
    require_models,
    require_own,
    rights_of_key,
    rights_of_person,
)
from gateway.accounts.keys import Issuer
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.accounts.tenancy.roles import PERMISSIONS, Role

LATER_NS = NOW_NS + 1_000
MODELS = ("a", "b", "c")
scopes = st.frozensets(st.sampled_from(sorted(SCOPES)))
models = st.none() | st.frozensets(st.sampled_from(MODELS), min_size=1)
moments = st.none() | st.integers(min_value=NOW_NS + 1, max_value=NOW_NS + 5)
bounds = st.none() | st.integers(min_value=1, max_value=4)
makers = st.builds(
    Rights,
    maker_id=st.just("m"),
    has_all_keys=st.booleans(),
    has_live_keys=st.booleans(),
    may_manage=st.booleans(),
    scopes=scopes,
    allowed_models=models,
    expires_ns=moments,
    requests_per_minute=bounds,
    tokens_per_minute=bounds,
    max_concurrent=bounds,
)
wishes = st.builds(
    KeyWish,
    kind=st.sampled_from(["live", "test"]),
    is_managing=st.booleans(),
    scopes=st.none() | scopes,
    allowed_models=models,
    expires_ns=moments,
    requests_per_minute=bounds,
    tokens_per_minute=bounds,
    max_concurrent=bounds,
)


def is_within(inner: int | None, outer: int | None) -> bool:
    """A bound is kept: none is the widest."""
    return outer is None or (inner is not None and inner <= outer)


@given(wishes, makers)
def test_nothing_is_granted_that_the_maker_lacks(wish: KeyWish, maker: Rights) -> None:
    """Either the key stays within its maker's rights in each respect, or it is refused."""
    try:
        granted = grant(wish, maker, NOW_NS)
    except Refusal as refusal:
        assert refusal.kind is RefusalKind.NOT_ALLOWED
        return
    assert granted.scopes <= maker.scopes
    assert granted.is_managing <= maker.may_manage
    assert granted.kind == "test" or maker.has_live_keys
    if maker.allowed_models is not None:
        assert granted.allowed_models is not None
        assert granted.allowed_models <= maker.allowed_models
    assert is_within(granted.expires_ns, maker.expires_ns)
    assert all(is_within(getattr(granted, name), getattr(maker, name)) for name in LIMITS)


@given(wishes, makers)
def test_what_is_asked_for_by_name_is_given_whole_or_refused(wish: KeyWish, maker: Rights) -> None:
    """Nobody gets a key that may less than they think."""
    try:
        granted = grant(wish, maker, NOW_NS)
    except Refusal:
        return
    named = ("scopes", "allowed_models", "expires_ns", *LIMITS)
    assert all(getattr(wish, name) in (None, getattr(granted, name)) for name in named)
    assert (granted.kind, granted.is_managing) == (wish.kind, wish.is_managing)


def test_a_key_gives_itself_and_no_more() -> None:
    """The usual wish of a key makes one that may what the first may."""
    record = KeyRecord(
        key_id="key_1",
        project_id="p",
        kind="live",
        is_managing=True,
        allowed_models=frozenset("ab"),
        expires_ns=LATER_NS,
        scopes=frozenset({"proxy", "admin"}),
        requests_per_minute=5,
        tokens_per_minute=None,
        max_concurrent=2,
        tags=("t",),
    )
    wish = KeyWish(scopes=frozenset({"proxy"}))
    assert grant(wish, rights_of_key(record), NOW_NS) == KeyGrant(
        kind="live",
        is_managing=False,
        scopes=frozenset({"proxy"}),
        allowed_models=frozenset("ab"),
        expires_ns=LATER_NS,
        requests_per_minute=5,
        tokens_per_minute=None,
        max_concurrent=2,
        tags=("t",),
        limits_in={"requests_per_minute": "key_1", "max_concurrent": "key_1"},
        spends_in=("key_1",),
    )


def test_a_key_counts_where_all_count_that_it_comes_from() -> None:
    """Each under the first key of its line of rotations; and no call counts in more than so many keys."""
    maker = KeyRecord(key_id="key_0", root_id="key_9", project_id="p", kind="live")
    for number in range(1, MAX_MAKERS + 1):
        granted = grant(KeyWish(scopes=frozenset()), rights_of_key(maker), NOW_NS)
        assert granted.spends_in == (*(f"key_{before}" for before in range(number - 1, 0, -1)), "key_9")
        maker = KeyRecord(key_id=f"key_{number}", project_id="p", kind="live", spends_in=granted.spends_in)
    with refused(RefusalKind.NOT_ALLOWED, "8 times over"):
        grant(KeyWish(scopes=frozenset()), rights_of_key(maker), NOW_NS)


def test_a_key_has_so_many_tags_at_most() -> None:
    """Those of its maker count."""
    maker = rights_of_key(KeyRecord(key_id="key_1", project_id="p", kind="live", tags=("a", "b")))
    more = tuple(f"t{number}" for number in range(MAX_TAGS - 2))
    assert len(grant(KeyWish(scopes=frozenset(), tags=("b", *more)), maker, NOW_NS).tags) == MAX_TAGS
    with refused(RefusalKind.INVALID, "33 tags"):
        grant(KeyWish(scopes=frozenset(), tags=("c", *more)), maker, NOW_NS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scopes": frozenset({"proxy", "billing"})}, "scope 'billing'"),
        ({"is_managing": True}, "manage the project"),
        ({"allowed_models": frozenset("az")}, "models beyond"),
        ({"expires_ns": LATER_NS + 1}, "longer life"),
        ({"requests_per_minute": 6}, "requests_per_minute above 5"),
    ],
    ids=["scope", "manage", "model", "life", "limit"],
)
def test_a_wish_that_goes_too_far_is_told_what_is_too_much(change: dict[str, object], words: str) -> None:
    """Checklist 6: a key can never grant more than its maker has."""
    record = KeyRecord(
        key_id="key_1",
        project_id="p",
        kind="live",
        allowed_models=frozenset("ab"),
        expires_ns=LATER_NS,
        scopes=frozenset({"proxy", "admin"}),
        requests_per_minute=5,
    )
    wish = msgspec.structs.replace(KeyWish(scopes=frozenset({"proxy"})), **change)
    with refused(RefusalKind.NOT_ALLOWED, words):
        grant(wish, rights_of_key(record), NOW_NS)


def test_a_test_key_makes_no_live_one() -> None:
    """The sandbox never becomes money."""
    tester = rights_of_key(KeyRecord(key_id="k", project_id="p", kind="test", scopes=frozenset({"proxy"})))
    with refused(RefusalKind.NOT_ALLOWED, "real calls"):
        grant(KeyWish(scopes=frozenset({"proxy"})), tester, NOW_NS)
    assert grant(KeyWish(kind="test", scopes=frozenset({"proxy"})), tester, NOW_NS).kind == "test"


@pytest.mark.parametrize("role", PERMISSIONS)
def test_a_persons_role_bounds_the_scopes(role: Role) -> None:
    """What a role permits may be given; what it does not may not."""
    rights = rights_of_person("user_1", role)
    assert grant(KeyWish(scopes=rights.scopes), rights, NOW_NS).scopes == SCOPES & PERMISSIONS[role]
    for beyond in SCOPES - PERMISSIONS[role]:
        with refused(RefusalKind.NOT_ALLOWED, repr(beyond)):
            grant(KeyWish(scopes=frozenset({beyond})), rights, NOW_NS)


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("lgw", {"proxy", "usage:read"}),
        ("efg", {"inference", "deploy", "usage:read"}),
        ("ak", {"proxy", "inference", "deploy", "data", "usage:read", "billing", "gpu", "agents", "budgets"}),
    ],
)
def test_an_issuers_keys_may_by_default_what_row_c3_says(issuer: Issuer, expected: set[str]) -> None:
    """Of an owner, who has everything."""
    assert grant(KeyWish(issuer=issuer), rights_of_person("u", "owner"), NOW_NS).scopes == expected
    assert ISSUER_SCOPES[issuer] == expected


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        (KeyWish(scopes=frozenset({"everything"})), "scopes"),
        (KeyWish(expires_ns=NOW_NS), "expires_at"),
        *((KeyWish(issuer=issuer, kind="test"), "kind") for issuer in ("efg", "ak")),
    ],
)
def test_what_no_key_can_be_is_refused(wish: KeyWish, param: str) -> None:
    """Whoever asks."""
    with pytest.raises(Refusal) as caught:
        grant(wish, rights_of_person("u", "owner"), NOW_NS)
    assert (caught.value.kind, caught.value.param) == (RefusalKind.INVALID, param)


def test_others_keys_are_an_admins_matter() -> None:
    """A member touches only the keys that they made."""
    require_own("user_1", rights_of_person("user_1", "member"))
    require_own("user_2", rights_of_person("user_1", "admin"))
    for made_by in ("user_2", None):
        with refused(RefusalKind.NOT_ALLOWED, "somebody else"):
            require_own(made_by, rights_of_person("user_1", "member"))


@pytest.mark.parametrize("name", ["*", "gpt-*", "a b", "", "ü", "x" * 257])
def test_a_key_is_limited_to_names_that_a_call_can_say(name: str) -> None:
    """A pattern would match nothing, in silence."""
    with refused(RefusalKind.INVALID, "allowed_models"):
        require_models(frozenset({"gpt-4", name}))
    with refused(RefusalKind.INVALID, "which no call names"):
        grant(KeyWish(allowed_models=frozenset({name})), rights_of_person("user_1", "owner"), NOW_NS)
    require_models(None)
    require_models(frozenset({"openai/gpt-4", "m:1"}))


@pytest.mark.parametrize("count", [0, MAX_MODELS + 1])
def test_a_key_is_limited_to_a_number_of_models(count: int) -> None:
    """To none at all it could call nothing."""
    with refused(RefusalKind.INVALID, f"{count} names"):
        require_models(frozenset(map(str, range(count))))
