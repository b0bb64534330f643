"""The gateway without metering and ledger: nothing is read of what an answer used, priced, recorded or stored.

All else is as it is: authentication, the cache, routing, breakers, headers. Only a benchmark runs this; it shows every
call the figures of the first one that it answered.
"""

import sys
from collections.abc import Callable
from typing import Any

from gateway import cli
from gateway.ledger.row import UsageRow
from gateway.pipeline import record
from gateway.pipeline.flow import Outcome
from gateway.pipeline.tries.journey import Journey
from providers.chat import Answer, Usage
from providers.openai import dialect
from providers.wire import Call

USED = Usage(input_tokens=150, output_tokens=100)
_first: list[UsageRow] = []
_price = record.price


def take_as_it_is(_: Call, status: int, headers: Any, body: bytes, now_s: Callable[[], int]) -> Answer:
    """Believe that an answer is one."""
    return Answer(body=body, usage=USED)


def price(journey: Journey, outcome: Outcome, *, is_in_doubt: bool = False) -> UsageRow:
    """Price the first call."""
    if not _first:
        _first.append(_price(journey, outcome, is_in_doubt=is_in_doubt))
    return _first[0]


def settle(journey: Journey, outcome: Outcome, row: UsageRow) -> None:
    """Record nothing."""
    journey.is_recorded = True


def main() -> int:
    """Run the gateway's command line so."""
    for module, replaced in ((dialect, {"read_reply": take_as_it_is}), (record, {"price": price, "settle": settle})):
        vars(module).update(replaced)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
