"""Document A's spending guardrails: its literal requests, and an account's budgets behind them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from budget_world import give_credit
from budgeting import Home, home_at
from running import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")
SPENDING = "/api/v1/guardrails/spending"


@pytest_asyncio.fixture(loop_scope="module")
async def ann(quiet: Running) -> AsyncIterator[Home]:
    """Somebody with an account, at the gateway that these tests share."""
    async with home_at(quiet) as made:
        yield made


async def post(ann: Home, what: str, body: dict[str, Any]) -> tuple[int, Any]:
    """Post to a guardrail."""
    answer = await ann.person.post(f"{SPENDING}/{what}", json=body)
    return answer.status_code, answer.json()


@pytest.mark.row("A29")
@pytest.mark.row("A30")
@pytest.mark.row("A31")
@pytest.mark.row("A32")
async def test_the_documents_own_course(ann: Home) -> None:
    """Record, show, check and reset as document A writes them, with every field."""
    await ann.budget("account", "1000.00", "month")
    await ann.budget("account", "200.00", "hour", action="alert")
    assert await post(ann, "record", {"amount": 150.50}) == (
        200,
        {"message": "Spending recorded successfully", "new_total": 150.50},
    )
    shown = (await ann.person.get(SPENDING)).json()
    assert shown == {
        "window_spent": 150.50,
        "window_limit": 1000.00,
        "window_name": "monthly",
        "percentage_used": 15.05,
        "violations": [],
    }
    assert await post(ann, "record", {"amount": 25.50}) == (
        200,
        {"message": "Spending recorded successfully", "new_total": 176.00},
    )
    assert await post(ann, "check", {"estimated_cost": 50.00}) == (
        200,
        {"allowed": True, "spent": 176.00, "limit": 1000.00},
    )
    await ann.budget("account", "100.00", "day")
    assert await post(ann, "check", {"estimated_cost": 50.00}) == (
        402,
        {"allowed": False, "violations": [{"window": "daily", "spent": 176, "limit": 100}], "spent": 176},
    )
    assert (await ann.person.get(SPENDING)).json()["violations"] == [{"window": "daily", "spent": 176, "limit": 100}]
    assert await post(ann, "reset", {"window_name": "monthly"}) == (200, {"message": "Spending reset successfully"})
    assert (await ann.person.get(SPENDING)).json()["window_spent"] == 0
    # The other windows keep what was spent in them.
    assert {state["window"]: state["spent_usd"] for state in await ann.budgets()} == {
        "month": "0",
        "hour": "176",
        "day": "176",
    }


async def test_what_is_recorded_counts_against_calls(ann: Home) -> None:
    """The budget that blocks knows it at once, and knows the reset too, with a counter that calls have begun."""
    await ann.budget("account", "1", "month")
    assert (await ann.chat(max_tokens=10)).status_code == 200
    await post(ann, "record", {"amount": 1})
    assert (await ann.chat(max_tokens=10)).status_code == 402
    await post(ann, "reset", {"window_name": "monthly"})
    assert (await ann.chat(max_tokens=10)).status_code == 200
    (state,) = await ann.budgets()
    # The call after the reset.
    assert state["spent_usd"] == "0.000035"


async def test_without_a_budget_there_is_no_limit(ann: Home) -> None:
    """The month is shown all the same, with null for the limit."""
    await ann.chat(max_tokens=10)
    shown = (await ann.person.get(SPENDING)).json()
    assert (shown["window_spent"], shown["window_limit"], shown["percentage_used"]) == (0.000035, None, 0)
    assert await post(ann, "check", {"estimated_cost": 5}) == (200, {"allowed": True, "spent": 0.000035, "limit": None})


async def test_a_credit_that_is_used_up_allows_nothing(ann: Home) -> None:
    """Without any budget too; a call would be refused."""
    treasury = ann.running.gateway.services.budgets.treasury
    await give_credit(treasury, ann.account_id, 5 * 10**12)
    assert (await post(ann, "check", {"estimated_cost": 5}))[0] == 200
    told = {"allowed": False, "violations": [{"window": "total", "spent": 0, "limit": 5}], "spent": 0}
    assert await post(ann, "check", {"estimated_cost": 5.01}) == (402, told)


async def test_what_floats_add_up_to_is_rounded_up_to_a_picodollar(ann: Home) -> None:
    """A number that a client's floats made is money all the same; a string is an exact decimal."""
    assert await post(ann, "record", {"amount": 0.1 + 0.2}) == (
        200,
        {"message": "Spending recorded successfully", "new_total": 0.300000000001},
    )
    assert (await post(ann, "record", {"amount": 1e-13}))[1]["new_total"] == 0.300000000002
    await ann.budget("account", "0.300000000002", "month")
    assert (await post(ann, "check", {"estimated_cost": 0}))[0] == 200
    assert (await post(ann, "check", {"estimated_cost": 5.551115123125783e-17}))[0] == 402


@pytest.mark.parametrize(
    "amount",
    [
        -1,
        "x",
        None,
        "1e30",
        "1e-13",
        [1],
        "1_0",
        " 1 ",
        "\u0661",
        "+1",
        "",
        "1.",
        ".5",
        "NaN",
        "-0",
        "1e99999999999999999999",
        True,
        "9" * 65,
    ],
)
async def test_an_amount_that_is_none_is_refused(ann: Home, amount: Any) -> None:
    """In document A's envelope, naming the field."""
    status, body = await post(ann, "record", {"amount": amount})
    assert (status, body["code"], body["details"]["field"]) == (400, "VALIDATION_ERROR", "amount")


async def test_an_unknown_window_is_refused(ann: Home) -> None:
    """The five names are the only ones."""
    status, body = await post(ann, "reset", {"window_name": "yearly"})
    assert (status, body["code"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("verb", "body"),
    [("record", {"amount": 1}), ("check", {"estimated_cost": 1}), ("reset", {"window_name": "daily"})],
)
async def test_an_unknown_field_is_refused(ann: Home, verb: str, body: dict[str, Any]) -> None:
    """By its name."""
    status, answer = await post(ann, verb, {**body, "currency": "EUR"})
    assert (status, "'currency'" in answer["error"]) == (400, True)


async def test_a_stranger_sees_nothing(ann: Home) -> None:
    """Without a credential 401."""
    answer = await ann.person.get(SPENDING, headers={"authorization": ""})
    assert answer.status_code == 401


async def test_the_reference_has_both_answers_of_a_check(ann: Home) -> None:
    """Room, and none: the second is no error envelope."""
    document = (await ann.person.get("/schema/openapi.json")).json()
    responses = document["paths"][f"{SPENDING}/check"]["post"]["responses"]
    schemas = [responses[status]["content"]["application/json"]["schema"] for status in ("200", "402")]
    assert "violations" in document["components"]["schemas"][schemas[1]["$ref"].rpartition("/")[2]]["properties"]
    assert schemas[0] != schemas[1]
