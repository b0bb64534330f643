"""The programs inside Redis: their arithmetic is exact where a double's is not."""

from collections.abc import Iterator

import pytest
import redis
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.counters.scripts import Scripts, load_scripts, make_script, read_text

# Of each of two, so that their sum is within the bound.
LARGEST = 45 * 10**23
AMOUNTS = st.one_of(st.integers(0, LARGEST), st.integers(0, 2 * 10**9), st.integers(2**53 - 2, 2**53 + 2))
PROBE = """
local a, b = parse(ARGV[1]), parse(ARGV[2])
return {show(a), show(add(a, b)), less(b, a) and show(subtract(a, b)) or '-', tostring(less(a, b))}
"""


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    """A plain client."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def test_money_is_exact_up_to_9e24(server: redis.Redis) -> None:
    """Reading, writing, sum, difference and order, against Python's own integers."""
    ask = server.register_script(read_text("money") + PROBE)

    @example(a=10**9 + 1, b=10**9 - 1)
    @given(a=AMOUNTS, b=AMOUNTS)
    def check(a: int, b: int) -> None:
        difference = str(a - b) if b < a else "-"
        assert ask(args=[a, b]) == [str(a), str(a + b), difference, str(a < b).lower()]

    check()


def test_every_program_has_the_name_that_redis_gives_it(server: redis.Redis) -> None:
    """EVALSHA finds what EVAL brought."""
    scripts = load_scripts()
    for name in Scripts.__struct_fields__:
        script = getattr(scripts, name)
        assert server.script_load(script.text) == script.sha


def test_a_program_may_have_parts() -> None:
    """They are joined as they stand."""
    assert make_script("a", "b") == make_script("ab")
