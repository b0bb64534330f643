"""What the providers' prompt caches did, over HTTP: the documented fields, exact amounts, the period's bounds."""

import msgspec
import pytest
from boards import Board
from fakes import NOW_NS
from households import House

from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import PriceTable
from tests.gateway.usage_rows import PROJECT_ID, make_row

CLAUDE = PriceRow(
    provider="anthropic", model="claude", effective_from="2024-01-01", input="3", cached_input="0.3", cache_write="3.75"
)


@pytest.fixture
async def board(house: House) -> Board:
    """A board that knows one price."""
    made = Board(house)
    made.services = msgspec.structs.replace(made.services, prices=PriceTable([CLAUDE]))
    return made


async def test_the_view_has_every_key_and_model(board: Board) -> None:
    """Read tokens saved the difference to fresh ones, unread writes cost their surcharge."""
    usual = {"provider": "anthropic", "upstream_model": "claude", "model": "assistant", "input_tokens": 100}
    board.recorder.rows = [
        make_row(NOW_NS - 1, key_id="key_a", cache_write_tokens=1_000, cache_read_tokens=900, **usual),
        make_row(NOW_NS - 2, key_id="key_b", **usual),
    ]
    body = (await board.get("prompt-cache")).json()
    assert (body["from"], body["to"]) == ("2026-08-22T14:13:20Z", "2026-09-21T14:13:20Z")
    first, second = body["keys"]
    assert first == {
        "key_id": "key_a",
        "model": "assistant",
        "input_tokens": 2_000,
        "cache_read_tokens": 900,
        "cached_share": 0.45,
        "cache_write_tokens": 1_000,
        "unread_write_tokens": 100,
        "unpriced_tokens": 0,
        "saved_usd": 0.00243,
        "lost_usd": 0.000075,
    }
    assert (second["key_id"], second["input_tokens"], second["cached_share"], second["lost_usd"]) == (
        "key_b",
        100,
        0,
        0,
    )
    assert body["total"] == {**first, "key_id": None, "model": None, "input_tokens": 2_100, "cached_share": 900 / 2_100}


@pytest.mark.parametrize("params", [{"from_": "2026-01-01"}, {"from_": "2024-01-01", "to": "2024-04-02"}])
async def test_a_period_is_three_months_at_most(board: Board, params: dict[str, str]) -> None:
    """The refusal says how many days there may be."""
    assert await board.refused("prompt-cache", project=PROJECT_ID, **params) == (400, "invalid_request", "from")
