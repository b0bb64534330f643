"""The vault: what is sealed opens with its key and in its place alone, and nothing else tells of it."""

import copy
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.master import MasterKeyError
from gateway.accounts.vault import (
    KEY_NAME_BYTES,
    Place,
    SealBroken,
    Vault,
    VaultError,
    VaultKeyMissing,
    load_vault,
    show_key,
)
from gateway.config.secret import Secret

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))
PLACE = Place(table="credentials", row_id="cred_1", column="secret", bound=("proj_1", None))
CANARY = b"sk-canary-0123456789"
VAULT = Vault(OLD)

values = st.binary(max_size=200)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
places = st.builds(
    Place,
    table=texts,
    row_id=texts,
    column=texts,
    bound=st.lists(st.none() | texts, max_size=3).map(tuple),
)
versions = st.integers(1, 2**32 - 1)


@given(values, places, versions)
def test_what_was_sealed_opens(value: bytes, place: Place, version: int) -> None:
    """Any bytes, in any place, under any version, without the vault being told which."""
    assert VAULT.open(VAULT.seal(value, place, version), place) == value


@given(values, st.data())
def test_any_flipped_bit_is_noticed(value: bytes, data: st.DataObject) -> None:
    """In the key's name, the wrapped key and the value alike; nothing but a VaultError is raised."""
    seal = bytearray(VAULT.seal(value, PLACE, 1))
    bit = data.draw(st.integers(0, len(seal) * 8 - 1))
    seal[bit // 8] ^= 1 << bit % 8
    with pytest.raises(VaultError):
        VAULT.open(bytes(seal), PLACE)


@given(values, st.data())
def test_any_cut_is_noticed(value: bytes, data: st.DataObject) -> None:
    """A seal that lost its end, or got a longer one."""
    seal = VAULT.seal(value, PLACE, 1)
    for altered in (seal[: data.draw(st.integers(0, len(seal) - 1))], seal + data.draw(st.binary(min_size=1))):
        with pytest.raises(SealBroken):
            VAULT.open(altered, PLACE)


@given(values, places, places)
def test_a_moved_seal_does_not_open(value: bytes, place: Place, other: Place) -> None:
    """Table, row, column and bound values are all of the place, and no two places are taken for one."""
    seal = VAULT.seal(value, place, 1)
    if place != other:
        with pytest.raises(SealBroken):
            VAULT.open(seal, other)
        with pytest.raises(SealBroken):
            VAULT.rewrap(seal, other, 1)


@pytest.mark.parametrize(
    "change",
    [{"table": "webhooks"}, {"row_id": "cred_2"}, {"column": "display"}, {"bound": ("proj_2", None)}, {"bound": ()}],
    ids=["table", "row", "column", "owner", "nothing bound"],
)
def test_each_part_of_the_place_counts(change: dict[str, object]) -> None:
    """A row of another table with the same id is another place."""
    seal = VAULT.seal(CANARY, PLACE, 1)
    with pytest.raises(SealBroken, match="altered, or moved"):
        VAULT.open(seal, msgspec.structs.replace(PLACE, **change))


def test_parts_of_two_seals_do_not_combine() -> None:
    """The wrapped key of one and the value of another, both of the same place."""
    first, second = (VAULT.seal(CANARY, PLACE, 1) for _ in range(2))
    cut = KEY_NAME_BYTES + 60
    with pytest.raises(SealBroken):
        VAULT.open(first[:cut] + second[cut:], PLACE)


def test_the_same_value_never_gives_the_same_seal() -> None:
    """Who reads the database does not see that two projects share a secret."""
    seals = [VAULT.seal(CANARY, PLACE, 1) for _ in range(50)]
    assert len({seal[KEY_NAME_BYTES:] for seal in seals}) == 50
    assert len({seal[-len(CANARY) - 16 :] for seal in seals}) == 50


@given(values, versions, versions)
def test_a_seal_is_rewrapped_without_its_value(value: bytes, before: int, after: int) -> None:
    """The encrypted value stays byte for byte; the key's name is the new one, and it opens under the new key alone."""
    seal = VAULT.seal(value, PLACE, before)
    both = Vault(NEW, [OLD])
    fresh = both.rewrap(seal, PLACE, after)
    assert fresh[KEY_NAME_BYTES + 60 :] == seal[KEY_NAME_BYTES + 60 :]
    assert fresh.startswith(both.name_key(after))
    assert Vault(NEW).open(fresh, PLACE) == value
    with pytest.raises(VaultKeyMissing):
        VAULT.open(fresh, PLACE)


def test_the_current_key_seals_and_all_open() -> None:
    """A master key is rotated by making it a previous one."""
    rotated = Vault(NEW, [OTHER, OLD])
    assert rotated.open(VAULT.seal(CANARY, PLACE, 7), PLACE) == CANARY
    assert rotated.open(Vault(OTHER).seal(CANARY, PLACE, 1), PLACE) == CANARY
    assert Vault(NEW).open(rotated.seal(CANARY, PLACE, 1), PLACE) == CANARY


def test_the_current_key_may_be_among_the_previous() -> None:
    """A list that was copied whole does no harm."""
    assert Vault(NEW, [NEW, OLD]).name_key(1) == Vault(NEW).name_key(1)


def test_a_missing_key_is_named() -> None:
    """By its id, with what to do; the id is no part of any key."""
    seal = VAULT.seal(CANARY, PLACE, 3)
    with pytest.raises(VaultKeyMissing, match="WATCHLLM_PREVIOUS_MASTER_KEYS") as caught:
        Vault(NEW).open(seal, PLACE)
    name = show_key(seal)
    assert name in str(caught.value)
    assert name.endswith("/3")
    assert bytes.fromhex(name.partition("/")[0]) not in OLD


def test_a_version_has_a_key_of_its_own() -> None:
    """A seal that claims another version than its own does not open."""
    seal = VAULT.seal(CANARY, PLACE, 1)
    with pytest.raises(SealBroken):
        VAULT.open(VAULT.name_key(2) + seal[KEY_NAME_BYTES:], PLACE)


@pytest.mark.parametrize("seal", [b"", b"\x01", b"\x02" * 200, CANARY * 10])
def test_what_is_no_seal_is_told(seal: bytes) -> None:
    """Plain text that somebody wrote into the database is not taken for a secret, and not repeated."""
    with pytest.raises(SealBroken, match="restore a backup") as caught:
        VAULT.open(seal, PLACE)
    assert CANARY.decode() not in str(caught.value)


def test_no_error_shows_the_value_or_a_key() -> None:
    """Not in its text, and not in the traceback that is logged."""
    seal = bytearray(VAULT.seal(CANARY, PLACE, 1))
    seal[-1] ^= 1
    shown = ""
    for vault in (VAULT, Vault(NEW)):
        try:
            vault.open(bytes(seal), PLACE)
        except VaultError as error:
            shown += "".join(traceback.format_exception(error)) + repr(error)
    assert "VaultKeyMissing" in shown
    assert "SealBroken" in shown
    for secret in (CANARY, OLD, NEW):
        assert secret.decode() not in shown
        assert secret.hex() not in shown


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
def test_a_vault_stays_where_it_is(way: Callable[[Vault], object]) -> None:
    """The master keys are in no queue, cache or file by accident, and no repr shows them."""
    with pytest.raises(TypeError, match="master keys"):
        way(VAULT)
    assert repr(OLD) not in repr(VAULT) + str(VAULT)


def test_the_vault_is_loaded_from_the_settings(tmp_path: Path) -> None:
    """The master key may come from the data directory, as for API keys."""
    previous = Secret("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")
    vault = load_vault(None, [previous], tmp_path)
    assert vault.open(VAULT.seal(CANARY, PLACE, 1), PLACE) == CANARY
    assert load_vault(None, [], tmp_path).name_key(1) == vault.name_key(1)
    assert load_vault(previous, [], tmp_path).name_key(1) == VAULT.name_key(1)


def test_a_previous_key_of_another_form_is_refused(tmp_path: Path) -> None:
    """By its number, never by its text."""
    with pytest.raises(MasterKeyError, match="key 1 of WATCHLLM_PREVIOUS_MASTER_KEYS is not 32 bytes") as caught:
        load_vault(None, [Secret(CANARY.decode())], tmp_path)
    assert CANARY.decode() not in str(caught.value)
