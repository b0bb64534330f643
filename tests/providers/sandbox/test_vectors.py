"""Embeddings of the sandbox."""

import base64
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.sandbox.vectors import EmbeddingsRequest, InvalidRequest, embed, read_inputs, render_embeddings


@given(st.text(max_size=20), st.integers(min_value=1, max_value=300))
def test_a_vector_has_length_one_and_is_the_same_again(text: str, dimensions: int) -> None:
    """Unit length in any number of dimensions, the same for the same text."""
    vector = embed(text, dimensions)
    assert len(vector) == dimensions
    assert sum(number * number for number in vector) == pytest.approx(1, abs=1e-5)
    assert vector == embed(text, dimensions)


def test_other_texts_have_other_vectors() -> None:
    """Unrelated texts are nearly at right angles."""
    pairs = zip(embed("a cat", 1_536), embed("a dog", 1_536), strict=True)
    assert abs(sum(one * other for one, other in pairs)) < 0.15


@pytest.mark.parametrize(
    ("model", "given", "dimensions"),
    [
        ("text-embedding-3-small", None, 1_536),
        ("text-embedding-3-large", None, 3_072),
        ("text-embedding-3-large", 256, 256),
        ("all-MiniLM-L6-v2", None, 384),
        ("local/all-MiniLM-L6-v2", None, 384),
    ],
)
def test_a_vector_is_as_long_as_the_models(model: str, given: int | None, dimensions: int) -> None:
    """A program that sets its database up for one must not fail with the other."""
    request = EmbeddingsRequest(input="hi", dimensions=given)
    body, _ = render_embeddings(request, ["hi"], model)
    assert len(json.loads(body)["data"][0]["embedding"]) == dimensions


def test_both_encodings_are_the_same_numbers() -> None:
    """base64 is the float32 of the list."""
    replies = [
        json.loads(render_embeddings(EmbeddingsRequest(input="a", encoding_format=given, dimensions=5), ["a"], "m")[0])
        for given in ("float", "base64")
    ]
    numbers, packed = (reply["data"][0]["embedding"] for reply in replies)
    assert numbers == list(struct.unpack("<5f", base64.b64decode(packed)))


@pytest.mark.parametrize(
    ("given", "count", "tokens"),
    [("abcde", 1, 2), (["a", "b"], 2, 2), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3), (["a", [5]], 2, 2)],
)
def test_inputs_are_texts_or_token_ids(given: str | list, count: int, tokens: int) -> None:
    """Every documented shape of input is read and counted."""
    request = EmbeddingsRequest(input=given)
    body, counted = render_embeddings(request, read_inputs(request), "m")
    assert (len(json.loads(body)["data"]), counted) == (count, tokens)


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (EmbeddingsRequest(input=""), "input"),
        (EmbeddingsRequest(input=[]), "input"),
        (EmbeddingsRequest(input=[[]]), "input"),
        (EmbeddingsRequest(input=["a", 1]), "input"),
        (EmbeddingsRequest(input=[-1, 5]), "input"),
        (EmbeddingsRequest(input=["a"] * 2_049), "input"),
        (EmbeddingsRequest(input="a", dimensions=0), "dimensions"),
        (EmbeddingsRequest(input="a", dimensions=4_097), "dimensions"),
        (EmbeddingsRequest(input="a", encoding_format="int8"), "encoding_format"),
    ],
)
def test_what_openai_refuses_is_refused(request_: EmbeddingsRequest, param: str) -> None:
    """A refusal names the parameter."""
    with pytest.raises(InvalidRequest) as refusal:
        read_inputs(request_)
    assert refusal.value.param == param
