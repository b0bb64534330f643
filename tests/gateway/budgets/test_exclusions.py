"""What no bound covers is found in the body, however it is written, and nothing else is taken for it."""

import json
from typing import Any

import pytest

from gateway.budgets.exclusions import EXCLUSIONS, PLAIN, read_shape
from providers.wire import Call

TEXT = 'talk of a "file", best_of and plugins, and \\u0041'


def shape(content: Any = "Hi", **more: Any) -> Any:
    """The shape of a chat."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], **more}).encode()
    return read_shape(Call(endpoint="chat/completions", body=body, model="m"))


@pytest.mark.parametrize("exclusion", EXCLUSIONS, ids=lambda exclusion: exclusion.name)
def test_each_row_is_found(exclusion: Any) -> None:
    """By each of its members, and by each kind of part; null is as good as left out."""
    for member in exclusion.members:
        assert shape(**{member: {}}).excluded == (exclusion,)
        assert shape(**{member: None}).excluded == ()
    for part in exclusion.parts:
        assert shape([{"type": "text", "text": "a"}, {"type": part, part: {}}]).excluded == (exclusion,)


def test_a_name_written_with_escapes_is_found() -> None:
    """The provider would read it all the same."""
    body = b'{"model":"m","messages":[{"role":"user","content":[{"type":"\\u0066ile","file":{}}]}],"n":1}'
    found = read_shape(Call(endpoint="chat/completions", body=body, model="m"))
    assert [exclusion.name for exclusion in found.excluded] == ["media_by_reference"]


def test_words_of_a_text_are_no_members() -> None:
    """What people talk about is not what they ask for."""
    assert shape(TEXT).excluded == ()
    assert shape("plain") is PLAIN


def test_tools_of_the_provider_are_excluded_and_own_ones_counted() -> None:
    """Functions add to the prompt; searches and code execution add fees."""
    own = shape(tools=[{"type": "function", "function": {"name": "f"}}])
    assert (own.has_tools, own.excluded) == (True, ())
    assert [e.name for e in shape(tools=[{"type": "web_search_20250305", "name": "w"}]).excluded] == ["server_tools"]
    assert [e.name for e in shape(tools="all").excluded] == ["server_tools"]


def test_images_are_counted() -> None:
    """Whatever their address."""
    image = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    assert shape([image, {"type": "text", "text": '"image_url"'}, image]).images == 2


def test_other_endpoints_have_members_only() -> None:
    """A completion may ask for more answers than it returns."""
    call = Call(endpoint="completions", body=b'{"model":"m","prompt":"p","best_of":5}', model="m")
    assert [exclusion.name for exclusion in read_shape(call).excluded] == ["best_of"]


@pytest.mark.parametrize(
    "more", [b'"modalities":["text"]', b'"audio":{}', b'"x":[{"type":"input_audio"}]', b'"ttl":"1h"']
)
def test_a_body_that_may_cause_a_rate_of_its_own_is_not_plain(more: bytes) -> None:
    """Its bound has to look for these rates; words that are longer by a letter cause none."""
    for body, is_plain in ((more, False), (more.replace(b'"', b'"a', 1).replace(b"1h", b"11h"), b"input" not in more)):
        call = Call(endpoint="embeddings", body=b'{"model":"m","input":"p",%b}' % body, model="m")
        assert (read_shape(call) is PLAIN) is is_plain
        assert read_shape(call).excluded == ()
