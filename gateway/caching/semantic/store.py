"""The SQL of the semantic layer: its questions and answers, what scopes learnt, what processes saw, and decisions.

Everything has a revision, given in the transaction that wrote it, by which every process follows the others.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.caching.answers import Purge
from gateway.caching.semantic.interface import JudgedBy, Kept
from gateway.ledger.figures.tags import TAG_SEPARATOR

_COLUMNS = (
    "number", "entry_id", "project_id", "scope", "partition_key", "exact_key", "packed", "group_number", "right_count",
    "wrong_count", "model", "tags", "created_ns", "expires_ns", "revision",
)  # fmt: skip
_TAKE_REVISION = text("UPDATE revisions SET value = value + 1 WHERE name = 'semantic' RETURNING value")
_READ_REVISION = text("SELECT value FROM revisions WHERE name = 'semantic'")
_REPLACE = text("DELETE FROM cache_entries WHERE exact_key = :exact_key AND created_ns <= :created_ns")
_WRITE_ENTRY = text(
    f"INSERT INTO cache_entries ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)}) "  # noqa: S608 - made of constants
    "ON CONFLICT (exact_key) DO NOTHING"
)
_WRITE_ANSWER = text(
    "INSERT INTO cache_answers (number, answer) SELECT number, :answer FROM cache_entries WHERE number = :number"
)
_READ_ENTRIES = text(
    f"SELECT {', '.join(_COLUMNS)} FROM cache_entries WHERE revision > :since AND revision <= :until "  # noqa: S608 - made of constants
    "AND (revision, number) > (:after_revision, :after_number) AND expires_ns > :now_ns "
    "ORDER BY revision, number LIMIT :limit"
)
_READ_ALL = text(
    f"SELECT {', '.join(_COLUMNS)} FROM cache_entries WHERE number > :after_number AND revision <= :until "  # noqa: S608 - made of constants
    "AND expires_ns > :now_ns ORDER BY number LIMIT :limit"
)
_READ_ANSWER = text("SELECT answer FROM cache_answers WHERE number = :number")
_COUNT = text("UPDATE cache_entries SET right_count = :right_count, wrong_count = :wrong_count WHERE number = :number")
_FORGET = text("DELETE FROM cache_entries WHERE number IN :numbers").bindparams(bindparam("numbers", expanding=True))
_FORGET_OLD = text("DELETE FROM cache_entries WHERE expires_ns <= :now_ns")
_PURGING = (
    "DELETE FROM cache_entries WHERE project_id = :project_id "
    "AND (CAST(:model AS TEXT) IS NULL OR model = :model) "
    "AND (CAST(:tag AS TEXT) IS NULL OR REPLACE(tags, :tag, '') <> tags) AND created_ns < :before_ns "
)
_PURGE = text(f"{_PURGING} RETURNING entry_id")
_PURGE_NAMED = text(f"{_PURGING} AND entry_id IN :entry_ids RETURNING entry_id").bindparams(
    bindparam("entry_ids", expanding=True)
)
# What tells of questions: the words that a scope has seen are in its state.
_TELLING = ("cache_entries", "cache_decisions", "cache_scopes")
_DELETED = "SELECT project_id FROM projects WHERE deleted_ns IS NOT NULL"
_FORGET_PROJECT = [
    *[text(f"DELETE FROM {table} WHERE project_id = :project_id") for table in _TELLING],  # noqa: S608 - constants
    text("DELETE FROM cache_observations WHERE scope = :project_id OR scope = :project_id || '/test'"),
]
_FORGET_DELETED = [
    *[text(f"DELETE FROM {table} WHERE project_id IN ({_DELETED})") for table in _TELLING],  # noqa: S608 - constants
    # What was seen is read by its revision alone, so of much of it only what was just written is looked at.
    text(
        f"DELETE FROM cache_observations WHERE revision >= :since AND (scope IN ({_DELETED}) "  # noqa: S608 - constants
        f"OR scope IN (SELECT project_id || '/test' FROM ({_DELETED}) AS deleted))"
    ),
]
_SAVE_STATE = text(
    "INSERT INTO cache_scopes (scope, project_id, state, revision, saved_ns) "
    "VALUES (:scope, :project_id, :state, :revision, :saved_ns) ON CONFLICT (scope) DO UPDATE SET "
    "state = excluded.state, revision = excluded.revision, saved_ns = excluded.saved_ns"
)
_READ_STATES = text("SELECT scope, state, revision FROM cache_scopes")
_WRITE_SEEN = text(
    "INSERT INTO cache_observations (revision, process_id, scope, seen, made_ns) "
    "VALUES (:revision, :process_id, :scope, :seen, :made_ns)"
)
_READ_SEEN = text(
    "SELECT revision, process_id, scope, seen FROM cache_observations WHERE revision > :since ORDER BY revision"
)
_FORGET_SEEN = text("DELETE FROM cache_observations WHERE made_ns < :until_ns")
_WRITE_DECISION = text(
    "INSERT INTO cache_decisions (request_id, project_id, decision, entry_id, similarity, score, threshold, guards, "
    "neighbours, question, is_right, created_ns, judged_by) VALUES (:request_id, :project_id, :decision, :entry_id, "
    ":similarity, :score, :threshold, :guards, :neighbours, :question, :is_right, :created_ns, :judged_by) "
    "ON CONFLICT (request_id) DO UPDATE SET is_right = COALESCE(excluded.is_right, cache_decisions.is_right), "
    "judged_by = CASE WHEN excluded.is_right IS NULL THEN cache_decisions.judged_by ELSE excluded.judged_by END"
)
_LABEL = text(
    "UPDATE cache_decisions SET is_right = :is_right, judged_by = :judged_by, "
    "decision = CASE WHEN :is_checked THEN 'audit' ELSE decision END WHERE request_id = :request_id"
)
_DECISION = "SELECT * FROM cache_decisions WHERE project_id = :project_id"
_READ_DECISIONS = text(f"{_DECISION} AND request_id < :before_id ORDER BY request_id DESC LIMIT :limit")
_READ_DECISION = text(f"{_DECISION} AND request_id = :request_id")
_FORGET_DECISIONS = text("DELETE FROM cache_decisions WHERE created_ns < :until_ns")
_OWN = (
    "SELECT e.number, e.entry_id, e.packed, e.right_count, e.wrong_count, e.model, e.tags, e.created_ns, "
    "e.expires_ns, a.answer FROM cache_entries e JOIN cache_answers a ON a.number = e.number "
    "WHERE e.project_id = :project_id"
)
_READ_OWN = text(f"{_OWN} AND e.number > :after ORDER BY e.number LIMIT :limit")
_READ_NAMED = text(f"{_OWN} AND e.entry_id IN :entry_ids").bindparams(bindparam("entry_ids", expanding=True))
_READ_SPENT = text(
    "SELECT COALESCE(SUM(cost_pusd), 0) FROM usage WHERE project_id = :project_id AND cache_layer = 'audit' "
    "AND created_ns >= :since_ns"
)
_READ_ROLES = text(
    "SELECT cache_layer, COUNT(*) AS calls, SUM(saved_pusd) AS saved_pusd, SUM(cost_pusd) AS cost_pusd FROM usage "
    "WHERE project_id = :project_id AND cache_layer <> '' AND created_ns >= :since_ns GROUP BY cache_layer"
)
_READ_ACCOUNT = text("SELECT account_id FROM projects WHERE project_id = :project_id")
# A call's id sorts by its time; above every one.
NEWEST = "~"
# Questions read at once.
PAGE_ROWS = 5_000


class EntryRow(msgspec.Struct, frozen=True):
    """A stored question as it stands in its table, by position: a start reads a hundred thousand."""

    number: int
    entry_id: str
    project_id: str
    scope: str
    partition_key: bytes
    exact_key: bytes
    packed: bytes
    group_number: int
    right_count: int
    wrong_count: int
    model: str
    # With a comma before and behind each.
    tags: str
    created_ns: int
    expires_ns: int
    revision: int

    @property
    def kept(self) -> Kept:
        """Without its text and its place."""
        return Kept(
            number=self.number, entry_id=self.entry_id, project_id=self.project_id, scope=self.scope,
            key=self.exact_key, model=self.model,
            tags=tuple(filter(None, self.tags.split(","))) if self.tags else (),
            created_ns=self.created_ns, expires_ns=self.expires_ns,
        )  # fmt: skip


class NewEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A question to be stored, with its answer."""

    kept: Kept
    partition: bytes
    packed: bytes
    group: int
    answer: bytes


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided for one call."""

    request_id: str
    project_id: str
    decision: str
    entry_id: str
    similarity: float
    score: float
    threshold: float
    # Names with commas between them.
    guards: str
    neighbours: str
    # Empty where the project keeps no prompts.
    question: str
    is_right: bool | None
    created_ns: int
    judged_by: JudgedBy = ""


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """Whether what answered a call was right, which step says so, and whether after a call of the gateway's own."""

    is_right: bool
    is_checked: bool = False
    judged_by: JudgedBy = "embedding"


class SeenRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a process saw of a scope."""

    revision: int
    process_id: str
    scope: str
    seen: bytes


async def read_revision(connection: AsyncConnection) -> int:
    """The latest revision."""
    value: int = (await connection.execute(_READ_REVISION)).scalar_one()
    return value


async def take_revision(connection: AsyncConnection) -> int:
    """The revision of what this transaction writes; others who take one wait for its end."""
    value: int = (await connection.execute(_TAKE_REVISION)).scalar_one()
    return value


async def write_entries(connection: AsyncConnection, entries: Sequence[NewEntry], revision: int) -> None:
    """Store questions with their answers, each in place of any of its request's key that is not newer."""
    if not entries:
        return
    rows = [
        {
            "number": entry.kept.number, "entry_id": entry.kept.entry_id, "project_id": entry.kept.project_id,
            "scope": entry.kept.scope, "partition_key": entry.partition, "exact_key": entry.kept.key,
            "packed": entry.packed, "group_number": entry.group, "right_count": 0, "wrong_count": 0,
            "model": entry.kept.model, "tags": f",{','.join(entry.kept.tags)}," if entry.kept.tags else "",
            "created_ns": entry.kept.created_ns, "expires_ns": entry.kept.expires_ns, "revision": revision,
        }
        for entry in entries
    ]  # fmt: skip
    await connection.execute(_REPLACE, [{name: row[name] for name in ("exact_key", "created_ns")} for row in rows])
    await connection.execute(_WRITE_ENTRY, rows)
    await connection.execute(_WRITE_ANSWER, [{"number": each.kept.number, "answer": each.answer} for each in entries])


async def read_entries(
    connection: AsyncConnection, since: int, until: int, after: tuple[int, int], now_ns: int
) -> list[EntryRow]:
    """Read questions of revisions above ``since`` up to ``until``, in order, the first page after one."""
    values = {
        "since": since, "until": until, "after_revision": after[0], "after_number": after[1], "now_ns": now_ns,
        "limit": PAGE_ROWS,
    }  # fmt: skip
    return [EntryRow(*row) for row in (await connection.execute(_READ_ENTRIES, values)).all()]


async def read_all(connection: AsyncConnection, until: int, after: int, now_ns: int) -> list[EntryRow]:
    """Read questions of revisions up to ``until`` as they lie in their table, the first page after a number."""
    values = {"until": until, "after_number": after, "now_ns": now_ns, "limit": PAGE_ROWS}
    return [EntryRow(*row) for row in (await connection.execute(_READ_ALL, values)).all()]


async def read_answer(connection: AsyncConnection, number: int) -> bytes | None:
    """The answer of a question; None where it is gone."""
    found: bytes | None = (await connection.execute(_READ_ANSWER, {"number": number})).scalar_one_or_none()
    return found


async def count_labels(connection: AsyncConnection, counts: Sequence[tuple[int, int, int]]) -> None:
    """Write how often questions were right and wrong: (number, right, wrong)."""
    if counts:
        names = ("number", "right_count", "wrong_count")
        await connection.execute(_COUNT, [dict(zip(names, count, strict=True)) for count in counts])


async def forget(connection: AsyncConnection, numbers: Sequence[int]) -> None:
    """Delete questions."""
    if numbers:
        await connection.execute(_FORGET, {"numbers": list(numbers)})


async def purge(connection: AsyncConnection, wanted: Purge, now_ns: int) -> set[str]:
    """Delete what a purge covers, and return the ids of its entries; a term that is empty is met by nothing."""
    if wanted.tag is not None and TAG_SEPARATOR in wanted.tag:
        # No tag has one; beside each other two of them would look like it.
        return set()
    before_ns = now_ns if wanted.before_ns is None else min(wanted.before_ns, now_ns)
    tag = None if wanted.tag is None else f",{wanted.tag},"
    values: dict[str, Any] = {
        "project_id": wanted.project_id, "model": wanted.model, "tag": tag, "before_ns": before_ns,
    }  # fmt: skip
    if wanted.entry_ids is None:
        return set((await connection.execute(_PURGE, values)).scalars())
    values["entry_ids"] = sorted(wanted.entry_ids)
    return set((await connection.execute(_PURGE_NAMED, values)).scalars())


async def forget_project(connection: AsyncConnection, project_id: str) -> None:
    """Delete what tells of a project's questions; who is about to write more of it writes after this, or before."""
    await take_revision(connection)
    for statement in _FORGET_PROJECT:
        await connection.execute(statement, {"project_id": project_id})


async def forget_deleted(connection: AsyncConnection, since: int) -> None:
    """Delete what was written from a revision on of projects that had been deleted meanwhile."""
    *telling, seen = _FORGET_DELETED
    for statement in telling:
        await connection.execute(statement)
    await connection.execute(seen, {"since": since})


async def save_state(connection: AsyncConnection, scope: str, state: bytes, revision: int, now_ns: int) -> None:
    """Keep what a scope has learnt up to a revision."""
    values = {"scope": scope, "project_id": scope.partition("/")[0], "state": state}
    await connection.execute(_SAVE_STATE, {**values, "revision": revision, "saved_ns": now_ns})


async def read_states(connection: AsyncConnection) -> list[tuple[str, bytes, int]]:
    """Of each scope what it has learnt, and up to which revision."""
    return [(row.scope, row.state, row.revision) for row in (await connection.execute(_READ_STATES)).all()]


async def write_seen(
    connection: AsyncConnection, revision: int, process_id: str, seen: dict[str, bytes], now_ns: int
) -> None:
    """Tell the other processes what this one saw, by scope."""
    if seen:
        given = {"revision": revision, "process_id": process_id, "made_ns": now_ns}
        await connection.execute(_WRITE_SEEN, [{**given, "scope": scope, "seen": data} for scope, data in seen.items()])


async def read_seen(connection: AsyncConnection, since: int) -> list[SeenRow]:
    """What all processes saw after a revision, in order."""
    rows = (await connection.execute(_READ_SEEN, {"since": since})).mappings().all()
    return [SeenRow(**dict(row)) for row in rows]


async def write_decisions(connection: AsyncConnection, decisions: Sequence[Decision]) -> None:
    """Note what was decided; of one call that is noted again only the label is taken."""
    if decisions:
        await connection.execute(_WRITE_DECISION, [msgspec.structs.asdict(each) for each in decisions])


async def write_labels(connection: AsyncConnection, labels: dict[str, Label]) -> None:
    """Note of calls whether what answered them was right; one that was checked was given as an audit."""
    if labels:
        rows = [{"request_id": name, **msgspec.structs.asdict(label)} for name, label in labels.items()]
        await connection.execute(_LABEL, rows)


async def read_decisions(
    connection: AsyncConnection, project_id: str, before_id: str = NEWEST, limit: int = 100
) -> list[Decision]:
    """A project's decisions, newest first."""
    values = {"project_id": project_id, "before_id": before_id, "limit": limit}
    rows = (await connection.execute(_READ_DECISIONS, values)).mappings().all()
    return [msgspec.convert(dict(row), Decision, strict=False) for row in rows]


async def read_decision(connection: AsyncConnection, project_id: str, request_id: str) -> Decision | None:
    """What was decided for one call of the project."""
    values = {"project_id": project_id, "request_id": request_id}
    row = (await connection.execute(_READ_DECISION, values)).mappings().one_or_none()
    return None if row is None else msgspec.convert(dict(row), Decision, strict=False)


async def clean(connection: AsyncConnection, now_ns: int, *, seen_ns: int, decisions_ns: int) -> None:
    """Delete what is too old: questions that nobody may get, and the others after their times."""
    await forget_deleted(connection, 0)
    await connection.execute(_FORGET_OLD, {"now_ns": now_ns})
    await connection.execute(_FORGET_SEEN, {"until_ns": now_ns - seen_ns})
    await connection.execute(_FORGET_DECISIONS, {"until_ns": now_ns - decisions_ns})


async def read_spent(connection: AsyncConnection, project_id: str, since_ns: int) -> int:
    """What audits cost a project since a time, picodollars."""
    return int((await connection.execute(_READ_SPENT, {"project_id": project_id, "since_ns": since_ns})).scalar_one())


async def read_roles(connection: AsyncConnection, project_id: str, since_ns: int) -> dict[str, tuple[int, int, int]]:
    """Of what each layer answered since a time: calls, what they saved and what they cost, picodollars."""
    rows = (await connection.execute(_READ_ROLES, {"project_id": project_id, "since_ns": since_ns})).all()
    return {row.cache_layer: (row.calls, int(row.saved_pusd), int(row.cost_pusd)) for row in rows}


class OwnRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored question with its answer, to be exported."""

    number: int
    entry_id: str
    packed: bytes
    right_count: int
    wrong_count: int
    model: str
    tags: str
    created_ns: int
    expires_ns: int
    answer: bytes


async def read_own(connection: AsyncConnection, project_id: str, after: int, limit: int) -> list[OwnRow]:
    """A project's questions with their answers by their numbers, those above ``after``."""
    values = {"project_id": project_id, "after": after, "limit": limit}
    return [OwnRow(**dict(row)) for row in (await connection.execute(_READ_OWN, values)).mappings().all()]


async def read_account(connection: AsyncConnection, project_id: str) -> str | None:
    """Whose project it is; None: the operator's."""
    found: str | None = (await connection.execute(_READ_ACCOUNT, {"project_id": project_id})).scalar_one_or_none()
    return found


async def read_named(connection: AsyncConnection, project_id: str, entry_ids: Sequence[str]) -> dict[str, OwnRow]:
    """Those of a project's questions that have these ids, with their answers."""
    values = {"project_id": project_id, "entry_ids": list(entry_ids)}
    rows = (await connection.execute(_READ_NAMED, values)).mappings().all()
    return {row["entry_id"]: OwnRow(**dict(row)) for row in rows}
