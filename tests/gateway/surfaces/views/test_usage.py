"""A project's usage and its export: who may read it, what it holds, and that amounts are exact."""

import pytest
from boards import Away, Board
from fakes import NOW_NS
from households import House
from sqlalchemy import text

from gateway.analytics.usage import CSV_HEADER
from gateway.ids import new_id, to_uuid
from gateway.ledger.row import UsageRow
from tests.gateway.usage_rows import PROJECT_ID, make_row

SECOND_NS = 1_000_000_000
OTHER_PROJECT = f"proj_{new_id(NOW_NS)}"
PATHS = ["usage", "usage/export", "prompt-cache"]
PLAIN = make_row(NOW_NS - 2 * SECOND_NS)
CACHED = make_row(NOW_NS - SECOND_NS, is_cached=True, tokens_saved=150, cost_pusd=0, latency_ms=45)


@pytest.fixture
async def board(house: House) -> Board:
    """A board with two rows that were just recorded."""
    made = Board(house)
    made.recorder.rows = [PLAIN, CACHED]
    return made


def log_of(row: UsageRow) -> str:
    """The id under which a row is listed."""
    return f"log_{row.request_id}"


async def test_calls_are_listed_newest_first_with_the_documented_fields(board: Board) -> None:
    """``tokens_saved`` is there for answers from the cache only."""
    cached, plain = (await board.get()).json()["logs"]
    assert plain == {
        "id": log_of(PLAIN),
        "model": "gpt-4",
        "tokens_used": 150,
        "cost_usd": 0.0045,
        "cached": False,
        "latency_ms": 2_100,
        "created_at": "2026-09-21T14:13:18Z",
    }
    assert (cached["id"], cached["tokens_used"], cached["tokens_saved"]) == (log_of(CACHED), 0, 150)


async def test_the_sums_are_over_all_that_match(board: Board) -> None:
    """However few are listed."""
    body = (await board.get(limit="1")).json()
    assert (len(body["logs"]), body["total"]) == (1, 2)
    assert body["summary"] == {
        "total_requests": 2,
        "total_tokens": 150,
        "total_cost": 0.0045,
        "cache_hits": 1,
        "cache_hit_rate": 0.5,
    }


@pytest.mark.parametrize(
    ("cost_pusd", "text"), [(1, "0.000000000001"), (2**53 + 1, "9007.199254740993"), (0, "0")], ids=str
)
async def test_an_amount_is_a_number_that_no_float_has_touched(board: Board, cost_pusd: int, text: str) -> None:
    """To the last picodollar, and never in a notation that a reader of money stumbles over."""
    board.recorder.rows = [make_row(NOW_NS - SECOND_NS, cost_pusd=cost_pusd)]
    body = (await board.get()).text
    assert f'"cost_usd":{text},' in body
    assert f'"total_cost":{text},' in body


async def test_the_export_is_a_csv_file(board: Board) -> None:
    """A header, and a line a call; no proxy keeps it."""
    response = await board.get("usage/export")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="usage.csv"'
    assert response.headers["cache-control"] == "no-store"
    assert response.text.splitlines()[0] == CSV_HEADER
    assert len(response.text.splitlines()) == 3


async def test_the_parameters_choose_in_both(board: Board) -> None:
    """A moment between the two rows, and a model that nobody called."""
    moment = "2026-09-21T14:13:19Z"
    assert [log["id"] for log in (await board.get(from_=moment)).json()["logs"]] == [log_of(CACHED)]
    assert len((await board.get("usage/export", to=moment)).text.splitlines()) == 2
    assert (await board.get(model="nobodys")).json()["total"] == 0


@pytest.mark.parametrize("path", PATHS[:2])
@pytest.mark.parametrize("params", [{"limit": "0"}, {"limit": "1001"}, {"from_": "yesterday"}, {"to": "2024-13-01"}])
async def test_a_query_that_makes_no_sense_names_its_parameter(board: Board, path: str, params: dict[str, str]) -> None:
    """Before the head of an export has left."""
    assert await board.refused(path, **params) == (400, "invalid_request", next(iter(params)).rstrip("_"))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", ["", "nobodys"])
async def test_a_stranger_reads_nothing(board: Board, path: str, key: str) -> None:
    """401, as everywhere."""
    assert (await board.refused(path, key=key))[:2] == (401, "invalid_api_key")


@pytest.mark.parametrize("path", PATHS)
async def test_a_key_without_the_scope_reads_nothing(board: Board, path: str) -> None:
    """Not even of its own project."""
    assert (await board.refused(path, key="narrow"))[:2] == (403, "insufficient_scope")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("project", [OTHER_PROJECT, "proj_1", "all", "%2e%2e"], ids=["another", "short", "all", "dots"])
async def test_another_project_is_not_found(board: Board, path: str, project: str) -> None:
    """Whether it exists or not."""
    assert await board.refused(path, project=project) == (404, "not_found", "project_id")


@pytest.mark.parametrize(
    "project",
    [PROJECT_ID.removeprefix("proj_"), PROJECT_ID.replace("_", "-"), to_uuid(PROJECT_ID.removeprefix("proj_"))],
)
async def test_every_spelling_of_the_own_project_is_known(board: Board, project: str) -> None:
    """As ids are read everywhere."""
    assert (await board.get(project=project)).json()["total"] == 2


async def test_other_projects_calls_are_not_in_it(board: Board) -> None:
    """Neither in the list nor in the sums."""
    board.recorder.rows.append(make_row(NOW_NS - SECOND_NS, project_id=OTHER_PROJECT))
    body = (await board.get()).json()
    assert (len(body["logs"]), body["total"], body["summary"]["total_requests"]) == (2, 2, 2)


async def test_rows_that_do_not_reach_the_database_are_not_waited_for_long(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page comes without them."""
    monkeypatch.setattr("gateway.surfaces.views.usage.FRESHNESS_S", 0.001)
    board.recorder.is_stuck = True
    assert (await board.get()).json()["total"] == 0


async def test_a_database_that_is_away_is_told(board: Board) -> None:
    """503 with a word on when to ask again."""
    board.database = Away()
    response = await board.get()
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


@pytest.mark.row("E4")
async def test_people_read_the_usage_of_their_accounts_projects(board: Board) -> None:
    """Whoever is of the account; to another account it is not there, and a key of one project sees no other."""
    token, project_id, _ = await board.register("ann")
    other, _, _ = await board.register("bob")
    board.recorder.rows.append(make_row(NOW_NS - SECOND_NS, project_id=project_id))
    for path in PATHS:
        assert (await board.get(path, project=project_id, key=token)).status_code == 200
        assert (await board.refused(path, project=project_id, key=other))[:2] == (404, "not_found")
        assert (await board.refused(path, project=project_id))[:2] == (404, "not_found")
    assert (await board.get(project=project_id, key=token)).json()["total"] == 1


async def test_the_operator_reads_the_operators_projects(board: Board) -> None:
    """They have no account; other people do not see them."""
    project_id = await board.make_operators_project()
    token, _, ann = await board.register("ann")
    assert (await board.get(project=project_id, key=token)).status_code == 404
    async with board.database.write() as connection:
        await connection.execute(
            text("UPDATE users SET is_operator = true WHERE user_id = :id"), {"id": ann.person.user_id}
        )
    assert (await board.get(project=project_id, key=token)).json()["total"] == 0
