"""One call in detail: every part of it, for its owner alone, however its id is spelled."""

from typing import Any

import msgspec
import pytest
from boards import Away, Board
from fakes import NOW_NS
from households import House
from sqlalchemy import text

from gateway.ids import to_uuid
from gateway.ledger.row import Try, UsageRow, add_try
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import PriceTable, Rates
from tests.gateway.usage_rows import make_row

UNKNOWN_ID = "01m3250v00f0f95a74aepwb1k1"
PRICES = PriceTable([PriceRow(provider="openai", model="gpt-4-0613", effective_from="2024-01-01", input="30")])
PRICE = PRICES.lookup("openai", "gpt-4-0613", NOW_NS)
TRAIL = add_try("", Try("groq", "llama", "upstream_timeout", 900))


def make_call(**fields: Any) -> UsageRow:
    """A call that a second provider answered."""
    assert PRICE is not None
    usual: dict[str, Any] = {"price_id": PRICE.price_id, "trail": TRAIL, "attempts": 2, "overhead_us": 1_500}
    usual |= {"first_byte_ms": 1_000, "upstream_request_id": "req_1", "tags": "a=b, c", "session": "s"}
    return make_row(NOW_NS - 1, **{**usual, **fields})


@pytest.fixture
async def board(house: House) -> Board:
    """A board that knows one price."""
    made = Board(house)
    made.services = msgspec.structs.replace(made.services, prices=PRICES)
    return made


async def show(board: Board, row: UsageRow, request_id: str | None = None, key: str = "reader") -> Any:
    """Ask for a call that was just recorded."""
    board.recorder.rows = [row]
    return await board.ask(f"/api/requests/{request_id or row.request_id}", key)


async def test_every_part_of_a_call_is_shown(board: Board) -> None:
    """And nothing of what was asked or answered, where nobody wants that kept."""
    row = make_call()
    answer = await show(board, row)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "id": row.request_id,
            "created_at": "2026-09-21T14:13:19Z",
            "project_id": row.project_id,
            "key_id": row.key_id,
            "endpoint": "chat/completions",
            "model": "gpt-4",
            "provider": "openai",
            "upstream_model": "gpt-4-0613",
            "upstream_request_id": "req_1",
            "service_tier": "",
            "stream": False,
            "status": "complete",
            "http_status": 200,
            "error_code": None,
            "tags": ["a=b", "c"],
            "session": "s",
            "attempts": [
                {"provider": "groq", "model": "llama", "outcome": "upstream_timeout", "waited_ms": 900},
                {"provider": "openai", "model": "gpt-4-0613", "outcome": "ok", "waited_ms": 1_199},
            ],
            "timing": {"latency_ms": 2_100, "first_byte_ms": 1_000, "overhead_ms": 1.5},
            "tokens": {
                **dict.fromkeys(("cache_read", "cache_write", "cache_write_1h", "audio_input", "image_input"), 0),
                **dict.fromkeys(("audio_output", "image_output", "reasoning"), 0),
                "input": 100,
                "output": 50,
                "total": 150,
                "estimated": False,
                "anomalous": False,
            },
            "price": {
                "id": row.price_id,
                "basis": "bundled",
                "cost_usd": 0.0045,
                "usd_per_million_tokens": {name.removesuffix("_atto"): "30" for name in Rates.__struct_fields__},
                "usd_per_request": "0",
                "corrections": [],
            },
            "cache": {"cached": False, "layer": None, "entry": None, "tokens_saved": 0, "saved_usd": 0},
            "content": None,
        },
    )


async def test_a_call_that_failed_shows_all_its_tries(board: Board) -> None:
    """The last one is among those that failed; nothing came back, so there is no first byte."""
    trail = add_try(TRAIL, Try("openai", "gpt-4-0613", "provider_error", 80))
    row = make_call(trail=trail, status="failed", http_status=502, error_code="provider_error", first_byte_ms=0)
    body = (await show(board, row)).json()
    assert [each["outcome"] for each in body["attempts"]] == ["upstream_timeout", "provider_error"]
    assert (body["error_code"], body["timing"]["first_byte_ms"]) == ("provider_error", None)


async def test_a_try_of_which_nobody_knows_is_not_shown_as_answered(board: Board) -> None:
    """What a killed process left open."""
    row = make_call(attempts=1, trail="", status="in_doubt", http_status=0, is_stream=True, cost_basis="bound")
    body = (await show(board, row)).json()
    assert ([each["outcome"] for each in body["attempts"]], body["stream"]) == (["in_doubt"], True)


async def test_a_call_that_was_never_sent_has_no_tries(board: Board) -> None:
    """And a price that the table lost has an id and no rates; what the cache answered cost nothing."""
    row = make_call(attempts=0, trail="", price_id="openai/x@2020-01-01+00000000", is_cached=True, tokens_saved=7)
    body = (await show(board, row)).json()
    assert (body["attempts"], body["price"]["usd_per_million_tokens"]) == ([], None)
    assert (body["price"]["cost_usd"], body["cache"]["cached"], body["cache"]["tokens_saved"]) == (0, True, 7)


async def test_a_correction_is_shown_and_counts(board: Board) -> None:
    """Beside what was charged first."""
    row = make_call()
    await show(board, row)
    async with board.database.write() as connection:
        await connection.execute(
            text("INSERT INTO corrections VALUES (:id, 0, -500000000, 'operator', 'p1', :now, 0)"),
            {"id": row.request_id, "now": NOW_NS},
        )
    price = (await show(board, row)).json()["price"]
    assert price["cost_usd"] == 0.004
    assert price["corrections"] == [
        {"cost_usd": -0.0005, "basis": "operator", "price_id": "p1", "created_at": "2026-09-21T14:13:20Z"}
    ]


@pytest.mark.parametrize("spell", [str.upper, to_uuid, "log_{}".format, "req-{}".format])
async def test_every_spelling_of_the_id_is_known(board: Board, spell: Any) -> None:
    """As ids are read everywhere."""
    row = make_call()
    assert (await show(board, row, spell(row.request_id))).json()["id"] == row.request_id


@pytest.mark.parametrize("request_id", ["nothing", UNKNOWN_ID, "%2e%2e", "proj_1"])
async def test_an_unknown_id_is_not_found(board: Board, request_id: str) -> None:
    """In W's envelope, by name."""
    answer = await show(board, make_call(), request_id)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (404, "not_found", "request_id")


async def test_a_call_is_shown_to_its_account_alone(board: Board) -> None:
    """Its people and its keys; to others it is as if it were not there."""
    token, project_id, _ = await board.register("ann")
    other, _, _ = await board.register("bob")
    row = make_call(project_id=project_id)
    assert (await show(board, row, key=token)).status_code == 200
    for stranger in (other, "reader"):
        answer = await show(board, row, key=stranger)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(("key", "status"), [("", 401), ("nobodys", 401), ("narrow", 403)])
async def test_strangers_see_nothing(board: Board, key: str, status: int) -> None:
    """Nor does a key without the scope."""
    assert (await show(board, make_call(), key=key)).status_code == status


async def test_a_database_that_is_away_is_told(board: Board) -> None:
    """503 with a word on when to ask again."""
    board.database = Away()
    assert (await show(board, make_call())).status_code == 503
