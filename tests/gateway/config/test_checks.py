"""Proves the rules that concern more than one value."""

from pathlib import Path

import msgspec
import pytest

from gateway.config.checks import check_settings
from gateway.config.reading import Source
from gateway.config.secret import Secret
from gateway.config.settings import (
    Accounts,
    Cache,
    ModelSettings,
    Ops,
    PriceSettings,
    ProviderSettings,
    Server,
    Settings,
    TargetSettings,
)

GOOD = ProviderSettings(dialect="openai", base_url="http://h/v1")


def problems_of(**changes: object) -> list[str]:
    source = Source(environ={}, folder=Path())
    check_settings(msgspec.structs.replace(Settings(), **changes), source)
    return source.problems


def with_headers(*names: str, **fields: object) -> ProviderSettings:
    """A provider that is sent these headers."""
    return msgspec.structs.replace(GOOD, headers={name: Secret("v") for name in names}, **fields)


@pytest.mark.parametrize(
    "provider",
    [
        with_headers("user-agent", "x-team"),
        with_headers("authorization", api_key=Secret("")),
        with_headers("api-key", "x-api-key", api_key=Secret("k")),
    ],
)
def test_the_operator_may_add_headers(provider: ProviderSettings) -> None:
    """A credential too, where no other is sent in its place."""
    assert problems_of(providers={"p": provider}) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:8081/v1", "https://h", "http://[::1]:9/v1", "http://10.0.0.1"])
def test_the_operator_may_name_any_address(url: str) -> None:
    """Loopback included: a sidecar's model server is there."""
    assert problems_of(providers={"p": msgspec.structs.replace(GOOD, base_url=url)}) == []


@pytest.mark.parametrize(
    "url",
    ["", "h", "ftp://h", "http://", "http://h:99999", "http://h/a b", "http://h/?a=1", "http://u:p@h", "http://[:"],
)
def test_an_address_that_cannot_be_called_is_refused(url: str) -> None:
    """Every call would fail."""
    (problem,) = problems_of(providers={"p": msgspec.structs.replace(GOOD, base_url=url)})
    assert problem.startswith("providers.p.base_url: ")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"accounts": Accounts(credit_grant_usd="9223372.036854775808")}, "accounts.credit_grant_usd"),
        ({"master_key": Secret("AAAA")}, "master_key"),
        ({"master_key": Secret("not base64")}, "master_key"),
        ({"previous_master_keys": (Secret("A" * 43 + "="), Secret("AAAA"))}, "previous_master_keys"),
        ({"database_url": Secret("mysql://h")}, "database_url"),
        ({"redis_url": Secret("http://h")}, "redis_url"),
        ({"otel_endpoint": "h:4318"}, "otel_endpoint"),
        ({"server": Server(public_url="h")}, "server.public_url"),
        ({"server": Server(host="[::1]")}, "server.host"),
        ({"ops": Ops(allow=("10.0.0.0/8", "10.0.0.0/99"))}, "ops.allow[1]"),
        ({"providers": {"a/b": GOOD}}, "providers.a/b"),
        ({"providers": {"p": msgspec.structs.replace(GOOD, models=("a b",))}}, "providers.p.models[0]"),
        ({"providers": {"p": msgspec.structs.replace(GOOD, models=("*", "gpt-*"))}}, "providers.p.models[1]"),
        ({"providers": {"p": msgspec.structs.replace(GOOD, headers={"a b": Secret("")})}}, "providers.p.headers"),
        ({"providers": {"p": msgspec.structs.replace(GOOD, headers={"Host": Secret("")})}}, "providers.p.headers"),
        ({"providers": {"p": with_headers("Accept-Encoding")}}, "providers.p.headers"),
        ({"providers": {"p": with_headers("a", "A")}}, "providers.p.headers"),
        ({"providers": {"p": with_headers("Authorization", api_key=Secret("k"))}}, "providers.p.headers"),
        (
            {"providers": {"p": with_headers("x-api-key", api_key=Secret("k"), dialect="anthropic")}},
            "providers.p.headers",
        ),
    ],
)
def test_a_rule_names_the_key(change: dict[str, object], path: str) -> None:
    """Each rule speaks of the key that breaks it."""
    (problem,) = problems_of(**change)
    assert problem.partition(": ")[0] == path


@pytest.mark.parametrize(
    ("redis", "database", "count"),
    [
        (None, None, 1),
        ("redis://h", None, 1),
        (None, "postgresql://h/d", 1),
        ("redis://h", "sqlite:///f", 1),
        ("redis://h", "postgresql://h/d", 0),
    ],
)
def test_several_processes_need_shared_stores(redis: str | None, database: str | None, count: int) -> None:
    """Without them each process would keep its own limits and holds, and it says so."""
    problems = problems_of(
        server=Server(workers=2),
        redis_url=Secret(redis) if redis else None,
        database_url=Secret(database) if database else None,
    )
    assert [problem.startswith("server.workers: 2 processes need REDIS_URL") for problem in problems] == [True] * count


def target(provider: str) -> ModelSettings:
    return ModelSettings(name="m", targets=(TargetSettings(provider=provider, model="x"),))


@pytest.mark.parametrize(
    ("provider", "ending"),
    [
        ("opnai", "'opnai' is not configured; configured are groq, opena; did you mean 'opena'?"),
        ("anthropic", "'anthropic' is not configured; configured are groq, opena; set ANTHROPIC_API_KEY"),
    ],
)
def test_a_target_must_be_configured(provider: str, ending: str) -> None:
    """The message lists what there is and how to get what is missing."""
    problems = problems_of(providers={"opena": GOOD, "groq": GOOD}, models=(target(provider),))
    assert problems == [f"models[0].targets[0].provider: {ending}"]


def test_a_long_name_is_not_shown_whole() -> None:
    """The rest of the line is what the operator needs."""
    (problem,) = problems_of(
        providers={"openai": GOOD}, models=(msgspec.structs.replace(target("openai"), name="n" * 3_000),)
    )
    assert len(problem) < 320
    assert problem.endswith("… is not a model name (up to 256 printable ASCII characters, no spaces)")


def test_a_model_is_defined_once() -> None:
    """Two routes of one name: which one holds would be a guess."""
    assert problems_of(providers={"p": GOOD}, models=(target("p"), target("p"))) == ["models: 'm' is defined 2 times"]


def price(provider: str) -> PriceSettings:
    return msgspec.convert(
        {"provider": provider, "model": "m", "effective_from": "2024-01-01", "input": "1"}, PriceSettings
    )


def test_a_price_names_a_known_provider() -> None:
    """A price for a mistyped provider would never be found."""
    assert problems_of(prices=(price("opnai"),)) == [
        "prices[0].provider: 'opnai' is no provider; did you mean 'openai'?"
    ]


def test_a_price_is_given_once_a_day() -> None:
    """Two prices of one day: which one is charged would be a guess."""
    assert problems_of(prices=(price("openai"), price("openai"))) == [
        "prices: 'openai' 'm' has 2 prices from 2024-01-01"
    ]


@pytest.mark.parametrize(("name", "is_fine"), [("", True), ("gpt-4.1-mini", True), ("a b", False), ("ü", False)])
def test_a_judge_has_a_models_name(name: str, is_fine: bool) -> None:
    """Whether anybody answers for it is known later: a project's key may come."""
    problems = problems_of(cache=Cache(semantic_judge_model=name))
    assert [] == problems if is_fine else "cache.semantic_judge_model" in problems[0] and repr(name) in problems[0]
