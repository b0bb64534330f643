"""Proves the page that stands in for a dashboard that was not built."""

import json
import re
import shlex
from html import unescape

from gateway.web.welcome import colour, render_welcome

BASE = "http://127.0.0.1:8080/v1"


def test_curl_sends_json_to_the_base_url() -> None:
    """The command is ready to paste: its body is JSON and its address is this gateway's."""
    page = render_welcome(base_url=BASE, version="1", look="").decode()
    (block,) = re.findall(r"<pre><code>(.*?)</code></pre>", page, re.DOTALL)
    words = shlex.split(unescape(re.sub(r"<[^>]+>", "", block)))
    assert words[1] == f"{BASE}/chat/completions"
    assert json.loads(words[-1])["model"] == "gpt-4"


def test_it_says_how_to_build_the_dashboard() -> None:
    """Whoever sees this page lacks it."""
    assert "make install" in render_welcome(base_url=BASE, version="1", look="").decode()


def test_a_base_url_is_text() -> None:
    """It may come from a Host header."""
    page = render_welcome(base_url="http://<script>/v1", version="<b>", look="").decode()
    assert "<script" not in page
    assert "<b>" not in page


def test_colour_keeps_the_text() -> None:
    """Marks are added, nothing is lost."""
    code = "curl \"a<b>\" \\\n  -H 'x' & import"
    assert unescape(re.sub(r"</?span[^>]*>", "", colour(code))) == code
