"""The limit on a reply in the bytes of a call."""

import pytest
from fakes import make_call

from gateway.budgets.reply_limit import has_both_limits, limit_reply


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (b"", b'{"model":"m","max_tokens":7}'),
        (b',"max_tokens":100', b'{"model":"m","max_tokens":7}'),
        (b', "max_completion_tokens" : null', b'{"model":"m", "max_completion_tokens" : 7}'),
        (
            b',"max_tokens":null,"max_completion_tokens":null',
            b'{"model":"m","max_tokens":null,"max_completion_tokens":7}',
        ),
        (b',"max_tokens":9,"max_completion_tokens":null', b'{"model":"m","max_tokens":7,"max_completion_tokens":null}'),
        (b',"max_tokens":null,"max_completion_tokens":9', b'{"model":"m","max_tokens":null,"max_completion_tokens":7}'),
        (b',"max_tokens":1,"max_completion_tokens":2', b'{"model":"m","max_tokens":7,"max_completion_tokens":7}'),
    ],
)
def test_a_limit_is_spliced_into_the_bytes(more: bytes, expected: bytes) -> None:
    """Every other byte stays."""
    call = limit_reply(make_call(body=b'{"model":"m"' + more + b"}"), 7)
    assert (call.body, call.max_tokens) == (expected, 7)


@pytest.mark.parametrize(
    ("body", "max_tokens", "expected"),
    [
        (b'{"max_tokens":1,"max_completion_tokens":2}', 2, True),
        (b'{"max_tokens":1}', 1, False),
        (b'{"max_completion_tokens":2}', 2, False),
        (b'{"max_tokens":null,"max_completion_tokens":null}', None, False),
    ],
)
def test_two_limits_are_seen(body: bytes, max_tokens: int | None, expected: bool) -> None:
    """Providers differ in which of two they believe; two that say nothing are none."""
    assert has_both_limits(make_call(body=body, max_tokens=max_tokens)) is expected
