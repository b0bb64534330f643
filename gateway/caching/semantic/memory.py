"""What a process knows of like questions: the engine with its index, the shelf, and what is to be written of both.

One thread. Failure behavior: nothing here waits or reads; what does not fit together is forgotten.
"""

import secrets
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from cache.recent import Recent
from cache.semantic.bound import Bounds
from cache.semantic.bound import Point as EnginePoint
from cache.semantic.engine import Embed, Engine
from cache.semantic.equivalence import Digest
from cache.semantic.index import Vector
from cache.semantic.values import Question, Stored, Verdict
from gateway.caching.answers import Purge
from gateway.caching.policy import Allowed
from gateway.caching.semantic.interface import Check, Fresh, JudgedBy, Kept, Look, Mode, Point, Seen
from gateway.caching.semantic.packing import Damaged, pack_answer
from gateway.caching.semantic.pending import Noted, Pending, Turn
from gateway.caching.semantic.question import Asked
from gateway.caching.semantic.shelf import Shelf
from gateway.caching.semantic.store import Decision, EntryRow, Label, NewEntry
from gateway.caching.semantic.vectors import pack, stack, unpack

# Served calls of which the verdict is remembered, 2 kB each: what a recall teaches.
RECENT_SERVED = 2_048
_NUMBER_BITS = 62
_ROUNDING = 1e-6
_ENCODE = msgspec.msgpack.Encoder().encode


class _Worth(msgspec.Struct, frozen=True, array_like=True):
    """What a call with a candidate cost or saved."""

    number: int
    score: float
    pusd: int


class Learnt(msgspec.Struct, frozen=True, array_like=True):
    """What a scope has learnt, as it is saved."""

    engine: bytes
    worth: list[_Worth]
    # Of what this process saw, the state has all that was written up to this revision.
    process_id: str = ""
    written: int = 0


_STATE = msgspec.msgpack.Decoder(Learnt)
_SEEN = msgspec.msgpack.Decoder(list[Noted])


class Memory:
    """See the module's first lines."""

    def __init__(self, embed: Embed, most: int, now_ns: Callable[[], int]) -> None:
        self.engine = Engine(embed, seed=secrets.randbits(32))
        self.shelf = Shelf(most)
        self.pending = Pending(secrets.token_hex(8))
        self.fallbacks = 0
        # Scopes that learnt something since they were saved.
        self.changed: set[str] = set()
        self._now_ns = now_ns
        self._is_serving: dict[str, bool] = {}
        self._served: Recent[str, Check] = Recent(RECENT_SERVED)
        self._worth: dict[str, deque[_Worth]] = {}

    def look(self, question: Question, allowed: Allowed, mode: Mode, *, is_owners: bool) -> Look:
        """Find the answer to a question; ``is_owners``: the bound is the owner's own, so that what it does is told."""
        verdict = self.engine.look(question, _bounds(allowed), mode)
        scope = question.scope
        self.changed.add(scope)
        if verdict.entry_id is None:
            self.pending.unmatched[scope] = self.pending.unmatched.get(scope, 0) + 1
        if mode == "semantic" and is_owners and verdict.entry_id is not None:
            self._watch(scope, verdict)
        return self._tell(verdict)

    def count(self, scope: str) -> None:
        """Count a request that another layer answered."""
        self.engine.count(scope)
        self.pending.unmatched[scope] = self.pending.unmatched.get(scope, 0) + 1

    def note(self, check: Check, project_id: str, saved_pusd: int, *, prompts: bool) -> None:
        """Remember that a call was answered with an entry; that it was checked is known when it is learnt from."""
        verdict: Verdict = check.look.verdict
        self._served.put(check.request_id, check)
        self._weigh(check.asked.scope, verdict, saved_pusd)
        self._decide(check, "serve", project_id, prompts=prompts)
        if verdict.decision != "audit":
            self._observe_unchecked(check)

    def decline(self, check: Check) -> None:
        """An answer that was given and noted is not checked after all."""
        self._observe_unchecked(check)

    def withdraw(self, look: Look) -> Look:
        """Take back what could not be given in time; returns the look as the miss that it is."""
        return msgspec.structs.replace(look, decision="miss", verdict=self._withdraw(look.verdict))

    def is_doubtful(self, look: Look, answer: Digest) -> bool:
        """Whether vectors and words leave it open if a fresh answer says what the look's entry says."""
        said = None if look.entry is None else self._find_said(look.entry.number)
        return said is not None and self.engine.judge_of(look.verdict.scope).is_doubtful(answer, said)

    def learn(self, fresh: Fresh, look: Look, question: Question, answer: Digest, ruling: bool | None = None) -> None:
        """Learn from a fresh answer, and store the question with it; ``ruling``: a judge's, None: there is none."""
        verdict: Verdict = look.verdict
        served = fresh.checks != ""
        scope, request_id = question.scope, fresh.checks or fresh.answer.entry_id.removeprefix("ce_")
        judged_by = self._name_judge(look, answer, ruling)
        compared = self.engine.compare(verdict, answer, ruling)
        if look.entry is not None:
            if not fresh.checks:
                self._weigh(scope, verdict, fresh.cost_pusd)
            if verdict.decision in ("shadow", "holdout"):
                check = Check(request_id=request_id, asked=fresh.asked, look=look)
                self._decide(check, verdict.decision, fresh.answer.project_id, prompts=fresh.prompts)
            if verdict.decision != "miss" and compared.is_right is not None:
                label = Label(is_right=compared.is_right, is_checked=served, judged_by=judged_by)
                self.pending.label(request_id, label)
                self._count_label(look.entry.number)
        if compared.labels or verdict.entry_id is not None:
            observed = Noted(
                score=None if verdict.entry_id is None else verdict.score, served=served, chance=1 / verdict.weight,
                is_right=compared.is_right, rows=compared.rows.tobytes(), labels=compared.labels,
                weight=compared.weight, number=verdict.number,
            )  # fmt: skip
            self.pending.observe(scope, observed)
        self.changed.add(scope)
        self._store(fresh, question, answer, compared.group)

    def store(self, fresh: Fresh, question: Question, answer: Digest) -> None:
        """Store a question with its answer that is no request of those that a bound is about."""
        self._store(fresh, question, answer, self.engine.find_group(question, answer))

    def take_rows(self, rows: Sequence[EntryRow]) -> list[int]:
        """Take stored questions over; returns the numbers of the damaged ones."""
        partitions: dict[bytes, tuple[dict[int, Stored], list[bytes]]] = {}
        damaged: list[int] = []
        gone: list[int] = []
        for row in rows:
            if self.shelf.get(row.number) is not None:
                continue
            try:
                unpacked = unpack(row.packed)
            except Damaged:
                damaged.append(row.number)
                continue
            gone += self.shelf.add(row.kept)
            stored = Stored(
                scope=row.scope, text=unpacked.text, packed=unpacked.answer, group=row.group_number,
                right=row.right_count, wrong=row.wrong_count,
            )  # fmt: skip
            entries, vectors = partitions.setdefault(row.partition_key, ({}, []))
            entries[row.number] = stored
            vectors.append(unpacked.vector)
        for partition, (entries, vectors) in partitions.items():
            self.engine.restore(partition, entries, stack(vectors))
            unusable = [number for number in entries if number not in self.engine.index]
            damaged += unusable
            self.shelf.remove(unusable)
        self.engine.remove(gone)
        return damaged

    def take_seen(self, scope: str, data: bytes, counted: int = 0) -> None:
        """Take over what another process saw, ``counted`` of whose requests are known; what cannot be read is not."""
        try:
            seen = _SEEN.decode(data)
        except msgspec.DecodeError:
            return
        for observed in seen:
            if 0 <= observed.number < counted:
                # Saved before its answer was there: only what that teaches is new.
                observed = msgspec.structs.replace(observed, score=None, is_right=None)  # noqa: PLW2901
            try:
                self.engine.absorb(scope, observed)
            except ValueError:
                continue
        self.changed.add(scope)

    def forget(self, numbers: Sequence[int], *, deletes: bool = True) -> list[Kept]:
        """Forget questions; ``deletes``: the store does too. Returns those that there were."""
        gone = self.shelf.remove(list(numbers))
        self.engine.remove(numbers)
        if deletes:
            self.pending.drop(numbers)
        return gone

    def purge(self, purge: Purge) -> set[str]:
        """Forget what a purge covers; returns the ids."""
        return {kept.entry_id for kept in self.forget([kept.number for kept in self.shelf.find(purge)])}

    def forget_project(self, project_id: str) -> None:
        """Forget what a project taught and what is to be written of it; its questions are purged apart."""
        scopes = (project_id, f"{project_id}/test")
        for scope in scopes:
            self.engine.forget_scope(scope)
            self._worth.pop(scope, None)
            self._is_serving.pop(scope, None)
        self.changed.difference_update(scopes)
        self.pending.forget_project(project_id, scopes)

    def recall(self, entry_id: str, request_id: str) -> list[str]:
        """Forget an entry whose answer was wrong, and its near neighbours with it; returns the ids of all."""
        check = self._served.get(request_id)
        if check is not None:
            verdict: Verdict = check.look.verdict
            self.engine.tell(verdict, is_right=False)
            row = verdict.neighbours.index(verdict.entry_id) if verdict.entry_id in verdict.neighbours else 0
            taught = Noted(rows=verdict.rows[row : row + 1].tobytes(), labels=(False,))
            self.pending.observe(check.asked.scope, taught)
            self.changed.add(check.asked.scope)
        self.pending.label(request_id, Label(is_right=False, judged_by="recall"))
        kept = self.shelf.of_id(entry_id)
        if kept is None:
            return []
        numbers = self.engine.recall(kept.number)
        return [each.entry_id for each in self.forget(list(dict.fromkeys([kept.number, *numbers])))]

    def export(self, scope: str) -> Learnt:
        """What a scope has learnt: by what waits to be written as well."""
        worth = list(self._worth.get(scope, ()))
        return Learnt(self.engine.export_state(scope), worth, self.pending.process_id)

    def restore(self, scope: str, state: bytes) -> Learnt | None:
        """Take over what a scope had learnt, and return it; None where it is damaged or of another version."""
        try:
            saved = _STATE.decode(state)
        except msgspec.DecodeError:
            return None
        if not self.engine.import_state(scope, saved.engine):
            return None
        self._worth[scope] = deque(saved.worth, maxlen=self.engine.settings.window)
        return saved

    def measure(self, scope: str, allowed: Allowed, *, in_force: bool = False) -> Point:
        """What a bound would give on the latest requests, or gives on the next where it is in force."""
        return self._value(scope, self.engine.report(scope, _bounds(allowed), in_force=in_force), allowed)

    def sum_up(self, scope: str, points: list[Point], live: Point) -> Seen:
        """What was seen and served so far."""
        served = self.engine.count_served(scope)
        return Seen(
            requests=served.requests, live_requests=served.live,
            window=min(served.requests, self.engine.settings.window),
            is_young=self.engine.is_young(scope), points=points, live=live, hits=served.hits,
            wrong=served.wrong, wrong_low=served.wrong_low, wrong_high=served.wrong_high,
            answer_threshold=self.engine.judge_of(scope).threshold,
        )  # fmt: skip

    def _store(self, fresh: Fresh, question: Question, answer: Digest, group: int | None) -> None:
        number, stored = secrets.randbits(_NUMBER_BITS), fresh.answer
        kept = Kept(
            number=number, entry_id=stored.entry_id, project_id=stored.project_id, scope=question.scope, key=fresh.key,
            model=stored.model, tags=stored.tags, created_ns=stored.created_ns, expires_ns=fresh.expires_ns,
        )  # fmt: skip
        if not self.engine.add(question, number, answer, group):
            return
        gone = self.shelf.add(kept)
        self.forget(gone)
        if number in gone:
            return
        self.pending.entries[number] = NewEntry(
            kept=kept,
            partition=question.partition,
            packed=pack(question.text, question.vector, answer),
            group=number if group is None else group,
            answer=pack_answer(stored),
        )

    def _find_said(self, number: int) -> Digest | None:
        stored = self.engine.get(number)
        return None if stored is None else stored.answer

    def _name_judge(self, look: Look, answer: Digest, ruling: bool | None) -> JudgedBy:
        """Which step tells whether a look's entry was right."""
        if ruling is not None:
            return "llm"
        said = None if look.entry is None else self._find_said(look.entry.number)
        return "exact" if said is not None and said.key == answer.key else "embedding"

    def _count_label(self, number: int) -> None:
        stored = self.engine.get(number)
        if stored is not None and number not in self.pending.entries:
            self.pending.counts[number] = (stored.right, stored.wrong)

    def _weigh(self, scope: str, verdict: Verdict, pusd: int) -> None:
        worth = self._worth.get(scope)
        if worth is None:
            worth = self._worth[scope] = deque(maxlen=self.engine.settings.window)
        worth.append(_Worth(verdict.number, verdict.score, pusd))

    def _withdraw(self, verdict: Verdict) -> Verdict:
        self.engine.withdraw(verdict)
        return msgspec.structs.replace(verdict, decision="miss", weight=1.0)

    def _observe_unchecked(self, check: Check) -> None:
        verdict: Verdict = check.look.verdict
        seen = Noted(score=verdict.score, served=True, chance=1 / verdict.weight, number=verdict.number)
        self.pending.observe(check.asked.scope, seen)

    def _decide(self, check: Check, decision: str, project_id: str, *, prompts: bool) -> None:
        look = check.look
        if look.entry is None:
            return
        self.pending.decisions[check.request_id] = Decision(
            request_id=check.request_id, project_id=project_id, decision=decision, entry_id=look.entry.entry_id,
            similarity=look.similarity, score=look.score, threshold=look.threshold, guards=",".join(look.guards),
            neighbours=",".join(look.neighbours), question=check.asked.text if prompts else "", is_right=None,
            created_ns=self._now_ns(),
        )  # fmt: skip

    def _tell(self, verdict: Verdict) -> Look:
        entry = None if verdict.entry_id is None else self.shelf.get(verdict.entry_id)
        decision = verdict.decision
        if entry is not None and entry.expires_ns <= self._now_ns():
            self.forget([entry.number])
            entry = None
        if entry is None and decision in ("serve", "audit"):
            verdict = self._withdraw(verdict)
        near = [kept.entry_id for kept in map(self.shelf.get, verdict.neighbours) if kept is not None]
        return Look(
            decision=decision if entry is not None else "miss", entry=entry, similarity=verdict.similarity,
            score=verdict.score, threshold=verdict.threshold, guards=verdict.guards, neighbours=tuple(near),
            verdict=verdict,
        )  # fmt: skip

    def _watch(self, scope: str, verdict: Verdict) -> None:
        """Tell when a scope begins to serve, or falls back because its bound is no more proven."""
        serves = verdict.threshold <= 1
        before = self._is_serving.get(scope, False)
        if serves == before:
            return
        self._is_serving[scope] = serves
        self.fallbacks += not serves
        self.pending.turns.append(Turn(scope=scope, is_serving=serves, threshold=verdict.threshold))

    def _value(self, scope: str, point: EnginePoint, allowed: Allowed) -> Point:
        first = self.engine.count_requests(scope) - self.engine.settings.window
        # The threshold is one of the scores, rounded to 32 bits.
        lowest = point.threshold - _ROUNDING
        saved = sum(each.pusd for each in self._worth.get(scope, ()) if each.score >= lowest and each.number >= first)
        return Point(
            allowed=allowed, hit_rate=point.hit_rate, wrong_rate=point.wrong_rate,
            wrong_rate_low=point.wrong_rate_low, wrong_rate_high=point.wrong_rate_high, saved_pusd=saved,
            threshold=point.threshold,
        )  # fmt: skip


def pack_learnt(learnt: Learnt, written: int) -> bytes:
    """What is saved, once it is known under which revision the latest of it was written."""
    return _ENCODE(msgspec.structs.replace(learnt, written=written))


def ask(asked: Asked, vector: Vector) -> Question:
    """A question as the engine takes it."""
    return Question(scope=asked.scope, partition=asked.partition, text=asked.text, vector=vector)


def _bounds(allowed: Allowed) -> Bounds:
    return Bounds(max_wrong_hit_rate=allowed.max_wrong_hit_rate, max_wrong_rate=allowed.max_wrong_rate)
