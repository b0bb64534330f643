"""README's generated tables: each function prints one from the rows of the code that it documents.

``python -m tests.docs.tables`` writes them into README.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from gateway.config.texts import render_settings_table
from gateway.errors import KINDS
from gateway.limits.plans import PLANS, ROWS
from gateway.telemetry import METRICS
from providers.anthropic.parameters import PARAMETERS, Fate
from providers.registry import PROVIDERS, ProviderRow, Quirk
from providers.sandbox.magic import MAGIC_PROMPTS

FATES = {
    Fate.TRANSLATED: "translated",
    Fate.PASSED: "passed",
    Fate.DROPPED: "dropped",
    Fate.REFUSED: "refused",
}
WHEN = {
    "any": "any value",
    "null": "null",
    "unset": "null, false or empty",
    "above_one": "above 1",
}
ENDPOINTS = ("chat/completions", "completions", "embeddings")


def render(header: str, rows: Iterable[tuple[str, ...]]) -> str:
    """Print a Markdown table; ``header`` names the columns, parted by ``|``."""
    columns = [name.strip() for name in header.split("|")]
    lines = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"|{'|'.join(cells)}|\n" if cells[0] == "---" else f"| {' | '.join(cells)} |\n" for cells in lines)


def render_errors() -> str:
    """Print every error that the gateway itself can answer with."""
    return render(
        "status | `code` | `type` | meaning",
        ((str(kind.status), f"`{kind.code}`", f"`{kind.type}`", kind.meaning) for kind in KINDS.values()),
    )


def render_magic_prompts() -> str:
    """Print what the sandbox can be asked for."""
    return render(
        "prompt begins with | for example | the sandbox answers with",
        ((f"`sandbox:{prompt.name}`", f"`{prompt.example}`", prompt.effect) for prompt in MAGIC_PROMPTS),
    )


def render_metrics() -> str:
    """Print every metric with its labels."""
    return render(
        "metric | kind | labels | meaning",
        (
            (f"`{metric.name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.help)
            for metric in METRICS.values()
        ),
    )


def render_providers() -> str:
    """Print the built-in providers; the last columns say what happens to a stream whose client has left."""
    return render(
        "provider | dialect | base URL | key | `/v1/…` | when the client leaves a stream",
        (
            (
                f"`{row.name}`",
                row.dialect,
                f"`{row.base_url}`" if row.base_url else "in the gateway",
                f"`{row.env_key}`" if row.env_key else "none",
                ", ".join(name for name in ENDPOINTS if name in row.endpoints),
                describe_leaving(row),
            )
            for row in PROVIDERS.values()
        ),
    )


def describe_leaving(row: ProviderRow) -> str:
    """Say what the gateway does with a stream that nobody reads any more."""
    if not row.cancel_stops_billing:
        return "read to its end, at most 60 s: the provider bills it whole"
    if row.cancel_models:
        return f"closed for models {', '.join(f'`{model}…`' for model in row.cancel_models)}; others read to their end"
    return "closed at once" + (": the provider stops billing" if row.base_url else "")


def render_quirks() -> str:
    """Print what a provider is known to refuse, and what becomes of it."""
    known: dict[tuple[str, Quirk], list[str]] = {}
    for row in PROVIDERS.values():
        for quirk in row.quirks:
            known.setdefault((quirk.endpoint, quirk), []).append(row.name)
    return render(
        "provider | endpoint | parameter | value | what happens | why",
        (
            (
                ", ".join(names),
                quirk.endpoint,
                f"`{quirk.param}`",
                WHEN[quirk.when],
                describe_action(quirk),
                f"{quirk.reason} ([source]({quirk.source}), {quirk.as_of})",
            )
            for (_, quirk), names in known.items()
        ),
    )


def describe_action(quirk: Quirk) -> str:
    """Say what a quirk does, and for which models."""
    models = f" for {', '.join(f'`{model}…`' for model in quirk.models)}" if quirk.models else ""
    done = {"drop": "dropped", "refuse": "refused with 400", "rename": f"renamed to `{quirk.to}`"}
    return done[quirk.action] + models


def render_parameters() -> str:
    """Print the fate of each parameter of chat/completions at Anthropic."""
    return render(
        "parameter | fate | how, or why",
        ((f"`{name}`", FATES[rule.fate], rule.reason) for name, rule in PARAMETERS.items()),
    )


def render_plans() -> str:
    """Print every plan's limits."""
    return render(
        f"limit | counts | window | {' | '.join(PLANS)}",
        (
            (
                f"`{row.name}`",
                f"{row.document}: {row.meaning}",
                row.period,
                *("none" if figure is None else f"{figure:,}" for figure in row.figures),
            )
            for row in ROWS
        ),
    )


TABLES: dict[str, Callable[[], str]] = {
    "errors": render_errors,
    "magic prompts": render_magic_prompts,
    "metrics": render_metrics,
    "providers": render_providers,
    "quirks": render_quirks,
    "parameters": render_parameters,
    "plans": render_plans,
    "settings": render_settings_table,
}
README = Path(__file__).parents[2] / "README.md"
_PLACE = re.compile(r"^(<!-- table: ([a-z ]+) -->\n).*?^(<!-- end -->)$", re.MULTILINE | re.DOTALL)


def refresh(markdown: str) -> str:
    """Write every table into its place, between ``<!-- table: NAME -->`` and ``<!-- end -->``."""
    return _PLACE.sub(lambda place: f"{place[1]}\n{TABLES[place[2]]()}\n{place[3]}", markdown)


def name_places(markdown: str) -> list[str]:
    """List the names of the tables that have a place, in order."""
    return [place[2] for place in _PLACE.finditer(markdown)]


if __name__ == "__main__":
    README.write_text(refresh(README.read_text("utf-8")), encoding="utf-8")
