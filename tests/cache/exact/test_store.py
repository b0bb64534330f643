"""The store: within its bytes, whoever fills it, and the least valuable leave first."""

import random

from hypothesis import given
from hypothesis import strategies as st

from cache.exact.store import OVERHEAD_BYTES, ExactStore, Item

FOREVER = 2**62
KIB = 1_024


def item(name: str, *, tenant: str = "t", size: int = KIB, worth: int = 1, expires_ns: int = FOREVER) -> Item:
    """An item whose value is its name."""
    return Item(key=name.encode(), tenant=tenant, value=name, size=size, worth=worth, expires_ns=expires_ns)


def store(kib: int, tenant_kib: int | None = None) -> ExactStore:
    """A store for so many items of a KiB, with what each takes besides."""
    per_item = KIB + OVERHEAD_BYTES
    return ExactStore(max_bytes=kib * per_item, max_tenant_bytes=(tenant_kib or kib) * per_item)


def test_what_was_put_is_found_until_it_is_too_old() -> None:
    """An item is found until its time is over, and then its room is free again."""
    shelf = store(2)
    shelf.put(item("a", expires_ns=100))
    found = shelf.get(b"a", 99)
    assert found is not None
    assert found.value == "a"
    assert shelf.get(b"a", 100) is None
    assert (len(shelf), shelf.size) == (0, 0)


def test_what_is_put_again_is_replaced() -> None:
    """One key has one item."""
    shelf = store(2)
    shelf.put(item("a"))
    newer = item("a", size=10)
    shelf.put(newer)
    found = shelf.get(b"a", 0)
    assert found is newer
    assert shelf.size == newer.size


def test_a_peek_is_no_use() -> None:
    """It shows what is too old as well, and leaves all as it is."""
    shelf = store(2)
    kept = item("a", expires_ns=0)
    shelf.put(kept)
    assert (shelf.peek(b"a"), shelf.peek(b"b"), kept.uses, len(shelf)) == (kept, None, 1, 1)


def test_what_is_used_stays() -> None:
    """Of items that save the same, the one that nobody asked for leaves."""
    shelf = store(3)
    for name in "abc":
        shelf.put(item(name))
    for used in (b"a", b"c"):
        shelf.get(used, 0)
    assert [gone.value for gone in shelf.put(item("d"))] == ["b"]


def test_what_saves_more_stays() -> None:
    """Of items that are used alike, the one that saves least for its size leaves."""
    shelf = store(3)
    shelf.put(item("cheap", worth=10))
    shelf.put(item("dear", worth=1_000))
    shelf.put(item("large", size=KIB // 2, worth=500))
    assert [gone.value for gone in shelf.put(item("new", worth=100))] == ["cheap"]


def test_what_was_replaced_before_the_store_was_full_is_gone() -> None:
    """An item put again and again takes one place, and has that of the last time when others come."""
    shelf = store(2)
    for _ in range(100):
        shelf.put(item("a", worth=1))
    shelf.put(item("a", worth=1_000))
    shelf.put(item("b", worth=10))
    assert [gone.value for gone in shelf.put(item("c", worth=100))] == ["b"]
    assert shelf.size == sum(kept.size for kept in shelf.of("t"))


def test_what_was_popular_once_grows_old() -> None:
    """Items that are asked for no more leave in the end, however often they were."""
    shelf = store(4)
    shelf.put(item("old"))
    for _ in range(20):
        shelf.get(b"old", 0)
    gone: list[str] = []
    for number in range(200):
        gone += [left.value for left in shelf.put(item(f"new {number}"))]
    assert "old" in gone


def test_what_is_used_stays_however_old_the_store_is() -> None:
    """A use counts as much after thousands of items have come and gone."""
    shelf = store(4)
    for number in range(100):
        shelf.put(item(f"early {number}", worth=1_000))
    shelf.put(item("used"))
    for number in range(300):
        shelf.get(b"used", 0)
        shelf.put(item(f"late {number}"))
    assert shelf.get(b"used", 0) is not None


def test_a_tenant_fills_its_own_share_only() -> None:
    """A flood of one tenant leaves the items of another."""
    shelf = store(10, 4)
    shelf.put(item("kept", tenant="quiet"))
    for number in range(1_000):
        shelf.put(item(f"flood {number}", tenant="loud", worth=1_000))
    assert shelf.get(b"kept", 0) is not None
    assert len(list(shelf.of("loud"))) == 4
    assert len(list(shelf.of("quiet"))) == 1


def test_what_is_larger_than_all_room_does_not_stay() -> None:
    """An item that fits nowhere is the one that leaves."""
    shelf = store(2)
    shelf.put(item("a"))
    large = item("large", size=100 * KIB, worth=10**9)
    assert large in shelf.put(large)
    assert shelf.get(b"large", 0) is None


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 12))
def test_the_store_keeps_within_its_bytes(seed: int, kib: int, tenant_kib: int) -> None:
    """Whatever comes, all and each tenant's bytes stay within bounds and are counted right."""
    draw = random.Random(seed)  # noqa: S311 - steps that repeat, not secrets
    shelf = store(kib, tenant_kib)
    for _ in range(120):
        name, tenant = f"{draw.randrange(30)}", draw.choice("ab")
        match draw.randrange(4):
            case 0:
                shelf.get((tenant + name).encode(), draw.randrange(100))
            case 1:
                shelf.remove((tenant + name).encode())
            case _:
                fresh = item(tenant + name, tenant=tenant, size=draw.randrange(3 * KIB), worth=draw.randrange(100))
                fresh.expires_ns = draw.randrange(200)
                shelf.put(fresh)
        assert shelf.size == sum(found.size for tenant in "ab" for found in shelf.of(tenant)) <= kib * 2 * KIB
        for tenant in "ab":
            assert sum(found.size for found in shelf.of(tenant)) <= min(kib, tenant_kib) * 2 * KIB
        assert len(shelf) == sum(1 for tenant in "ab" for _ in shelf.of(tenant))
