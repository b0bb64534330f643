"""What the layer knows and the store does not yet: written some times a second, in one transaction.

Failure behavior: while the database is away what waits is kept within bounds and written later; beyond them the oldest
questions are given up, and forgotten by the index too.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cache.semantic.values import Observed
from gateway.caching.semantic import store
from gateway.caching.semantic.store import Decision, Label, NewEntry
from gateway.events import CACHE_FALLBACK, CACHE_SERVING, Event, append_event

# Questions with their answers that wait for the store, and everything else that does.
MAX_ENTRIES = 2_000
MAX_OTHERS = 50_000
_encode = msgspec.msgpack.Encoder().encode


class Noted(Observed, frozen=True, array_like=True):
    """What a process saw of a request, some time after it counted it."""

    # The request's number in that process; -1: it tells of none.
    number: int = -1


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A scope began to serve, or stopped because its bound could not be proven any more."""

    scope: str
    is_serving: bool
    threshold: float


class Pending:
    """What waits to be written; one a process."""

    def __init__(self, process_id: str) -> None:
        self.process_id = process_id
        self.entries: dict[int, NewEntry] = {}
        self.gone: set[int] = set()
        self.counts: dict[int, tuple[int, int]] = {}
        self.seen: dict[str, list[Noted]] = {}
        self.unmatched: dict[str, int] = {}
        self.decisions: dict[str, Decision] = {}
        self.labels: dict[str, Label] = {}
        self.turns: list[Turn] = []

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return any((self.entries, self.gone, self.counts, self.seen, self.unmatched, self.decisions, self.labels,
                    self.turns))  # fmt: skip

    def observe(self, scope: str, observed: Noted) -> None:
        """Have the other processes told."""
        waiting = self.seen.setdefault(scope, [])
        if len(waiting) < MAX_OTHERS:
            waiting.append(observed)

    def label(self, request_id: str, label: Label) -> None:
        """Note whether what answered a call was right."""
        decision, before = self.decisions.get(request_id), self.labels.get(request_id)
        if decision is not None:
            decided = "audit" if label.is_checked else decision.decision
            self.decisions[request_id] = msgspec.structs.replace(
                decision, decision=decided, is_right=label.is_right, judged_by=label.judged_by
            )
        elif before is not None or len(self.labels) < MAX_OTHERS:
            is_checked = label.is_checked or (before is not None and before.is_checked)
            self.labels[request_id] = msgspec.structs.replace(label, is_checked=is_checked)

    def forget_project(self, project_id: str, scopes: Sequence[str]) -> None:
        """Write nothing of a project; its questions are dropped apart."""
        for scope in scopes:
            self.seen.pop(scope, None)
            self.unmatched.pop(scope, None)
        self.turns = [turn for turn in self.turns if turn.scope not in scopes]
        self.decisions = {name: each for name, each in self.decisions.items() if each.project_id != project_id}

    def drop(self, numbers: Sequence[int]) -> None:
        """Have questions deleted, or not written at all."""
        for number in numbers:
            self.counts.pop(number, None)
            if self.entries.pop(number, None) is None:
                self.gone.add(number)

    def overflow(self) -> list[int]:
        """Give up what is too much; returns the numbers of the questions among it."""
        surplus = list(self.entries)[: max(0, len(self.entries) - MAX_ENTRIES)]
        for number in surplus:
            del self.entries[number]
        for names in (self.decisions, self.counts):
            for name in list(names)[: max(0, len(names) - MAX_OTHERS)]:
                del names[name]  # type: ignore[arg-type]
        return surplus

    def take(self) -> "Pending":
        """What waits now, to be written; this one begins anew."""
        taken = Pending(self.process_id)
        for name in vars(self):
            if name != "process_id":
                setattr(taken, name, getattr(self, name))
        self.__init__(self.process_id)  # type: ignore[misc]
        return taken

    def put_back(self, taken: "Pending") -> None:
        """Keep what could not be written, before what came since."""
        self.entries = {
            number: entry for number, entry in taken.entries.items() if number not in self.gone
        } | self.entries
        self.gone |= taken.gone
        self.counts = taken.counts | self.counts
        self.decisions = taken.decisions | self.decisions
        self.labels = taken.labels | self.labels
        self.turns = (taken.turns + self.turns)[-MAX_ENTRIES:]
        for scope, seen in taken.seen.items():
            self.seen[scope] = (seen + self.seen.get(scope, []))[-MAX_OTHERS:]
        for scope, count in taken.unmatched.items():
            self.unmatched[scope] = self.unmatched.get(scope, 0) + count

    async def write(self, connection: AsyncConnection, now_ns: int) -> int:
        """Write everything in the caller's transaction; returns the revision of it."""
        revision = await store.take_revision(connection)
        await store.forget(connection, sorted(self.gone))
        await store.write_entries(connection, list(self.entries.values()), revision)
        await store.count_labels(connection, [(number, *count) for number, count in self.counts.items()])
        seen = {scope: [*items] for scope, items in self.seen.items()}
        for scope, count in self.unmatched.items():
            seen.setdefault(scope, []).append(Noted(unmatched=count))
        written = {scope: _encode(items) for scope, items in seen.items()}
        await store.write_seen(connection, revision, self.process_id, written, now_ns)
        await store.write_decisions(connection, list(self.decisions.values()))
        await store.write_labels(connection, self.labels)
        if self.entries or self.decisions or written:
            await store.forget_deleted(connection, revision)
        for turn in self.turns:
            await self._write_turn(connection, turn, now_ns)
        return revision

    async def _write_turn(self, connection: AsyncConnection, turn: Turn, now_ns: int) -> None:
        project_id = turn.scope.partition("/")[0]
        fact = Event(
            name=CACHE_SERVING if turn.is_serving else CACHE_FALLBACK,
            account_id=await store.read_account(connection, project_id),
            payload={"project_id": project_id, "scope": turn.scope, "threshold": turn.threshold},
            created_ns=now_ns,
        )
        await append_event(connection, fact)
