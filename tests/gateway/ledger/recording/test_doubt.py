"""A doubt says all that the row of a call needs of which nothing more is heard."""

from gateway.ledger.recording.doubt import Doubt
from gateway.ledger.row import UsageRow


def test_its_row_is_charged_the_most_and_says_that_nobody_knows() -> None:
    """And whose call it was, where it went, and what its caller said of it."""
    doubt = Doubt("r", 7, "p", "k", "chat/completions", "m", "openai", "gpt", 90, "a:b", "s", True, 2)
    assert doubt.row() == UsageRow(
        request_id="r",
        created_ns=7,
        project_id="p",
        key_id="k",
        endpoint="chat/completions",
        model="m",
        provider="openai",
        upstream_model="gpt",
        status="in_doubt",
        is_stream=True,
        is_estimated=True,
        cost_pusd=90,
        cost_basis="bound",
        attempts=2,
        tags="a:b",
        session="s",
    )
