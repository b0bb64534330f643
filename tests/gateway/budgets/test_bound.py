"""The bound of a call is never below what it costs, and what an amount affords never costs more."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.budgets.bound import (
    LEAST_OUTPUT_TOKENS,
    Bound,
    Reach,
    Tariffs,
    Worst,
    bound_call,
    bound_plainly,
    bound_target,
    from_count,
    join_worsts,
)
from gateway.budgets.exclusions import PLAIN, Shape, read_shape
from providers.catalogue import load_catalogue
from providers.chat import Usage
from providers.pricing.price_rows import PriceRow, TierRow
from providers.pricing.prices import Price, cost_pusd, load_prices, read_price
from providers.tokens import Tokenizers
from providers.wire import Call

TIERED = read_price(
    PriceRow(
        provider="p",
        model="m",
        effective_from="2020-01-01",
        input="1.25",
        cached_input="0.125",
        cache_write="1.5625",
        output="10",
        per_request="0.001",
        tiers=(TierRow(above_input_tokens=200_000, input="2.5", output="15"),),
    ),
    "test",
    is_operator=True,
)
WORST = st.builds(
    Worst,
    input_atto=st.integers(0, 10**9),
    output_atto=st.integers(0, 10**9),
    per_request_pusd=st.integers(0, 10**12),
    output_tokens=st.integers(0, 200_000),
)


def make_call(words: int = 1, **more: object) -> Call:
    """A chat."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "word " * words}]}).encode()
    return Call(endpoint="chat/completions", body=body, model="m", **more)  # type: ignore[arg-type]


@given(st.integers(0, 300_000), st.integers(0, 4_000), st.integers(0, 3))
def test_no_usage_costs_more_than_the_bound(input_tokens: int, output_tokens: int, split: int) -> None:
    """Whatever the buckets, the tier and the number of answers."""
    call = Call(endpoint="chat/completions", body=b"x" * 300_000, model="m", max_tokens=1_000, n=4)
    bound = bound_call(call, [Reach(prices=(TIERED,), max_output_tokens=8_000)], 1)
    buckets = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "input_tokens")
    usage = Usage(**{buckets[split]: input_tokens}, output_tokens=output_tokens)
    assert cost_pusd(TIERED, usage) <= bound.pusd


PRICES = tuple(
    read_price(
        PriceRow(
            provider="p", model="m", effective_from=day, input=rate, output=f"{rate}0", image_input="90",
            cache_write_1h="70", audio_output="80",
        ),
        "test",
        is_operator=True,
    )
    for day, rate in (("2020-01-01", "1"), ("2021-01-01", "2"))
)  # fmt: skip
BODIES = (
    b'{"model":"m"}', b'{"model":"m","cache_control":{"ttl":"1h"}}', b'{"model":"m","modalities":["audio"]}',
    b'{"model":"m","content":[{"type":"input_audio"}]}', b'{"model":"m","audio":{}}',
)  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(PRICES), st.sampled_from(BODIES), st.sampled_from(["chat/completions", "embeddings"]),
            st.sampled_from([None, 1, 500, 9_000]), st.integers(1, 3),
        ),
        max_size=12,
    ),
    st.sampled_from([None, 800]),
)  # fmt: skip
def test_what_is_kept_of_a_route_bounds_as_working_it_out_does(
    asked: list[tuple[Price, bytes, str, int | None, int]], longest: int | None
) -> None:
    """Whatever was asked before, and whichever price was in force then."""
    tariffs = Tariffs()
    for price, body, endpoint, max_tokens, n in asked:
        call = Call(endpoint=endpoint, body=body, model="m", max_tokens=max_tokens, n=n)
        expected = bound_call(call, [Reach(prices=(price,), max_output_tokens=longest)], 700)
        # Each price has its day.
        day = PRICES.index(price)
        tariff = tariffs.find(call, day)
        if tariff is None:
            tariff = join_worsts([bound_target(call, price, longest, 700)], day, day + 1)
            tariffs.keep(call, tariff)
        if read_shape(call) is PLAIN:
            assert bound_plainly(call, tariff) == expected
        else:
            assert expected.pusd >= bound_plainly(call, tariff).pusd


def test_a_tariff_holds_from_its_moment_on_and_before_its_end() -> None:
    """Neither sooner nor later, and only for calls with the same limit."""
    tariffs, call = Tariffs(), make_call()
    tariff = join_worsts([], 10, 20)
    tariffs.keep(call, tariff)
    assert [tariffs.find(call, at_ns) is tariff for at_ns in (9, 10, 19, 20)] == [False, True, True, False]
    assert tariffs.find(msgspec.structs.replace(call, max_tokens=7), 15) is None


@given(st.lists(WORST, max_size=3), st.integers(0, 10**6), st.integers(1, 8), st.integers(0, 10**15))
def test_what_is_afforded_fits(targets: list[Worst], input_tokens: int, n: int, amount_pusd: int) -> None:
    """The longest reply that an amount pays for costs no more than it, at every target; one more token does."""
    longest = max((target.output_tokens for target in targets), default=0)
    bound = Bound(targets=tuple(targets), input_tokens=input_tokens, output_tokens=longest, n=n)
    tokens = bound.affords(amount_pusd)
    if tokens >= 0:
        assert bound.cost_pusd(tokens) <= amount_pusd
    if 0 <= tokens < longest:
        assert bound.cost_pusd(tokens + 1) > amount_pusd
    assert tokens <= longest


def test_the_smaller_of_two_limits_holds_and_an_unknown_one_is_set() -> None:
    """The caller's, the model's, or the configured one, which then has to be sent."""
    reach = Reach(prices=(TIERED,), max_output_tokens=100)
    unknown = Reach(prices=(TIERED,), max_output_tokens=None)
    assert bound_call(make_call(max_tokens=7), [reach], 50).output_tokens == 7
    assert bound_call(make_call(max_tokens=700), [reach], 50).output_tokens == 100
    bound = bound_call(make_call(), [unknown], 50)
    assert (bound.output_tokens, bound.needs_limit) == (50, True)
    assert bound_call(make_call(max_tokens=3), [unknown], 50).needs_limit is False
    assert bound_call(make_call(), [reach], 50).least_pusd == bound_call(make_call(), [reach], 50).cost_pusd(
        LEAST_OUTPUT_TOKENS
    )


def test_every_prompt_of_a_completion_may_be_answered_at_full_length() -> None:
    """n times each."""
    call = Call(endpoint="completions", body=b"{}", model="m", max_tokens=100, n=2, prompts=50)
    bound = bound_call(call, [Reach(prices=(TIERED,), max_output_tokens=8_000)], 1)
    assert bound.n == 100
    assert bound.pusd >= cost_pusd(TIERED, Usage(output_tokens=100 * 100))


DEAR = read_price(
    PriceRow(
        provider="p", model="m", effective_from="2020-01-01", input="1", output="2",
        cache_write_1h="3", audio_input="40", audio_output="80",
    ),
    "test",
    is_operator=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("plain", "hidden"),
    [
        (b'"modalities":["text","audio"]', b'"mod\\u0061lities":["text","\\u0061udio"]'),
        (b'"audio":{}', b'"audi\\u006F":{}'),
        (b'"x":{"type":"input_audio"}', b'"x":{"type":"input\\u005faudio"}'),
        (b'"ttl":"1h"', b'"ttl":"1\\u0068"'),
    ],
)
def test_what_a_body_asks_for_cannot_be_hidden_by_escapes(plain: bytes, hidden: bytes) -> None:
    """A word means the same however it is written, and so does what it costs."""
    reach = Reach(prices=(DEAR,), max_output_tokens=1_000)
    calls = [Call(endpoint="chat/completions", body=b"{%b}" % body, model="m") for body in (b"", plain, hidden)]
    worst = [bound_call(call, [reach], 1, read_shape(call)).targets[0] for call in calls]
    assert (worst[0].input_atto, worst[0].output_atto) != (worst[1].input_atto, worst[1].output_atto)
    assert worst[2].input_atto >= worst[1].input_atto
    assert worst[2].output_atto >= worst[1].output_atto


def test_escapes_that_encoders_write_hide_nothing() -> None:
    """HTML's special characters, accents and the backtick do not make a call dearer."""
    reach = Reach(prices=(DEAR,), max_output_tokens=1_000)
    body = b'{"a":"\\u003c\\u00e9\\u0060\\u0026\\u002B"}'
    call = Call(endpoint="chat/completions", body=body, model="m")
    assert bound_call(call, [reach], 1, read_shape(call)).targets[0].output_atto == 2 * 10**12


def test_images_and_tools_add_to_the_input() -> None:
    """More than the longest that any provider counts for them."""
    plain = bound_call(make_call(), [], 1).input_tokens
    assert bound_call(make_call(), [], 1, Shape(images=2)).input_tokens - plain >= 2 * 48_169
    assert bound_call(make_call(), [], 1, Shape(has_tools=True)).input_tokens - plain >= 650


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "unheard-of"])
def test_a_count_tightens_the_bound_and_stays_above_itself(model: str) -> None:
    """By a margin that is larger where another model's tokenizer counts."""
    call = make_call(2_000)
    counted = Tokenizers().count_prompt(model, call.body)
    bound = bound_call(call, [Reach(prices=(TIERED,), max_output_tokens=10)], 1)
    tight = from_count(bound, model, counted, Shape())
    assert counted * 1.1 < tight.input_tokens < bound.input_tokens
    assert from_count(bound, model, 10**9, Shape()) == bound


def test_models_that_have_a_price_have_a_limit_but_for_two() -> None:
    """A call to OpenAI's and Anthropic's current models needs no limit that the caller did not ask for."""
    catalogue, prices = load_catalogue(), load_prices()
    for provider in ("openai", "anthropic"):
        models = [model for model in catalogue.provider_models(provider) if prices.lookup(provider, model, 2 * 10**18)]
        known = [model for model in models if catalogue.max_output_tokens(provider, model) is not None]
        chats = [m for m in models if (row := catalogue.row(provider, m)) is not None and row.kind != "embeddings"]
        assert len(models) > 5
        assert set(chats) - set(known) <= {"claude-mythos-5-2", "claude-fable-5-2"}
