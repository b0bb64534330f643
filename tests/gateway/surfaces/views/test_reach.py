"""Whose calls a view shows: the caller's own, all or of one project, and nobody else's."""

import pytest
from boards import Board
from households import House
from sqlalchemy import text

from gateway.accounts.store import find_or_create_project
from tests.gateway.usage_rows import NOW_NS, PROJECT_ID, make_row

PATH = "/api/overview"


@pytest.fixture
async def board(house: House) -> Board:
    """A board without rows."""
    return Board(house)


async def count(board: Board, key: str, **params: str) -> int:
    """How many calls are seen."""
    return int((await board.ask(PATH, key, **params)).json()["total"]["requests"])


async def test_each_sees_their_own(board: Board) -> None:
    """A person the account, the operator what has no account too, a key its project."""
    token, project_id, signed_in = await board.register("ann")
    stranger, other_id, _ = await board.register("bob")
    operators = (await find_or_create_project(board.database, "operators", NOW_NS)).project_id
    projects = (project_id, project_id, other_id, operators, PROJECT_ID)
    board.recorder.rows = [make_row(project_id=each) for each in projects]
    assert [await count(board, key) for key in (token, stranger, "reader")] == [2, 1, 1]
    async with board.database.write() as connection:
        made = text("UPDATE users SET is_operator = TRUE WHERE user_id = :id")
        await connection.execute(made, {"id": signed_in.person.user_id})
    assert await count(board, token) == 3
    assert await count(board, token, project_id=operators) == 1
    for given in (other_id, "proj_x"):
        refused = await board.ask(PATH, token, project_id=given)
        assert (refused.status_code, refused.json()["error"]["param"]) == (404, "project_id")
    assert (await board.ask(PATH, "reader", project_id=project_id)).status_code == 404


@pytest.mark.parametrize("limit", ["0", "101", "x", "-1", "٣"])
async def test_a_count_is_a_small_number(board: Board, limit: str) -> None:
    """From 1 to the most."""
    refused = await board.ask(f"{PATH}/top", limit=limit)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "limit")
