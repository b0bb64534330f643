"""Questions that are asked again in other words: what a semantic cache is for."""

import random
from collections.abc import Iterator

SUBJECTS = (
    "the capital of France",
    "the boiling point of water",
    "the tallest mountain",
    "the speed of light",
    "the largest ocean",
    "the author of Hamlet",
    "the currency of Japan",
    "the longest river",
)
WORDINGS = (
    "What is {}?",
    "Tell me {}.",
    "Do you know {}?",
    "Please say what {} is.",
    "I would like to know {}.",
    "Name {}.",
)


def ask_again(count: int, seed: int = 5) -> Iterator[str]:
    """Yield questions, most of which mean what an earlier one meant."""
    chosen = random.Random(seed)  # noqa: S311 - the same traffic each time, no secret
    for number in range(count):
        subject = chosen.choice(SUBJECTS)
        polite = chosen.choice(("", " Thank you.", " Please.", f" ({number % 41})"))
        yield chosen.choice(WORDINGS).format(subject) + polite
