"""What small words and signs say."""

import pytest

from cache.semantic.guards import find_vetoes
from cache.semantic.lexical.grammar import ALWAYS, SAME_CONTENT, find_small
from cache.semantic.profile import profile

OTHERS = {
    "kind": [
        ("When was Einstein born?", "Where was Einstein born?"),
        ("Why did Rome fall?", "When did Rome fall?"),
        ("Who invented the telephone?", "When was the telephone invented?"),
    ],
    "extent": [
        ("Do all birds fly?", "Do some birds fly?"),
        ("How do I delete a message?", "How do I delete all messages?"),
        ("Do I always need a PIN?", "Do I sometimes need a PIN?"),
        ("Is the whole cake gone?", "Is part of the cake gone?"),
        ("Did everyone pass?", "Did anyone pass?"),
    ],
    "tense": [
        ("Who is the CEO of Twitter?", "Who was the CEO of Twitter?"),
        ("Who is the prime minister of Italy?", "Who will be the prime minister of Italy?"),
        ("Is the train running?", "Was the train running?"),
        ("Did I renew my plan?", "Do I renew my plan?"),
    ],
    "duty": [
        ("Can I work from home?", "Must I work from home?"),
        ("Should I file taxes?", "Can I file taxes?"),
        ("Do I have to wear a tie? Must I?", "May I wear a tie?"),
    ],
    "direction": [
        ("Flights to London", "Flights from London"),
        ("How do I migrate to MySQL?", "How do I migrate from MySQL?"),
        ("How do I move files into the bucket?", "How do I move files out of the bucket?"),
    ],
    "roles": [
        ("Can my employer report me?", "Can I report my employer?"),
        ("Can the doctor charge me?", "Can I charge the doctor?"),
        ("Who was defeated by Napoleon?", "Who defeated Napoleon?"),
    ],
    "link": [("What does True and False give?", "What does True or False give?")],
    "forms": [
        ("Is nitrite harmful?", "Is nitrate harmful?"),
        ("What is ammonia?", "What is ammonium?"),
        ("What is methane?", "What is methanol?"),
        ("What causes hypothermia?", "What causes hyperthermia?"),
    ],
    "signs": [
        ("What does 😂 mean?", "What does 😭 mean?"),
        ("What does ≤ mean?", "What does ≥ mean?"),
        ("What is 2 + 2 * 3?", "What is (2 + 2) * 3?"),
        ("What does ++i do?", "What does i++ do?"),
        ("Explain: SELECT * FROM t WHERE age < 18", "Explain: SELECT * FROM t WHERE age > 18"),
        ("What does !x do in JS?", "What does !!x do in JS?"),
        ("Which country has the flag 🇫🇷?", "Which country has the flag 🇮🇹?"),
        ("Meeting at UTC+2? a = b", "Meeting at UTC-2? a = b"),
    ],
    "material": [
        ("Classify the sentiment: the food was good", "Classify the sentiment: the food was cold"),
        ("Fix the grammar: I has a car", "Fix the grammar: I has two car"),
        ("Uppercase this: hello", "Uppercase this: hallo"),
    ],
    "brief": [("Continue", "Stop"), ("A", "B"), ("Yes, both", "Yes, either")],
    "version": [("Is gpt-4o multimodal?", "Is gpt-4 multimodal?")],
}
SAME = [
    ("How do I reset my password?", "How can I reset my password?"),
    ("What are the benefits of yoga?", "What are all the benefits of yoga?"),
    ("What was the reason for it?", "What is the reason for it?"),
    ("Tell me how to reset my password", "How do I reset my password?"),
    ("Write me a haiku about snow", "Write a haiku about snow"),
    ("What is 12 plus 40?", "Calculate 12 + 40"),
    ("Remind me at 7am", "Set a reminder for seven in the morning"),
    ("Should I learn C++?", "Should I learn C++ now?"),
    ("Where can I download my invoice?", "How do I download my invoice?"),
    ("When will my order arrive?", "When does my order arrive?"),
    ("Translate to French: hello", "Translate into French: hello"),
    ("Thanks 😀 how do I log in?", "How do I log in?"),
    ("Who was the telephone invented by?", "Who invented the telephone?"),
]


@pytest.mark.parametrize(("name", "left", "right"), [(name, *pair) for name, pairs in OTHERS.items() for pair in pairs])
def test_what_asks_for_something_else_is_seen(name: str, left: str, right: str) -> None:
    """From either side, and a text never differs from itself."""
    assert name in find_vetoes(profile(left), profile(right))
    assert name in find_vetoes(profile(right), profile(left))
    assert not find_vetoes(profile(left), profile(left))


@pytest.mark.parametrize(("left", "right"), SAME)
def test_what_asks_for_the_same_passes(left: str, right: str) -> None:
    """The small words that paraphrases change."""
    assert find_small(profile(left), profile(right)) == find_small(profile(right), profile(left)) == ()


def test_every_guard_is_shown_at_work() -> None:
    """No guard without an example."""
    assert OTHERS.keys() == ALWAYS.keys() | SAME_CONTENT.keys()


@pytest.mark.parametrize(
    ("left", "right", "name"),
    [
        ("What happened in World War I?", "What happened in World War II?", "numbers"),
        ("Does the course start in March?", "Does the course start in May?", "dates"),
        ("What should I plant in may?", "What should I plant in march?", "dates"),
        ("What is a Type A personality?", "What is a Type B personality?", "names"),
        ("What is the eleventh amendment?", "What is the twelfth amendment?", "numbers"),
        ("How much is 2 hectares?", "How much is 2 acres?", "units"),
        ("Does it seldom rain in Lima?", "Does it often rain in Lima?", "antonyms"),
    ],
)
def test_numbers_months_and_letters_are_read(left: str, right: str, name: str) -> None:
    """Roman ones, months that are other words too, and the letter A."""
    assert name in find_vetoes(profile(left), profile(right))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Who won World War II?", "Who won World War 2?"),
        ("May I march in May?", "may I march in May?"),
        ("Should Bob and I go?", "Should I and Bob go?"),
    ],
)
def test_spellings_of_one_thing_are_one(left: str, right: str) -> None:
    """And the pronoun is no number."""
    assert not {"numbers", "dates", "quantities"} & set(find_vetoes(profile(left), profile(right)))
