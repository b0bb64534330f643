"""What a project's semantic cache did, over HTTP: the hits one by one, and everything as JSONL.

Failure behavior: what is somebody else's is not found. While the database is away the answer is 503.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from gateway.analytics.moments import moment_text
from gateway.caching.semantic import store
from gateway.caching.semantic.packing import Damaged, read_answer, read_text, unpack_answer
from gateway.caching.semantic.store import Decision, OwnRow
from gateway.db import Database
from gateway.errors import Fault, shown
from gateway.ids import parse_id
from gateway.pipeline.services import Services
from gateway.surfaces.access import Caller, caller_of, may_in_project, may_read_prompts
from gateway.surfaces.api.cache import PATH, SCOPE, TAG, AnyRequest
from gateway.surfaces.api.projects import project_of
from gateway.surfaces.parameters import Parameter, asked_in_full, count_of, takes

MAX_HITS, DEFAULT_HITS, EXPORTED_AT_ONCE = 1_000, 100, 500
Judged = Literal["exact", "embedding", "llm", "recall"]
Decided = Literal["serve", "audit", "holdout", "shadow"]


class HitView(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided for one call."""

    request_id: str
    created_at: str
    # serve: given. audit: given, and found right or wrong by a call of the gateway's own. holdout: held back to learn.
    # shadow: would have been given.
    decision: Decided
    entry: str
    similarity: float
    score: float
    threshold: float
    # The guards that forbade the nearest question, which is then not the entry.
    guards: list[str]
    neighbours: list[str]
    # Whether the entry's answer was right; null: not known.
    right: bool | None
    # What says so: the same text, vectors and words, the project's judge, or whoever recalled it; null: not known.
    judged_by: Judged | None
    # What was asked; null unless the project's `prompts` is on and was on then, and for who may not read prompts.
    question: str | None


class HitsView(msgspec.Struct, frozen=True, kw_only=True):
    """The newest decisions and what says whether each was right; `next` is the next page's `before`, null: the end."""

    hits: list[HitView]
    next: str | None


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """A stored question; texts are null unless the project's `prompts` is on, and for who may not read prompts."""

    entry: str
    model: str
    tags: list[str]
    created_at: str
    expires_at: str
    # How often its answer was found right and wrong for others' questions.
    right: int
    wrong: int
    question: str | None
    answer: str | None


class HitDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One decision with the entry and its neighbours, those that are still stored."""

    hit: HitView
    entry: EntryView | None
    neighbours: list[EntryView]


@get(
    f"{PATH}/hits",
    summary="List what the semantic cache decided",
    tags=[TAG],
    opt=takes(
        Parameter(name="limit", meaning="The most calls", most=MAX_HITS, default=DEFAULT_HITS),
        Parameter(name="before", meaning="The id of the call that the page before ended with"),
    ),
    guards=[may_in_project("usage:read", scope=SCOPE, is_managing=True)],
)
async def list_hits(
    request: AnyRequest,
    project_id: FromPath[str],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> HitsView:
    """The calls that got a stored answer, or would have, newest first."""
    caller, given = caller_of(request), asked_in_full(request)
    own = project_of(caller)
    limit, before = count_of(request, "limit"), _read_before(given.get("before"))
    await _settle(services)
    async with database.read() as connection:
        found = await store.read_decisions(connection, own, before, limit)
    prompts = _shows_texts(caller, services)
    following = found[-1].request_id if len(found) == limit else None
    return HitsView(hits=[_hit(each, prompts=prompts) for each in found], next=following)


@get(
    f"{PATH}/hits/{{request_id:str}}",
    summary="Inspect one decision of the semantic cache",
    tags=[TAG],
    guards=[may_in_project("usage:read", scope=SCOPE, is_managing=True)],
)
async def show_hit(
    request: AnyRequest,
    project_id: FromPath[str],
    request_id: FromPath[str],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> HitDetail:
    """The id is the reply's `x-watchllm-request-id`."""
    caller = caller_of(request)
    own = project_of(caller)
    await _settle(services)
    async with database.read() as connection:
        found = await store.read_decision(connection, own, request_id)
        if found is None:
            message = f"The semantic cache decided nothing for a request {shown(request_id)} of this project."
            raise Fault("not_found", message, param="request_id")
        names = [found.entry_id, *filter(None, found.neighbours.split(","))]
        entries = await store.read_named(connection, own, names)
    prompts = _shows_texts(caller, services)
    shown_entries = {name: _entry(row, prompts=prompts) for name, row in entries.items()}
    return HitDetail(
        hit=_hit(found, prompts=prompts),
        entry=shown_entries.get(found.entry_id),
        neighbours=[shown_entries[name] for name in names[1:] if name in shown_entries and name != found.entry_id],
    )


@get(
    f"{PATH}/export",
    summary="Export the semantic cache's entries and labels",
    tags=[TAG],
    opt=takes(),
    media_type="application/x-ndjson",
    guards=[may_in_project("usage:read", scope=SCOPE, is_managing=True)],
)
async def export_cache(
    request: AnyRequest,
    project_id: FromPath[str],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> Stream:
    """JSON Lines: `{"type": "entry", …}` of each stored question, then `{"type": "decision", …}` of each decision."""
    asked_in_full(request)
    caller = caller_of(request)
    await _settle(services)
    lines = _export(database, project_of(caller), prompts=_shows_texts(caller, services))
    # Read before anything is said: a database that is away is told as such.
    first = await anext(lines)
    return Stream(
        _go_on(first, lines),
        media_type="application/x-ndjson",
        headers={"content-disposition": 'attachment; filename="cache.jsonl"', "cache-control": "no-store"},
    )


async def _go_on(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for lines in rest:
        yield lines


async def _export(database: Database, project_id: str, *, prompts: bool) -> AsyncIterator[bytes]:
    after = -1
    while True:
        async with database.read() as connection:
            rows = await store.read_own(connection, project_id, after, EXPORTED_AT_ONCE)
        yield b"".join(_line("entry", _entry(row, prompts=prompts)) for row in rows)
        if len(rows) < EXPORTED_AT_ONCE:
            break
        after = rows[-1].number
    before = store.NEWEST
    while True:
        async with database.read() as connection:
            found = await store.read_decisions(connection, project_id, before, EXPORTED_AT_ONCE)
        yield b"".join(_line("decision", _hit(each, prompts=prompts)) for each in found)
        if len(found) < EXPORTED_AT_ONCE:
            break
        before = found[-1].request_id


def _line(kind: str, value: EntryView | HitView) -> bytes:
    return msgspec.json.encode({"type": kind, **msgspec.structs.asdict(value)}) + b"\n"


def _shows_texts(caller: Caller, services: Services) -> bool:
    """What was asked is shown where the project wants it, and to whom a call's content is shown."""
    return services.caching.policy_of(project_of(caller)).prompts and may_read_prompts(caller)


async def _settle(services: Services) -> None:
    """Let what was just decided reach the database."""
    if (layer := services.caching.semantics.layer) is not None:
        await layer.write()


def _read_before(text: str | None) -> str:
    if text is None:
        return store.NEWEST
    try:
        return parse_id(text)
    except ValueError as invalid:
        raise Fault("invalid_request", f"'before': {invalid}.", param="before") from invalid


def _hit(found: Decision, *, prompts: bool) -> HitView:
    return HitView(
        request_id=found.request_id,
        created_at=moment_text(found.created_ns),
        decision=msgspec.convert(found.decision, Decided),
        entry=found.entry_id,
        similarity=found.similarity,
        score=found.score,
        threshold=found.threshold,
        guards=list(filter(None, found.guards.split(","))),
        neighbours=list(filter(None, found.neighbours.split(","))),
        right=found.is_right,
        judged_by=found.judged_by or None,
        question=(found.question or None) if prompts else None,
    )


def _entry(row: OwnRow, *, prompts: bool) -> EntryView:
    question = answer = None
    if prompts:
        with suppress(Damaged):
            question, answer = read_text(row.packed), read_answer(unpack_answer(row.answer))
    return EntryView(
        entry=row.entry_id,
        model=row.model,
        tags=list(filter(None, row.tags.split(","))),
        created_at=moment_text(row.created_ns),
        expires_at=moment_text(row.expires_ns),
        right=row.right_count,
        wrong=row.wrong_count,
        question=question,
        answer=answer,
    )


SEMANTIC_ROUTES = [list_hits, show_hit, export_cache]
