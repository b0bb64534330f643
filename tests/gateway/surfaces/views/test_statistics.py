"""What an account used, by the documents' literal requests (rows W23, E11, S4)."""

import pytest
from boards import Away, Board
from fakes import NOW_NS
from households import House

from gateway.accounts.directory import KeyRecord
from gateway.analytics.moments import NS_PER_DAY, day_start_ns, month_start_ns
from gateway.surfaces.views.usage import SCOPE
from tests.gateway.usage_rows import PROJECT_ID, make_row

# NOW_NS is 2026-09-21T14:13:20Z.
TODAY_NS, MONTH_NS = day_start_ns(NOW_NS), month_start_ns(NOW_NS)
STATS = "/api/dashboard/stats"
MICRO_USD = 1_000_000
PATHS = [STATS, "/v1/usage"]


@pytest.fixture
async def board(house: House) -> Board:
    """A board without rows."""
    return Board(house)


async def fill(board: Board, project_id: str) -> None:
    """Calls of today, of six days ago, of last month and of last year, two from the cache."""
    board.recorder.rows = [
        make_row(created_ns, project_id=project_id, model=model, **fields)
        for created_ns, model, fields in (
            (TODAY_NS, "gpt-4", {"cost_pusd": 40 * MICRO_USD}),
            (NOW_NS - 1, "gpt-4", {"is_cached": True, "cost_pusd": 0, "saved_pusd": 30 * MICRO_USD}),
            (TODAY_NS - 6 * NS_PER_DAY, "gpt-3.5-turbo", {"cost_pusd": 5 * MICRO_USD}),
            (TODAY_NS - 6 * NS_PER_DAY - 1, "gpt-3.5-turbo", {"cost_pusd": 1 * MICRO_USD}),
            (MONTH_NS - 1, "gpt-3.5-turbo", {"is_cached": True, "cost_pusd": 0, "saved_pusd": 2 * MICRO_USD}),
            (TODAY_NS - 400 * NS_PER_DAY, "gpt-4", {"cost_pusd": 2 * MICRO_USD}),
        )
    ]


@pytest.mark.row("W23")
async def test_the_overview_of_seven_days(board: Board) -> None:
    """Every field of the document and no other: whole days in UTC, today's last, of the person's own account."""
    token, project_id, _ = await board.register("ann")
    other, _, _ = await board.register("bob")
    await fill(board, project_id)
    answer = await board.ask(STATS, token, period="7d")
    days = ["2026-09-16", "2026-09-17", "2026-09-18", "2026-09-19", "2026-09-20"]
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "requests_total": 3,
            "requests_today": 2,
            "cache_hit_rate": 1 / 3,
            "cost_this_month": 0.000046,
            "cost_saved": 0.00003,
            "top_models": [
                {"model": "gpt-4", "requests": 2, "cost": 0.00004},
                {"model": "gpt-3.5-turbo", "requests": 1, "cost": 0.000005},
            ],
            "chart_data": [
                {"date": "2026-09-15", "requests": 1, "cost": 0.000005},
                *({"date": day, "requests": 0, "cost": 0} for day in days),
                {"date": "2026-09-21", "requests": 2, "cost": 0.00004},
            ],
        },
    )
    assert (await board.ask(STATS, other)).json()["requests_total"] == 0


@pytest.mark.row("W23")
@pytest.mark.parametrize(
    ("params", "requests", "days"), [({}, 5, 30), ({"period": "30d"}, 5, 30), ({"period": "all"}, 6, 401)]
)
async def test_the_other_periods(board: Board, params: dict[str, str], requests: int, days: int) -> None:
    """Thirty days where none is named; all of them from the first call on. The chart adds up to the total."""
    token, project_id, _ = await board.register("ann")
    await fill(board, project_id)
    body = (await board.ask(STATS, token, **params)).json()
    assert (body["requests_total"], len(body["chart_data"])) == (requests, days)
    assert sum(day["requests"] for day in body["chart_data"]) == requests
    assert (body["requests_today"], body["cost_this_month"]) == (2, 0.000046)


@pytest.mark.parametrize("period", ["1d", "7D", "week", "30d "])
async def test_another_period_is_refused(board: Board, period: str) -> None:
    """With the ones that there are."""
    token, _, _ = await board.register("ann")
    answer = await board.ask(STATS, token, period=period)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_request", "period")
    assert "7d, 30d, all" in error["message"]


@pytest.mark.row("E11")
async def test_a_month_of_an_account(board: Board) -> None:
    """Every field of the document: the current month where none is named, and any other."""
    token, project_id, _ = await board.register("ann")
    await fill(board, project_id)
    answer = await board.ask("/v1/usage", token)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "period": "2026-09",
            "total_requests": 4,
            "total_tokens": 450,
            "gpu_hours": 0,
            "cost_usd": 0.000046,
            "by_deployment": [],
        },
    )
    before = (await board.ask("/v1/usage", token, period="2026-08")).json()
    assert (before["period"], before["total_requests"], before["cost_usd"]) == ("2026-08", 1, 0)


@pytest.mark.parametrize("period", ["2026", "2026-13", "09-2026", "2026-9", "now"])
async def test_what_is_no_month_is_refused(board: Board, period: str) -> None:
    """In E's envelope."""
    answer = await board.ask("/v1/usage", period=period)
    error = answer.json()["error"]
    assert (answer.status_code, set(error)) == (400, {"code", "message", "type", "request_id"})
    assert period in error["message"]


async def test_a_keys_month_is_its_projects(board: Board) -> None:
    """And an account-wide key's is its account's; the overview is for the latter alone."""
    token, project_id, ann = await board.register("ann")
    own = {"project_id": project_id, "account_id": ann.person.account_id, "kind": "live", "scopes": frozenset({SCOPE})}
    board.keys[b"wide"] = KeyRecord(key_id="key_w", is_account_wide=True, **own)
    board.keys[b"own"] = KeyRecord(key_id="key_o", **own)
    rows = [make_row(NOW_NS - 1), make_row(NOW_NS - 1, project_id=project_id), make_row(NOW_NS - 1, project_id="p")]
    board.recorder.rows = [*rows, make_row(NOW_NS - 1, project_id=PROJECT_ID)]
    counts = {key: (await board.ask("/v1/usage", key)).json()["total_requests"] for key in ("reader", "wide", "own")}
    assert counts == {"reader": 2, "wide": 1, "own": 1}
    assert (await board.ask(STATS, "wide")).json()["requests_total"] == 1
    assert (await board.ask(STATS, "own")).status_code == 403
    assert (await board.ask(STATS, token)).json()["requests_total"] == 1


@pytest.mark.row("S4")
async def test_who_one_is_tells_the_accounts_calls(board: Board) -> None:
    """All of them, ever."""
    token, project_id, _ = await board.register("ann")
    await fill(board, project_id)
    assert (await board.ask("/api/v1/auth/me", token)).json()["total_predictions"] == 6


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("key", "status"), [("", 401), ("nobodys", 401), ("narrow", 403)])
async def test_strangers_read_nothing(board: Board, path: str, key: str, status: int) -> None:
    """Nor does a key without the scope."""
    assert (await board.ask(path, key)).status_code == status


@pytest.mark.row("E20")
@pytest.mark.parametrize(
    ("key", "status", "code", "kind"),
    [
        ("", 401, "invalid_api_key", "authentication_error"),
        ("nobodys", 401, "invalid_api_key", "authentication_error"),
        ("narrow", 403, "insufficient_scope", "permission_error"),
    ],
)
async def test_a_refusal_of_e_is_in_its_document_or_added_by_row_c2(
    board: Board, key: str, status: int, code: str, kind: str
) -> None:
    """E's six statuses have none for a known key without the scope: row C2 adds 403 there, and nothing else."""
    answer = await board.ask("/v1/usage", key)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (status, code, kind)
    assert (set(error), error["request_id"][:4]) == ({"code", "message", "type", "request_id"}, "req_")


@pytest.mark.row("E20")
async def test_a_database_that_is_away_is_told(board: Board) -> None:
    """By the one status that E has for what is not the caller's fault."""
    board.database = Away()
    answer = await board.ask("/v1/usage")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "api_error")
