"""The usage row: its total, its tries, and that old journals stay readable."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.row import MAX_NAME_CHARS, MAX_TRIES, Try, UsageRow, add_try, read_trail
from providers.chat import Usage
from tests.gateway.usage_rows import any_row, make_row

# The order on disk of the first version. Fields are added behind it, never between.
FIRST_VERSION = (
    "request_id created_ns project_id key_id endpoint model provider upstream_model upstream_request_id status"
    " http_status error_code is_stream is_cached input_tokens cache_read_tokens cache_write_tokens"
    " cache_write_1h_tokens audio_input_tokens image_input_tokens output_tokens audio_output_tokens"
    " image_output_tokens reasoning_tokens is_estimated is_anomalous tokens_saved cost_pusd saved_pusd cost_basis"
    " price_id latency_ms first_byte_ms overhead_us attempts service_tier tags session"
).split()


def test_fields_are_only_added_at_the_end() -> None:
    """Rows are arrays on the disk: a field in between would shift all others of older journals."""
    assert list(UsageRow.__struct_fields__[: len(FIRST_VERSION)]) == FIRST_VERSION


def test_added_fields_have_a_default() -> None:
    """An older row lacks them."""
    added = msgspec.structs.fields(UsageRow)[len(FIRST_VERSION) :]
    assert [field.name for field in added if field.required] == []


def test_a_row_that_lacks_later_fields_is_read() -> None:
    """What an older version wrote, up to the last field that it knew."""
    written = msgspec.msgpack.decode(msgspec.msgpack.encode(make_row()))
    shorter = msgspec.msgpack.encode(written[: FIRST_VERSION.index("error_code")])
    assert msgspec.msgpack.decode(shorter, type=UsageRow).http_status == 200


@given(any_row())
def test_a_row_survives_the_disk(row: UsageRow) -> None:
    """Whatever its fields hold."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=UsageRow) == row


@given(any_row())
def test_the_total_counts_each_bucket_once(row: UsageRow) -> None:
    """As providers.chat.Usage does; reasoning is a share of the output and not counted again."""
    buckets = {name: getattr(row, name) for name in Usage.__struct_fields__ if name.endswith("_tokens")}
    assert row.total_tokens == Usage(**buckets).total_tokens


def test_every_bucket_of_a_usage_has_its_column() -> None:
    """A new kind of token cannot be lost on the way to the ledger."""
    buckets = {name for name in Usage.__struct_fields__ if name.endswith("_tokens")}
    assert buckets - set(UsageRow.__struct_fields__) == set()


_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_NAME_CHARS)
TRIES = st.lists(st.builds(Try, _NAMES, _NAMES, _NAMES, st.integers(0, 2**40)), max_size=5)


@given(tries=TRIES)
def test_tries_are_read_as_they_were_written(tries: list[Try]) -> None:
    """Whatever a model is named, line ends included."""
    trail = ""
    for tried in tries:
        trail = add_try(trail, tried)
    assert read_trail(trail) == tries


def test_a_trail_has_an_end() -> None:
    """In tries, and in the length of what a caller names."""
    trail = ""
    for _ in range(2 * MAX_TRIES):
        trail = add_try(trail, Try("openai", "m" * 10_000, "upstream_timeout", 1))
    tries = read_trail(trail)
    assert (len(tries), tries[0].model) == (MAX_TRIES, "m" * MAX_NAME_CHARS)
