"""Budgets and crashes: what a killed gateway may have had billed is charged; the limit holds at the provider."""

import asyncio
import random
import signal
from pathlib import Path

import pytest
from faults.world import Gateway, gateway
from proof.budget_load import Account, Biller, call_until_dead, configure, open_account, to_pusd
from running import upstream

SEED = 20261126
# The first and the last hold the account at a restart.
ZONES = ("Asia/Tokyo", "UTC", "America/New_York", "UTC")


async def kill_under_load(running: Gateway, account: Account, after_s: float) -> None:
    """Load the gateway for a while, the account's zone changing, and kill it in full work."""
    calling = asyncio.ensure_future(call_until_dead(running.port, account.key, 16))
    for zone in ZONES:
        await asyncio.sleep(after_s / len(ZONES))
        await account.set_zone(running.port, zone)
    await running.stop(signal.SIGKILL)
    await calling


async def judge(folder: Path, config: str, account: Account, biller: Biller, limit_pusd: int) -> int:
    """Start again, look at the ledger, and tell how many calls are in doubt."""
    async with gateway(folder, config) as running:
        state = await account.stand(running.port)
        assert await running.gauge("watchllm_holds_open") == 0
        await running.stop()
        rows = running.rows()
    ledger_pusd = sum(row["cost_pusd"] for row in rows)
    assert state["held_usd"] == "0"
    assert to_pusd(state["spent_usd"]) == ledger_pusd
    assert biller.billed_pusd <= ledger_pusd <= limit_pusd
    assert len({row["request_id"] for row in rows}) == len(rows)
    return sum(row["status"] == "in_doubt" for row in rows)


@pytest.mark.long
async def test_a_hold_that_a_crash_left_open_becomes_a_charge(tmp_path: Path) -> None:
    """What was on its way when the process was killed is charged at its maximum, as in doubt, at the next start."""
    biller = Biller(wait_s=30)
    async with upstream(biller.answer) as listening:
        config = configure(listening.url)
        async with gateway(tmp_path, config) as running:
            account = await open_account(running.port, tmp_path / "data", "1")
            calling = asyncio.ensure_future(call_until_dead(running.port, account.key, 3))
            while biller.calls < 3:
                await asyncio.sleep(0.01)
            assert to_pusd((await account.stand(running.port))["held_usd"]) > biller.billed_pusd
            await running.stop(signal.SIGKILL)
            await calling
        assert await judge(tmp_path, config, account, biller, 10**12) == 3
        # A further start charges nothing twice.
        assert await judge(tmp_path, config, account, biller, 10**12) == 3


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_the_limit_holds_through_eight_kills(tmp_path: Path) -> None:
    """At the provider and in the ledger, and in the end the budget is used up."""
    moments = random.Random(SEED)  # noqa: S311 - a plan, no secret
    biller = Biller()
    limit_usd = "0.05"
    async with upstream(biller.answer) as listening:
        config = configure(listening.url)
        async with gateway(tmp_path, config) as running:
            account = await open_account(running.port, tmp_path / "data", limit_usd, window="month")
        for _ in range(8):
            async with gateway(tmp_path, config) as running:
                await kill_under_load(running, account, moments.uniform(0.05, 0.6))
            await judge(tmp_path, config, account, biller, to_pusd(limit_usd))
        async with gateway(tmp_path, config) as running:
            statuses = await call_until_dead(running.port, account.key, 16)
        assert set(statuses) <= {200, 402}
        assert await judge(tmp_path, config, account, biller, to_pusd(limit_usd)) > 0
