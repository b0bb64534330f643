"""The comparison of the ledger with the provider's book and with what the callers heard."""

import asyncio
from collections.abc import Mapping, Sequence

from cluster.hosts import Cluster, Row
from cluster.spending import OK, USED_UP, Away, Biller, Person


async def settle_down(joined: Cluster, ann: Person) -> tuple[int, int]:
    """Wait until nothing is held any more and all hosts agree; gives what is spent, and how long it took in s."""
    begun_s = asyncio.get_running_loop().time()
    async with asyncio.timeout(60):
        while True:
            try:
                stands = {await ann.stand(host.port) for host in joined.hosts}
            except Away:
                stands = set()
            if len(stands) == 1 and (stand := stands.pop())[1] == 0:
                return stand[0], round(asyncio.get_running_loop().time() - begun_s)
            await asyncio.sleep(0.1)


def judge(rows: Sequence[Row], biller: Biller, heard: Mapping[int, int]) -> dict[str, int]:
    """Compare the ledger with the provider's book and with what the callers heard, call by call."""
    by_number: dict[int, list[Row]] = {}
    for row in rows:
        by_number.setdefault(int(row["session"].removeprefix("call-")), []).append(row)
    assert all(len(found) == 1 for found in by_number.values()), "a call has one row"
    cost = {number: found[0]["cost_pusd"] for number, found in by_number.items()}
    assert biller.bills.keys() <= cost.keys(), "every call that was made has its row"
    assert all(billed <= cost[number] for number, billed in biller.bills.items())
    for number, status in heard.items():
        if status == OK:
            assert cost[number] == biller.bills[number], "an answer costs what was billed"
        elif status == USED_UP:
            assert number not in cost, "what was refused leaves no row"
        elif status and number not in biller.bills:
            assert not cost.get(number), (
                f"what was never made is free, but {status} was heard of {by_number[number][0]}"
            )
    doubts = {number for number, found in by_number.items() if found[0]["status"] == "in_doubt"}
    return {
        "rows": len(rows),
        "answered": sum(status == OK for status in heard.values()),
        "refused": sum(status == USED_UP for status in heard.values()),
        "away": sum(status not in (0, OK, USED_UP) for status in heard.values()),
        "cut": sum(status == 0 for status in heard.values()),
        "in_doubt": len(doubts),
        "in_doubt_unseen": len(doubts - biller.bills.keys()),
    }
