"""Embeddings cut by input and put together: each vector's bytes stay, and whatever does not fit is refused."""

import json
from typing import Any

import pytest
from fakes import make_call
from hypothesis import given
from hypothesis import strategies as st

from providers.openai.batches import (
    cut_answer,
    find_inputs,
    join_answer,
    read_inputs,
    reported_tokens,
    share_tokens,
    with_inputs,
)

USAGE = {"prompt_tokens": 7, "total_tokens": 7}


def answer(*indices: int, numbers: str = "[0.1, -2e-05]", **more: Any) -> bytes:
    """An answer with members of these indices, each with numbers that no writer of JSON would choose twice."""
    items = [f'{{"object":"embedding","embedding":{numbers},"index":{index}}}' for index in indices]
    rest = json.dumps({"model": "m", "usage": USAGE, **more})[1:]
    return f'{{"object":"list","data":[{", ".join(items)}],{rest}'.encode()


@pytest.mark.parametrize(
    ("value", "inputs"),
    [
        (b'"a"', [b'"a"']),
        (b"[1, 2]", [b"[1, 2]"]),
        (b"[ 1,2]", [b"[ 1,2]"]),
        (b'["a", "b" ]', [b'"a"', b'"b"']),
        (b"[[1, 2],[3]]", [b"[1, 2]", b"[3]"]),
        (b'["a", [1]]', [b'"a"', b"[1]"]),
        (b'["a", 1]', None),
        (b'[1, "a"]', None),
        (b"[1, [2]]", None),
    ],
)
def test_inputs_are_told_apart(value: bytes, inputs: list[bytes] | None) -> None:
    """One text, its tokens, or several of either; tokens beside texts are nothing that a provider takes."""
    assert read_inputs(value) == inputs
    assert find_inputs(b'{"model":"m","input": %b}' % value) == value


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"input": ["a", "b"], "model":"m"}', b'{"input": ["b"], "model":"m"}'),
        # Its name stands elsewhere too, and its value does so before.
        (b'{"user":"[1,2]","input":[1,2]}', b'{"user":"[1,2]","input":["b"]}'),
        (b'{"input_type":"input","input":["a"]}', b'{"input_type":"input","input":["b"]}'),
        (b'{"user":"input","x":[1],"input":[1]}', b'{"user":"input","x":[1],"input":["b"]}'),
    ],
)
def test_a_request_is_shortened_in_place(body: bytes, changed: bytes) -> None:
    """Every other byte stays."""
    call = make_call(endpoint="embeddings", body=body)
    assert with_inputs(call, find_inputs(body), [b'"b"']).body == changed


def test_an_answer_is_cut_and_joined_again() -> None:
    """In the inputs' order, whatever order it came in, and with every number as it was written."""
    cut = cut_answer(answer(1, 0), 2)
    assert cut is not None
    assert json.loads(cut.shell) == {"object": "list", "data": [], "model": "m", "usage": USAGE}
    assert reported_tokens(cut.shell) == 7
    joined = join_answer(cut.shell, [cut.pieces[1], cut.pieces[0], cut.pieces[1]], 9, keeps_usage=False)
    assert joined.count(b"[0.1, -2e-05]") == 3
    read = json.loads(joined)
    assert [item["index"] for item in read["data"]] == [0, 1, 2]
    assert read["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
    assert {name: read[name] for name in ("object", "model")} == {"object": "list", "model": "m"}


def test_other_figures_of_the_usage_stay_where_they_are_wanted() -> None:
    """Of a call that was made they are true; of one that was not they would not be."""
    cut = cut_answer(answer(0, usage={**USAGE, "cost": 0.5}), 1)
    assert cut is not None
    made, given_again = (join_answer(cut.shell, cut.pieces, 9, keeps_usage=keeps) for keeps in (True, False))
    assert json.loads(made)["usage"] == {"prompt_tokens": 9, "total_tokens": 9, "cost": 0.5}
    assert json.loads(given_again)["usage"] == {"prompt_tokens": 9, "total_tokens": 9}


def test_an_answer_without_usage_gets_none() -> None:
    """What was not told is not made up."""
    cut = cut_answer(b'{"data":[{"index":0,"embedding":[1]}]}', 1)
    assert cut is not None
    assert reported_tokens(cut.shell) is None
    assert join_answer(cut.shell, cut.pieces, 9, keeps_usage=True) == b'{"data":[{"index":0,"embedding":[1]}]}'


def test_base64_is_cut_too() -> None:
    """What ``encoding_format`` asks for."""
    cut = cut_answer(answer(0, numbers='"AAECAw=="'), 1)
    assert cut is not None
    assert b'"AAECAw=="' in join_answer(cut.shell, cut.pieces, 1, keeps_usage=True)


@pytest.mark.parametrize(
    "body",
    [
        answer(0),
        answer(0, 1, 2),
        answer(0, 0),
        answer(1, 2),
        b"",
        b"[]",
        b'{"data":{}}',
        answer(0, 1)[:-1],
        answer(0, 1).replace(b'"index":1', b'"index":"1"'),
        answer(0, 1).replace(b'"index":1', b'"place":1'),
        answer(0, 1).replace(b'"index":1', b'"index":1,"index":1'),
        answer(0, 1).replace(b'"index":1', b'"index":1,"note":{}'),
        answer(0, 1).replace(b'"index":1', b'"index":1,"note":"}"'),
        answer(0, 1).replace(b"}, {", b"} {"),
        answer(0, 1).replace(b'"data"', b'"list"'),
        answer(0, 1, numbers="null"),
        answer(0, 1, numbers="{}"),
        answer(0, 1).replace(b'"object":"list"', b'"more":{"data":[]}'),
    ],
)
def test_what_does_not_answer_each_input_once_is_refused(body: bytes) -> None:
    """Too few, too many, twice the same, another shape, cut off."""
    assert cut_answer(body, 2) is None


@given(st.lists(st.text(), min_size=1, max_size=8), st.integers(0, 10**6))
def test_shares_make_the_whole(texts: list[str], total: int) -> None:
    """To the token, each in proportion to its text, rounded down or up."""
    inputs = [json.dumps(text).encode() for text in texts]
    shares = share_tokens(total, inputs)
    length = sum(map(len, inputs))
    assert sum(shares) == total
    assert all(abs(share - total * len(each) / length) < 1 for share, each in zip(shares, inputs, strict=True))


def test_tokens_count_as_they_are() -> None:
    """A list of tokens has as many as it says."""
    assert share_tokens(6, [b"[1, 2]", b"[3]", b"[1000000,4,5]"]) == [2, 1, 3]
