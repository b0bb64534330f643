"""A project's usage and its export: who may read it, what it holds, and that amounts are exact."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest
from fakes import CALLER, NOW_NS, FakeDirectory, FakeRecorder, make_services
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from gateway.analytics.usage import CSV_HEADER
from gateway.db import Database, DatabaseUnavailable
from gateway.ids import new_id, to_uuid
from gateway.ledger import store
from gateway.ledger.row import UsageRow
from gateway.pipeline.services import Services
from gateway.surfaces import faults
from gateway.surfaces.api.usage import SCOPE, export_usage, show_usage
from tests.gateway.usage_rows import PROJECT_ID, make_row

READER = msgspec.structs.replace(CALLER, project_id=PROJECT_ID, scopes=frozenset({SCOPE}))
KEYS: dict[bytes, Any] = {b"reader": READER, b"narrow": msgspec.structs.replace(READER, scopes=frozenset())}
SECOND_NS = 1_000_000_000
OTHER_PROJECT = f"proj_{new_id(NOW_NS)}"
PATHS = ["usage", "usage/export"]
PLAIN = make_row(NOW_NS - 2 * SECOND_NS)
CACHED = make_row(NOW_NS - SECOND_NS, is_cached=True, tokens_saved=150, cost_pusd=0, latency_ms=45)


class Recorder(FakeRecorder):
    """A ledger's writer whose rows reach the database when somebody waits for them."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.is_stuck = False

    async def flush(self) -> None:
        """Store what was recorded, or wait for ever."""
        if self.is_stuck:
            await asyncio.get_running_loop().create_future()
        async with self.database.write() as connection:
            await store.insert_rows(connection, self.rows)
        self.rows = []


class Away(Database):
    """A database that does not answer."""

    def __init__(self) -> None:
        """Open nothing."""

    def read(self) -> Any:
        """Fail."""
        raise DatabaseUnavailable("away")


class Board:
    """The dashboard API over a real, small database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.recorder = Recorder(database)
        self.services = make_services(directory=cast("Any", FakeDirectory(KEYS)), recorder=cast("Any", self.recorder))

    def app(self) -> Litestar:
        """Its two paths."""

        def services() -> Services:
            return self.services

        def database() -> Database:
            return self.database

        return Litestar(
            [show_usage, export_usage],
            dependencies={
                "services": Provide(services, sync_to_thread=False),
                "database": Provide(database, sync_to_thread=False),
            },
            exception_handlers=faults.HANDLERS,
            openapi_config=None,
            logging_config=None,
            state=State({"services": self.services}),
        )

    async def get(self, path: str = "usage", *, project: str = PROJECT_ID, key: str = "reader", **params: str) -> Any:
        """Ask with a key; ``from_`` stands for ``from``."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        transport = httpx.ASGITransport(cast("Any", self.app()))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test", headers=headers) as client:
            query = {name.rstrip("_"): value for name, value in params.items()}
            return await client.get(f"/api/projects/{project}/{path}", params=query)

    async def refused(self, path: str, **how: str) -> tuple[int, str, str | None]:
        """Status, code and parameter of a refusal."""
        response = await self.get(path, **how)
        error = response.json()["error"]
        return response.status_code, error["code"], error["param"]


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    """A board with two rows that were just recorded."""
    database = await Database.open(None, tmp_path)
    made = Board(database)
    made.recorder.rows = [PLAIN, CACHED]
    yield made
    await database.close()


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


@pytest.mark.parametrize("path", PATHS)
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
    monkeypatch.setattr("gateway.surfaces.api.usage.FRESHNESS_S", 0.001)
    board.recorder.is_stuck = True
    assert (await board.get()).json()["total"] == 0


async def test_a_database_that_is_away_is_told(board: Board) -> None:
    """503 with a word on when to ask again."""
    board.database = Away()
    response = await board.get()
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
