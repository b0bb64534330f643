"""The log of calls over HTTP, for its owner alone."""

from typing import Any

import pytest
from boards import Away, Board
from fakes import NOW_NS
from households import House

from gateway.surfaces.views import log
from tests.gateway.usage_rows import make_row

PATHS = ["/api/requests", "/api/requests/export"]


@pytest.fixture
async def board(house: House) -> Board:
    """A board without rows."""
    return Board(house)


async def fill(board: Board, project_id: str) -> list[Any]:
    """A call, a hit, and one that failed; the newest first."""
    rows = [
        make_row(NOW_NS - 1, project_id=project_id, tags="a, b", session="s", overhead_us=1_500, first_byte_ms=9),
        make_row(NOW_NS - 2, project_id=project_id, is_cached=True, saved_pusd=10**12, tokens_saved=150, model="=m"),
        make_row(NOW_NS - 3, project_id=project_id, status="failed", error_code="upstream_error", cost_pusd=0),
    ]
    board.recorder.rows = list(rows)
    return rows


async def test_calls_are_listed(board: Board) -> None:
    """With every field, newest first, in pages."""
    token, project_id, _ = await board.register("ann")
    other, _, _ = await board.register("bob")
    rows = await fill(board, project_id)
    body = (await board.ask("/api/requests", token, limit="2")).json()
    assert [each["id"] for each in body["requests"]] == [row.request_id for row in rows[:2]]
    assert body["requests"][0] == {
        "id": rows[0].request_id,
        "created_at": "2026-09-21T14:13:19Z",
        "project_id": project_id,
        "key_id": rows[0].key_id,
        "endpoint": "chat/completions",
        "model": "gpt-4",
        "provider": "openai",
        "upstream_model": "gpt-4-0613",
        "status": "complete",
        "http_status": 200,
        "error_code": None,
        "stream": False,
        "cached": False,
        "cache_layer": None,
        "cache_entry": None,
        "tokens": 150,
        "input_tokens": 100,
        "output_tokens": 50,
        "tokens_saved": 0,
        "cost_usd": 0.0045,
        "saved_usd": 0,
        "cost_basis": "bundled",
        "latency_ms": 2_100,
        "first_byte_ms": 9,
        "overhead_ms": 1.5,
        "attempts": 1,
        "tags": ["a", "b"],
        "session": "s",
    }
    hit = body["requests"][1]
    assert [hit[name] for name in ("cached", "cache_layer", "tokens", "cost_usd", "saved_usd")] == [
        True,
        "exact",
        0,
        0,
        1,
    ]
    rest = (await board.ask("/api/requests", token, limit="2", cursor=body["next_cursor"])).json()
    assert [each["error_code"] for each in rest["requests"]] == ["upstream_error"]
    assert rest["next_cursor"] is None
    assert (await board.ask("/api/requests", other)).json()["requests"] == []
    failed = (await board.ask("/api/requests", token, status="failed", range="1y")).json()["requests"]
    assert [each["id"] for each in failed] == [rows[2].request_id]


async def test_calls_are_exported(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """All pages of them, harmless to a spreadsheet."""
    monkeypatch.setattr(log, "CSV_PAGE_ROWS", 2)
    token, project_id, _ = await board.register("ann")
    rows = await fill(board, project_id)
    answer = await board.ask("/api/requests/export", token)
    head, *lines = answer.text.splitlines()
    assert (answer.headers["content-type"], head) == ("text/csv; charset=utf-8", log.CSV_COLUMNS)
    assert [line.split(",")[0] for line in lines] == [row.request_id for row in rows]
    assert lines[0].endswith(',complete,200,,false,false,,100,50,0,0.0045,0,2100,1,"a, b",s')
    assert ",'=m," in lines[1]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("name", "value"), [("cache", "cold"), ("range", "2d"), ("project_id", "x")])
async def test_what_cannot_be_asked_is_refused(board: Board, path: str, name: str, value: str) -> None:
    """By the parameter's name."""
    refused = await board.ask(path, **{name: value})
    assert (refused.status_code, refused.json()["error"]["param"]) == (404 if name == "project_id" else 400, name)


@pytest.mark.parametrize("path", [*PATHS, "/api/requests/live"])
@pytest.mark.parametrize(("name", "meant"), [("modle", "model"), ("tags", "tag"), ("max_cost", "max_cost_usd")])
async def test_a_filter_that_nobody_knows_is_refused(board: Board, path: str, name: str, meant: str) -> None:
    """Left out it would show every call; the one that was meant is told."""
    refused = await board.ask(path, **{name: "x"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)
    assert f"Did you mean {meant!r}?" in refused.json()["error"]["message"]


async def test_pages_have_bounds(board: Board) -> None:
    """A cursor and a limit are checked."""
    for params in ({"cursor": "x"}, {"cursor": "abc"}, {"limit": "501"}):
        assert (await board.ask("/api/requests", **params)).status_code == 400


async def test_while_the_database_is_away_nobody_knows(board: Board) -> None:
    """503, also before an export's first byte."""
    board.database = Away()
    assert (await board.ask("/api/requests", "reader")).status_code == 503
