"""What ``watchllm ledger rerate`` does: tells who owes what by the prices in force now, and books it.

Failure behavior: what the operator can put right raises one of gateway.commands.ledger's REFUSALS. Stopped at any
moment, what was booked stays, and running it again books the rest.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import aclosing

import msgspec

from gateway.budgets.rerating import Owed, Wanted, rerate
from gateway.commands.keys import open_existing
from gateway.config.settings import Settings
from gateway.upstreams import build_prices
from providers.catalogue import load_catalogue
from providers.pricing.prices import format_usd

_COLUMNS = ("ACCOUNT", "PROJECT ID", "PROJECT", "CALLS", "OLD USD", "NEW USD", "DELTA USD")
_TEXTS = 3


class ProjectLine(msgspec.Struct, frozen=True, kw_only=True):
    """A project whose calls cost something else by the prices in force now; amounts are exact decimals of dollars."""

    # Null: the operator's own project.
    account_id: str | None
    project_id: str
    project: str
    calls: int
    old_usd: str
    new_usd: str
    delta_usd: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a re-rating answers as JSON."""

    # Whether anything was: not by --dry-run, and not where nothing differs.
    booked: bool
    # Calls that were looked at; of those which no price changes, which have no price, and which differ.
    rows: int
    final: int
    unpriced: int
    calls: int
    delta_usd: str
    projects: list[ProjectLine]


async def rerate_ledger(settings: Settings, wanted: argparse.Namespace, now_ns: int) -> str:
    """Re-rate what was called in a period, and book it unless it is only to be told."""
    prices = build_prices(settings, load_catalogue())
    meant = Wanted(from_ns=wanted.from_ns, to_ns=wanted.to_ns or now_ns, books=not wanted.dry_run)
    projects: list[Owed] = []
    total = Owed(account_id=None, project_id="", project="")
    async with open_existing(settings) as database, aclosing(rerate(database, prices, meant, now_ns)) as found:
        async for owed in found:
            for name in ("rows", "final_rows", "unpriced_rows", "calls", "old_pusd", "new_pusd"):
                setattr(total, name, getattr(total, name) + getattr(owed, name))
            if owed.calls:
                projects.append(owed)
                # As it goes: whoever stops it knows whose calls were rated, and what is booked.
                print(tell(owed, is_booked=meant.books), file=sys.stderr, flush=True)
    projects.sort(key=lambda owed: (owed.account_id or "", owed.project_id))
    report = Report(
        booked=meant.books and total.calls > 0,
        rows=total.rows,
        final=total.final_rows,
        unpriced=total.unpriced_rows,
        calls=total.calls,
        delta_usd=format_usd(total.delta_pusd),
        projects=[_line_of(owed) for owed in projects],
    )
    return msgspec.json.encode(report).decode() if wanted.json else write_report(report)


def tell(owed: Owed, *, is_booked: bool) -> str:
    """Tell in a line who owes what, or is owed."""
    whose = f"{owed.account_id or 'the operator'}, project {owed.project or owed.project_id}"
    verb = "owes" if owed.delta_pusd >= 0 else "is owed"
    amount = format_usd(abs(owed.delta_pusd))
    calls = "1 call" if owed.calls == 1 else f"{owed.calls} calls"
    return f"{whose}, {verb} {amount} USD for {calls}{' (booked)' if is_booked else ''}"


def write_report(report: Report) -> str:
    """Write a report for a terminal."""
    lines = _align(report.projects) if report.projects else []
    lines.append(
        f"{report.calls} of {report.rows} calls differ by {report.delta_usd} USD; {report.unpriced} have no price, "
        f"and no price changes {report.final}"
    )
    if report.booked:
        lines.append("booked")
    else:
        lines.append("nothing was booked (--dry-run)" if report.calls else "nothing to book")
    return "\n".join(lines)


def _line_of(owed: Owed) -> ProjectLine:
    return ProjectLine(
        account_id=owed.account_id,
        project_id=owed.project_id,
        project=owed.project,
        calls=owed.calls,
        old_usd=format_usd(owed.old_pusd),
        new_usd=format_usd(owed.new_pusd),
        delta_usd=format_usd(owed.delta_pusd),
    )


def _align(projects: Sequence[ProjectLine]) -> list[str]:
    rows = [_COLUMNS, *(tuple(str(value or "-") for value in msgspec.structs.astuple(line)) for line in projects)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column < _TEXTS else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
