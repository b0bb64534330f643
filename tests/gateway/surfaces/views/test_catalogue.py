"""Models and prices over HTTP, and the simulator."""

from typing import Any, cast

import msgspec
import pytest
from boards import Board
from fakes import NOW_NS
from households import House

from providers.catalogue import load_catalogue
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import load_prices
from tests.gateway.usage_rows import make_row

OWN = PriceRow(provider="openai", model="gpt-4o", effective_from="2026-01-01", input="9", output="9")


class Routes:
    """The names that can be called: one of the catalogue's."""

    catalogue = load_catalogue()

    def cards(self) -> Any:
        """One."""
        return [card for card in self.catalogue.names(frozenset({"openai"})) if card.id in ("gpt-4o", "gpt-4o-mini")]


@pytest.fixture
async def board(house: House) -> Board:
    """A board that knows all models and prices."""
    made = Board(house)
    made.services = msgspec.structs.replace(made.services, routes=cast("Any", Routes()), prices=load_prices([OWN]))
    return made


async def test_models_are_listed_with_their_prices(board: Board) -> None:
    """By name, in pages, with where a price comes from; what nobody configured is told as such."""
    body = (await board.ask("/api/catalogue", callable="true")).json()
    assert ([each["name"] for each in body["models"]], body["total"], body["next"]) == (
        ["gpt-4o", "gpt-4o-mini"],
        2,
        None,
    )
    big, mini = body["models"]
    assert (big["price"]["authority"], big["price"]["effective_from"]) == ("operator", "2026-01-01")
    assert (big["price"]["source"], big["price"]["usd_per_million_tokens"]["input"]) == (None, "9")
    assert [price["authority"] for price in big["price_history"]] == ["bundled", "operator"]
    assert mini["price"]["source"].startswith("https://")
    assert (mini["callable"], mini["kind"], mini["max_output_tokens"] > 0) == (True, "chat", True)
    found = (await board.ask("/api/catalogue", search="CLAUDE", provider="anthropic", limit="1")).json()
    assert (found["total"] > 1, len(found["models"]), found["models"][0]["callable"]) == (True, 1, False)
    after = (await board.ask("/api/catalogue", search="claude", provider="anthropic", after=found["next"])).json()
    assert len(after["models"]) == min(found["total"] - 1, 100)


async def test_traffic_is_simulated(board: Board) -> None:
    """With another model's price; a name that is none, or has no price, is refused."""
    token, project_id, _ = await board.register("ann")
    board.recorder.rows = [make_row(NOW_NS - 1, project_id=project_id)]
    body = (await board.ask("/api/simulation", token, model="gpt-4o")).json()
    assert (body["requests"], body["actual_usd"], body["simulated_usd"]) == (1, 0.0045, 0.00135)
    assert body["low_usd"] < body["simulated_usd"] < body["high_usd"]
    assert [each["model"] for each in body["by_model"]] == ["gpt-4"]
    assert "tokenizer" in body["interval"]
    for name in ("", "nobody"):
        refused = await board.ask("/api/simulation", token, model=name)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")


async def test_calls_without_a_price_are_listed(board: Board) -> None:
    """With what to price and whether a price has come since; a period of more than 92 days is refused."""
    token, project_id, _ = await board.register("ann")
    lacking = {"project_id": project_id, "cost_pusd": 0, "cost_basis": "unpriced"}
    board.recorder.rows = [
        make_row(NOW_NS - 1, model="mine", upstream_model="new-1", **lacking),
        make_row(NOW_NS - 2, upstream_model="gpt-4o", input_tokens=1, **lacking),
    ]
    body = (await board.ask("/api/catalogue/unpriced", token, range="7d")).json()
    assert (body["requests"], body["exact"]) == (2, True)
    new, late = body["models"]
    assert (new["provider"], new["upstream_model"], new["model"]) == ("openai", "new-1", "mine")
    assert (new["requests"], new["tokens"], new["price_known"], late["price_known"]) == (1, 150, False, True)
    assert body["from"] < new["first_at"] == new["last_at"] < body["to"]
    assert (await board.ask("/api/catalogue/unpriced", (await board.register("bob"))[0])).json()["models"] == []
    refused = await board.ask("/api/catalogue/unpriced", token, range="1y")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "range")
