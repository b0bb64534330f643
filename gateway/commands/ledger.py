"""What ``watchllm ledger`` does: proves the sums of the usage that a running server shares, and re-rates calls.

Failure behavior: what the operator can put right raises one of REFUSALS, whose text says what to do.
"""

import argparse
from collections.abc import Callable, Coroutine

import msgspec

from gateway.analytics.moments import moment_text
from gateway.analytics.verify import Difference, find_differences
from gateway.analytics.verify_figures import FigureDifference
from gateway.analytics.verify_figures import find_differences as proof_of_figures
from gateway.budgets.proof import SpendDifference
from gateway.budgets.proof import find_differences as proof_of_budgets
from gateway.commands.keys import NoInstallation, open_existing
from gateway.commands.rerating import rerate_ledger
from gateway.config.settings import Settings
from gateway.db import DatabaseInvalid, DatabaseUnavailable
from gateway.migrations.apply import DatabaseTooNew
from providers.pricing.prices import format_usd

# So many are told; one is enough to know.
MAX_TOLD = 100
_HOUR_NS = 3_600 * 1_000_000_000


AnyDifference = Difference | FigureDifference | SpendDifference


class LedgerDiffers(Exception):
    """Sums that are kept are not those of the rows."""


REFUSALS = (DatabaseInvalid, DatabaseUnavailable, DatabaseTooNew, NoInstallation, LedgerDiffers)


async def verify(settings: Settings, wanted: argparse.Namespace, _now_ns: int) -> str:
    """Compare every sum, and what budgets count, with the rows. Raises LedgerDiffers with the differences."""
    told: list[AnyDifference] = []
    count = 0
    async with open_existing(settings) as database:
        for proof in (find_differences, proof_of_figures, proof_of_budgets):
            async for difference in proof(database):
                count += 1
                if len(told) < MAX_TOLD:
                    told.append(difference)
    if count:
        lines = [msgspec.json.encode(each).decode() if wanted.json else write_difference(each) for each in told]
        raise LedgerDiffers("\n".join([f"{count} sums differ from their rows; restore a backup", *lines]))
    return '{"differences":0}' if wanted.json else "every sum is that of its rows"


VERBS: dict[str, Callable[[Settings, argparse.Namespace, int], Coroutine[None, None, str]]] = {
    "verify": verify,
    "rerate": rerate_ledger,
}


def write_difference(found: AnyDifference) -> str:
    """Write a difference for a terminal."""
    if isinstance(found, SpendDifference):
        name = found.budget_id or "no budget"
        return (
            f"{found.scope} {found.scope_id} ({name}), {found.window} from {moment_text(found.start_ns)}: "
            f"{format_usd(found.kept_pusd)} USD instead of {format_usd(found.rows_pusd)} USD"
        )
    measures = ", ".join(f"{name} {kept} instead of {rows}" for name, (rows, kept) in found.measures.items())
    if isinstance(found, FigureDifference):
        whole = "all calls" if found.tag is None else f"tag {found.tag!r}"
        return (
            f"{found.project_id} {whole}, {found.span_ns // _HOUR_NS} h from {moment_text(found.start_ns)}: {measures}"
        )
    return (
        f"{found.project_id} {found.key_id} {found.model} ({found.provider}/{found.upstream_model}), spans of "
        f"{found.span_ns // _HOUR_NS} h from {found.start_ns}: {measures}"
    )
