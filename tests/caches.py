"""A cache without a database behind it, and answers to be kept in it."""

from typing import Any, cast

from gateway.caching.answers import Answers, StoredAnswer
from gateway.caching.auditing.audits import Audits
from gateway.caching.auditing.judge import Judge
from gateway.caching.caching import Caching
from gateway.caching.directory import CacheDirectory
from gateway.caching.semantic.handle import Semantics
from gateway.caching.semantic.interface import Layer
from gateway.config.settings import Cache
from gateway.db import Database
from providers.chat import Usage
from providers.openai.recorded import record_body

AT_NS = 1_790_000_000_000_000_000


def make_caching(*, max_bytes: int = 1 << 24, **settings: Any) -> Caching:
    """A cache that keeps nothing unless told so."""
    answers = Answers(max_bytes=max_bytes, max_project_bytes=max_bytes, max_answer_bytes=1 << 20)
    given = Cache(**{"mode": "off", **settings})
    return gather_caching(cast("Database", None), answers, given)


def make_semantics() -> Semantics:
    """A semantic layer that nobody may want."""

    async def make() -> Layer:
        raise AssertionError("nobody wants it")

    return Semantics(make)


def gather_caching(database: Database, answers: Answers, settings: Cache) -> Caching:
    """A cache whose semantic layer nobody has opened."""
    semantics = make_semantics()
    directory = CacheDirectory(database, settings, answers, semantics)
    return Caching(answers, directory, semantics, Judge(Audits(database, 0, lambda: AT_NS)))


def make_answer(*, body: bytes = b'{"id":"x","created":1,"choices":[]}', **fields: Any) -> StoredAnswer:
    """An answer of the project p; fields given win."""
    usual: dict[str, Any] = {
        "entry_id": "ce_1",
        "project_id": "p",
        "model": "gpt-4",
        "provider": "openai",
        "upstream_model": "gpt-4-0613",
        "lines": b"x-watchllm-provider: openai\r\n",
        "is_free": False,
        "tags": (),
        "created_ns": AT_NS,
        "usage": Usage(input_tokens=15, output_tokens=10),
        "recorded": record_body("chat/completions", body),
    }
    return StoredAnswer(**{**usual, **fields})
