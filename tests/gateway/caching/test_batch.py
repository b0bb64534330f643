"""A batch of inputs: what is kept of each, what is sent, and what both make together."""

import json

from caches import AT_NS, make_answer
from fakes import make_call

from gateway.caching.answers import NS_PER_S, Answers, Purge
from gateway.caching.batch import Batch
from providers.chat import Answer, Usage
from providers.openai.batches import find_inputs, read_inputs
from providers.openai.recorded import record_body


def shelf(*, max_answer_bytes: int = 1 << 16) -> Answers:
    """Room for some answers."""
    return Answers(max_bytes=1 << 20, max_project_bytes=1 << 20, max_answer_bytes=max_answer_bytes)


def request(*texts: str) -> bytes:
    """A request for these texts."""
    return json.dumps({"model": "m", "input": list(texts)}).encode()


def batch_of(*texts: str, base: bytes = b"b" * 16) -> Batch:
    """Its inputs."""
    value = find_inputs(request(*texts))
    return Batch(base, value, read_inputs(value) or [])


def answer_to(*texts: str) -> bytes:
    """An answer whose vectors tell of their texts, with a token for each letter."""
    data = [{"object": "embedding", "index": place, "embedding": [len(t)]} for place, t in enumerate(texts)]
    tokens = len("".join(texts))
    return json.dumps({"data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}).encode()


def keep(answers: Answers, *texts: str, entry_id: str = "ce_1", created_ns: int = AT_NS, ttl_s: int = 0) -> None:
    """Have been asked for these texts, at a picodollar the token."""
    recorded, tokens = record_body("embeddings", answer_to(*texts)), len("".join(texts))
    made = make_answer(
        entry_id=entry_id,
        created_ns=created_ns,
        recorded=recorded,
        usage=Usage(input_tokens=tokens),
        model="m",
        ttl_s=ttl_s,
    )
    batch_of(*texts).keep(answers, made, ttl_s=60, cost_pusd=tokens)


def test_what_was_asked_together_is_found_apart() -> None:
    """In any order and number; the usage is that of what is given."""
    answers = shelf()
    keep(answers, "a", "bb", "ccc")
    batch = batch_of("ccc", "a")
    batch.look(answers, AT_NS, 60)
    assert (batch.is_whole, batch.is_partial, batch.saved_tokens) == (True, False, 4)
    given = batch.give()
    body = json.loads(given.recorded.body or b"")
    assert [(item["index"], item["embedding"]) for item in body["data"]] == [(0, [3]), (1, [1])]
    assert body["usage"]["total_tokens"] == given.usage.total_tokens == 4
    assert batch.lines == b"x-watchllm-cache-inputs: 2/2\r\n"


def test_only_what_is_missing_is_sent() -> None:
    """Its answer is put between what was kept, and kept as well."""
    answers = shelf()
    keep(answers, "a", "ccc")
    batch, body = batch_of("a", "bb", "ccc", "dddd"), request("a", "bb", "ccc", "dddd")
    batch.look(answers, AT_NS, 60)
    assert (batch.is_partial, batch.saved_tokens) == (True, 4)
    sent = batch.shorten(make_call(endpoint="embeddings", body=body))
    assert json.loads(sent.body) == {"model": "m", "input": ["bb", "dddd"]}
    made = batch.complete(Answer(body=answer_to("bb", "dddd"), usage=Usage(input_tokens=6)))
    assert made is not None
    whole = json.loads(made.body)
    assert [item["embedding"] for item in whole["data"]] == [[1], [2], [3], [4]]
    assert [item["index"] for item in whole["data"]] == [0, 1, 2, 3]
    assert whole["usage"] == {"prompt_tokens": 10, "total_tokens": 10}
    assert made.usage == Usage(input_tokens=6)
    later = make_answer(recorded=record_body("embeddings", made.body), usage=Usage(input_tokens=6))
    batch.keep(answers, later, ttl_s=60, cost_pusd=6)
    again = batch_of("dddd", "bb")
    again.look(answers, AT_NS, 60)
    assert (again.is_whole, again.saved_tokens) == (True, 6)
    assert len(answers) == 4


def test_an_answer_of_another_number_does_not_fit() -> None:
    """Then what is kept is forgotten, so that the whole can be asked for."""
    answers = shelf()
    keep(answers, "a")
    batch = batch_of("a", "bb", "ccc")
    batch.look(answers, AT_NS, 60)
    assert batch.complete(Answer(body=answer_to("bb"), usage=None)) is None
    batch.forget(answers)
    assert (len(answers), batch.count, batch.is_partial) == (0, 0, False)


def test_whatever_else_a_request_says_is_in_each_key() -> None:
    """Another base is another request."""
    answers = shelf()
    keep(answers, "a")
    other = batch_of("a", base=b"o" * 16)
    other.look(answers, AT_NS, 60)
    assert other.count == 0
    assert len({batch_of("a").key, batch_of("a", "a").key, other.key}) == 3


def test_one_that_is_given_has_the_name_of_its_oldest_part() -> None:
    """So its age is that of the oldest too; a purge by that name takes all that came with it."""
    answers = shelf()
    keep(answers, "bb", entry_id="ce_2", created_ns=AT_NS + 5)
    keep(answers, "a", "x", entry_id="ce_1")
    batch = batch_of("bb", "a")
    batch.look(answers, AT_NS + 6, 60)
    assert (batch.give().entry_id, batch.give().created_ns) == ("ce_1", AT_NS)
    assert answers.purge(Purge(project_id="p", entry_ids=frozenset(["ce_1"]))) == {"ce_1"}
    batch.look(answers, AT_NS + 6, 60)
    assert (batch.count, len(answers)) == (1, 1)


def test_what_is_older_than_is_wanted_now_is_sent() -> None:
    """However long it was to be kept; what its own call wanted kept stays."""
    answers = shelf()
    keep(answers, "a")
    keep(answers, "bb", ttl_s=60)
    batch = batch_of("a", "bb")
    batch.look(answers, AT_NS + 2 * NS_PER_S, 2)
    assert (batch.count, batch.sent_keys) == (1, [batch_of("a").sent_keys[0]])
    for max_age_s, count in ((2, 0), (3, 2)):
        batch.look(answers, AT_NS + 2 * NS_PER_S, 60, max_age_s)
        assert batch.count == count


def test_each_input_is_kept_within_the_bounds_by_itself() -> None:
    """A long vector is not kept, and an answer that is none leaves nothing."""
    answers = shelf(max_answer_bytes=10)
    keep(answers, "a")
    assert len(answers) == 0
    broken = make_answer(recorded=record_body("embeddings", answer_to("a", "b")))
    batch_of("a").keep(shelf(), broken, ttl_s=60, cost_pusd=1)
    assert len(answers) == 0
