"""Proves that the start page's snippets are ready to paste."""

import ast
import json
import re
import shlex
from html import unescape

import pytest

from gateway.web.welcome import SNIPPETS, colour, render_welcome

BASE = "http://127.0.0.1:8080/v1"


def read_snippets() -> dict[str, str]:
    """The texts as a reader would copy them."""
    page = render_welcome(base_url=BASE, version="1", look="").decode()
    blocks = re.findall(r"<pre><code>(.*?)</code></pre>", page, re.DOTALL)
    names = [name for name, _ in SNIPPETS]
    return dict(zip(names, (unescape(re.sub(r"<[^>]+>", "", block)) for block in blocks), strict=True))


def test_curl_sends_json_to_the_base_url() -> None:
    """The command's body is JSON and its address is this gateway's."""
    words = shlex.split(read_snippets()["curl"])
    assert words[1] == f"{BASE}/chat/completions"
    assert json.loads(words[-1])["model"] == "gpt-4"


def test_python_compiles() -> None:
    """The program is a program."""
    ast.parse(read_snippets()["Python"])


@pytest.mark.parametrize("name", ["Python", "Node.js"])
def test_every_client_gets_the_base_url(name: str) -> None:
    """Nothing is left to fill in but the key."""
    assert f'"{BASE}"' in read_snippets()[name]


def test_a_base_url_is_text() -> None:
    """It may come from a Host header."""
    page = render_welcome(base_url="http://<script>/v1", version="<b>", look="").decode()
    assert "<script" not in page
    assert "<b>" not in page


def test_colour_keeps_the_text() -> None:
    """Marks are added, nothing is lost."""
    code = "curl \"a<b>\" \\\n  -H 'x' & import"
    assert unescape(re.sub(r"</?span[^>]*>", "", colour(code))) == code
