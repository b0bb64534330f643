"""The page behind the claim link: its script is its own, and the token never leaves the browser but by its form."""

import re

from gateway.config.secret import Secret
from gateway.web.claim import claim_url, load_claim_script, render_claim
from gateway.web.frame import load_look, page_headers


def test_the_token_stands_where_browsers_send_it_to_nobody() -> None:
    """Behind the #."""
    for base_url in ("https://llm.example.org", "https://llm.example.org/"):
        assert claim_url(base_url, Secret("t0ken")) == "https://llm.example.org/claim#t0ken"


def test_the_policy_lets_this_very_script_run() -> None:
    """The browser's digest is taken of what stands between the script tags."""
    script, look = load_claim_script(), load_look()
    page = render_claim(look=look, script=script).decode()
    found = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert found == [script]
    assert page_headers(look, found[0]) == page_headers(look, script)


def test_the_script_asks_the_gateway_alone() -> None:
    """No address of another host, and nothing that turns text into markup or code."""
    script = load_claim_script()
    assert re.findall(r"fetch\((.*?),", script) == ['"/api/v1/auth/register"']
    assert not re.search(r"https?:|innerHTML|insertAdjacent|document\.write|eval|Function\(|import\(", script)


def test_the_form_has_what_registering_takes() -> None:
    """By the names of its fields."""
    page = render_claim(look="", script="").decode()
    assert re.findall(r'name="(\w+)"', page)[1:] == ["name", "email", "password"]
