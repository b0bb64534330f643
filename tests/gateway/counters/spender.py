"""A process that reserves and settles on a budget it shares with others; it prints what it spent."""

import asyncio
import random
import sys

from gateway.counters.interface import BudgetLine, Held, NewHold
from tests.gateway.counters.conftest import open_shared
from tests.gateway.counters.programs import START_NS, S

LIMIT_PUSD = 9 * 10**18 + 20_000
LINE = BudgetLine(budget_key="shared", window_key="w", limit_pusd=LIMIT_PUSD, seed_pusd=9 * 10**18)
CALLS = 500


async def spend(redis_url: str, namespace: str, name: str) -> int:
    """Make all calls at once; the holds of every tenth are left to be swept."""
    counters = open_shared(redis_url, namespace)
    choice = random.Random(name)  # noqa: S311 - amounts of a test
    amounts = [(choice.randint(1, 100), choice.random()) for _ in range(CALLS)]

    async def call(n: int) -> int:
        amount, share = amounts[n]
        hold_id = f"{name}-{n}"
        hold = NewHold(hold_id=hold_id, lines=(LINE,), amount_pusd=amount, lease_ns=S)
        answer = await counters.reserve(hold, START_NS)
        if not isinstance(answer, Held) or n % 10 == 0:
            return 0
        settled = await counters.settle(hold_id, int(amount * share), START_NS)
        assert (settled.spent_pusd[0] or 0) <= LIMIT_PUSD
        return settled.charged_pusd

    charged = sum(await asyncio.gather(*(call(n) for n in range(CALLS))))
    await counters.close()
    return charged


async def sweep(redis_url: str, namespace: str) -> list[str]:
    """Sweep until nothing comes, with the other process beside."""
    counters = open_shared(redis_url, namespace)
    swept: list[str] = []
    while batch := await counters.sweep(START_NS + S, 60 * S, 7):
        swept += [hold.hold_id for hold in batch]
        for hold in batch:
            await counters.release(hold.hold_id, START_NS + S)
    await counters.close()
    return swept


if __name__ == "__main__":
    if sys.argv[1] == "spend":
        print(asyncio.run(spend(*sys.argv[2:])))
    else:
        print(*asyncio.run(sweep(*sys.argv[2:])))
