"""The claim link keeps its token from everybody but the browser."""

from gateway.config.secret import Secret
from gateway.web.claim import claim_url


def test_the_token_stands_where_browsers_send_it_to_nobody() -> None:
    """Behind the #."""
    for base_url in ("https://llm.example.org", "https://llm.example.org/"):
        assert claim_url(base_url, Secret("t0ken")) == "https://llm.example.org/claim#t0ken"
