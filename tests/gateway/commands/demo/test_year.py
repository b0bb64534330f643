"""The year of the demo: as many calls as asked, the same for the same seed, and of every kind."""

from gateway.commands.demo.year import APPS, DAYS, Ids, make_year
from gateway.ledger.row import UsageRow, read_trail
from providers.pricing.prices import load_prices
from tests.gateway.usage_rows import NOW_NS

IDS = Ids(
    projects={app.project: app.project for app in APPS},
    keys={(app.project, key): key for app in APPS for key in app.keys},
)
PRICES = load_prices()
DAY_NS = 86_400 * 10**9


def make(calls: int, seed: int = 1) -> list[UsageRow]:
    """A year that ends at NOW_NS."""
    return list(make_year(IDS, PRICES, calls, seed, NOW_NS))


def test_the_same_seed_tells_the_same_year() -> None:
    """Ids included; another seed tells another."""
    assert make(50) == make(50)
    assert make(50) != make(50, seed=2)


def test_a_year_has_calls_of_every_kind() -> None:
    """In their order, within the year, each settled; more on working days and towards the end."""
    rows = make(4_000)
    assert len(rows) == len({row.request_id for row in rows}) == 4_000
    moments = [row.created_ns for row in rows]
    assert moments == sorted(moments)
    assert NOW_NS - DAYS * DAY_NS <= moments[0] and moments[-1] < NOW_NS
    assert {row.cache_layer for row in rows} == {"", "exact", "semantic"}
    assert {row.status for row in rows} == {"complete", "failed", "cancelled"}
    assert {row.provider for row in rows} == {"openai", "anthropic", "groq"}
    assert any(read_trail(row.trail) for row in rows)
    assert all(row.saved_pusd > 0 for row in rows if row.is_cached)
    assert all((row.cost_pusd > 0) == (row.cost_basis == "bundled") for row in rows)
    assert any(row.prompt_saved_pusd for row in rows)
    weekend = sum((moment // DAY_NS + 3) % 7 >= 5 for moment in moments)
    assert weekend / len(rows) < 0.2
    middle = NOW_NS - DAYS * DAY_NS // 2
    assert sum(moment >= middle for moment in moments) > len(rows) * 0.55
