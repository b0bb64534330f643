"""The semantic layer: finds a stored answer for a question, says whether it may be served, and learns from labels.

One thread, in practice the event loop: each call takes below a millisecond. What is slow is handed out: ``embed``
awaits the injected embedder, and a ``Lesson`` is trained by ``score.train`` in a worker thread and then adopted.

Failure behavior: a question whose vector is not usable is a miss. A scope whose bound cannot be proven serves nothing.
"""

import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from math import exp, log1p, log10, sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from cache.recent import Recent
from cache.semantic.bound import NOTHING, Bounds, Point, Record, choose, draw_point, find_audit_chance, find_check_share
from cache.semantic.equivalence import AnswerJudge, Digest, pack_digest
from cache.semantic.features import Pair, describe_pair, describe_vetoes
from cache.semantic.guards import find_vetoes
from cache.semantic.index import Rounded, Vector, VectorIndex
from cache.semantic.profile import Profile, profile
from cache.semantic.scope import Scope
from cache.semantic.score import INPUTS, Basis, Lesson, Network, load_shipped
from cache.semantic.values import Compared, Decision, Mode, Observed, Question, Served, Settings, Stored, Verdict

Embed = Callable[[Sequence[str]], Awaitable[Vector]]

# An entry that was wrong this often, and more often than right, is served no more.
WRONG_ENTRY = 2
# Callers may ask for bounds of their own: so many are remembered.
MOST_BOUNDS = 16
NEAR = 0.85
RECALLED = 64


class Engine:
    """The semantic layer of all scopes; see the module's first lines for its rule of threads."""

    def __init__(
        self,
        embed: Embed,
        settings: Settings | None = None,
        *,
        seed: int = 0,
        shipped: tuple[Basis, Network] | None = None,
    ) -> None:
        self._embed = embed
        self.settings = settings or Settings()
        self._shipped = shipped
        self._random = random.Random(seed)  # noqa: S311 - chooses audits, hides nothing
        self.index = VectorIndex()
        self._entries: dict[int, Stored] = {}
        self._scopes: dict[str, Scope] = {}
        self._vectors: Recent[tuple[bytes, str], Vector] = Recent(self.settings.recent_vectors)
        self._profiles: Recent[tuple[bytes, str], Profile] = Recent(self.settings.recent_profiles)
        self._served: Recent[tuple[bytes, int], bool] = Recent(self.settings.recent_served)

    def __len__(self) -> int:
        """Return how many entries can be found."""
        return len(self.index)

    async def embed(self, text: str, partition: bytes = b"") -> Vector:
        """Return the unit vector (384,) float32 of a text; one embedded lately is not embedded again.

        What is remembered is remembered for its partition alone: the time of a question tells nothing of others'.
        Raises what the injected embedder raises.
        """
        vector = self._vectors.get((partition, text))
        if vector is None:
            vector = (await self._embed([text]))[0]
            self._vectors.put((partition, text), vector)
        return vector

    def knows(self, text: str, partition: bytes) -> bool:
        """Tell whether a text was embedded lately in its partition."""
        return self._vectors.get((partition, text)) is not None

    def remember(self, text: str, partition: bytes, vector: Vector) -> None:
        """Take the unit vector of a text that the caller embedded among others."""
        self._vectors.put((partition, text), vector)

    def look(self, question: Question, bounds: Bounds, mode: Mode) -> Verdict:
        """Find the stored answer for a question and decide; counts the request. Below 0.5 ms beside the search."""
        state, settings = self._open(question.scope), self.settings
        state.window.is_live = mode != "shadow"
        asked = self._profile(question.partition, question.text)
        found = self.index.search(question.partition, question.vector, settings.searched)
        near = [each for each in found[: settings.described] if each[1] >= settings.lowest_cosine]
        if not near:
            state.frequencies.add(asked.words)
            return self._miss(state, question.scope)
        rows, vetoes = self._describe(state, asked, question, found, len(near))
        state.frequencies.add(asked.words)
        ids = tuple(entry_id for entry_id, _ in near)
        scores = [_squash(float(odds)) for odds in state.network.judge(rows.astype(np.float32))]
        allowed = [row for row, names in enumerate(vetoes) if not names and not self._is_bad(ids[row])]
        best = max(allowed, key=lambda row: scores[row], default=None)
        described = {"guards": vetoes[0], "neighbours": ids, "rows": rows}
        if best is None:
            return msgspec.structs.replace(self._miss(state, question.scope), similarity=near[0][1], **described)
        threshold = self._choose(state, bounds)
        decision, chance = self._decide(state, question, scores[best], (threshold, bounds), mode)
        record = Record(score=scores[best], served=decision in ("serve", "audit"), chance=chance)
        return Verdict(
            decision=decision, scope=question.scope, entry_id=ids[best], similarity=near[best][1], score=scores[best],
            threshold=threshold, guards=vetoes[0], neighbours=ids, rows=rows,
            number=state.window.add(record), weight=1 / max(chance, 0.01),
        )  # fmt: skip

    def withdraw(self, verdict: Verdict) -> None:
        """Take back that an answer was served, since it could not be given: its request was a miss."""
        self._open(verdict.scope).window.withdraw(verdict.number)

    def count(self, scope: str) -> None:
        """Count a request that another layer answered: a bound on all requests is about these too."""
        self._open(scope).window.add(None)

    def add(self, question: Question, entry_id: int, answer: Digest | None, group: int | None = None) -> bool:
        """Store a question under an id of the caller's, with its answer's digest and the group that ``compare`` gave.

        False, and nothing stored, for a vector that is not usable or an id that is taken.
        """
        if not self.index.add(question.partition, [entry_id], question.vector[None]):
            return False
        self._entries[entry_id] = Stored(
            scope=question.scope,
            text=question.text,
            packed=None if answer is None else pack_digest(answer),
            group=entry_id if group is None else group,
        )
        return True

    def restore(self, partition: bytes, entries: dict[int, Stored], vectors: Vector | Rounded) -> int:
        """Store many questions of a partition at once, as after a start; returns how many were usable and new."""
        ids = [entry_id for entry_id in entries if entry_id not in self._entries]
        if len(ids) < len(entries):
            places = {entry_id: row for row, entry_id in enumerate(entries)}
            vectors = vectors[[places[entry_id] for entry_id in ids]]
        count = self.index.add(partition, ids, vectors)
        self._entries.update((entry_id, entries[entry_id]) for entry_id in ids if entry_id in self.index)
        return count

    def remove(self, entry_ids: Iterable[int]) -> int:
        """Forget entries; returns how many were stored."""
        gone = [entry_id for entry_id in entry_ids if self._entries.pop(entry_id, None) is not None]
        return self.index.remove(gone)

    def get(self, entry_id: int) -> Stored | None:
        """Return what is stored beside a vector, to be persisted with it; None for an id that is not stored."""
        return self._entries.get(entry_id)

    def compare(self, verdict: Verdict, answer: Digest, ruling: bool | None = None) -> Compared:
        """Learn from a fresh answer by comparing it with the neighbours'; ``ruling``: another judge's, of the entry."""
        state = self._open(verdict.scope)
        state.judge.see(answer)
        known = [(row, self._entries.get(entry_id)) for row, entry_id in enumerate(verdict.neighbours)]
        labels: dict[int, bool] = {}
        group: int | None = None
        is_right: bool | None = None
        for row, stored in known:
            said = None if stored is None else stored.answer
            if stored is None or said is None:
                continue
            is_entry = verdict.neighbours[row] == verdict.entry_id
            is_same = state.judge.is_same(answer, said)
            labels[row] = is_same if ruling is None or not is_entry else ruling
            if labels[row] and group is None:
                group = stored.group
            if is_entry:
                is_right = labels[row]
                self._note(state, verdict, stored, is_right=is_right)
        weight = min(verdict.weight if verdict.decision in ("serve", "audit") else 1.0, 8.0)
        rows = verdict.rows[list(labels)]
        state.lessons.add(rows, list(labels.values()), weight)
        return Compared(group=group, is_right=is_right, rows=rows, labels=tuple(labels.values()), weight=weight)

    def find_group(self, question: Question, answer: Digest) -> int | None:
        """Return the group to ``add`` a question with that is no request: its nearest's that says the same."""
        settings = self.settings
        for entry_id, cosine in self.index.search(question.partition, question.vector, settings.described):
            stored = self._entries[entry_id]
            if cosine < settings.lowest_cosine or stored.answer is None:
                continue
            if self.judge_of(question.scope).is_same(answer, stored.answer, learns=False):
                return stored.group
        return None

    def absorb(self, scope: str, observed: Observed) -> None:
        """Take over what another process saw of one request, or of many that no stored question came near to."""
        state = self._open(scope)
        for _ in range(observed.unmatched):
            state.window.add(None)
        if observed.score is not None:
            record = Record(score=observed.score, served=observed.served, chance=observed.chance)
            number = state.window.add(record)
            if observed.is_right is not None:
                state.window.label(number, is_right=observed.is_right)
        if observed.labels:
            rows = np.frombuffer(observed.rows, np.float16).reshape(-1, INPUTS)
            state.lessons.add(rows, observed.labels, observed.weight)

    def count_served(self, scope: str) -> Served:
        """Return what was served in a scope so far, and how many of it were wrong, with two standard deviations."""
        window = self._open(scope).window
        window.calibrate()
        wrong, variance, hits, live = window.count_served()
        half = 2 * sqrt(max(0.0, variance))
        return Served(
            requests=window.requests, live=live, hits=hits, wrong=wrong, wrong_low=max(0.0, wrong - half),
            wrong_high=wrong + half,
        )  # fmt: skip

    def count_requests(self, scope: str) -> int:
        """Return how many requests a scope had so far."""
        return self._open(scope).window.requests

    def is_young(self, scope: str) -> bool:
        """Tell whether a scope has too few requests for any bound to be proven."""
        return self._open(scope).window.requests < self.settings.fewest_requests

    def judge_of(self, scope: str) -> AnswerJudge:
        """Return what tells of two answers of a scope whether they say the same."""
        return self._open(scope).judge

    def tell(self, verdict: Verdict, *, is_right: bool) -> None:
        """Learn whether the entry of a verdict was right, as a person or another judge says; no answer is compared."""
        if verdict.entry_id is None:
            return
        state = self._open(verdict.scope)
        stored = self._entries.get(verdict.entry_id)
        if stored is not None:
            self._note(state, verdict, stored, is_right=is_right)
        row = verdict.neighbours.index(verdict.entry_id)
        state.lessons.add(verdict.rows[row : row + 1], [is_right], 1.0)

    def recall(self, entry_id: int) -> list[int]:
        """Forget an entry whose answer was wrong, and its near neighbours that share it; returns the ids that went.

        What the score and the bound learn of it is told by ``tell`` with the verdict, where it is still known.
        """
        stored = self._entries.get(entry_id)
        if stored is None:
            return []
        near = self.index.search(self.index.find_partition(entry_id), _unit(self.index.get(entry_id)), RECALLED)
        gone = [other for other, cosine in near if cosine >= NEAR and self._entries[other].group == stored.group]
        gone = list(dict.fromkeys([entry_id, *gone]))
        self.remove(gone)
        return gone

    def next_lesson(self, scope: str) -> Lesson | None:
        """Return what to train now by ``score.train`` in a worker thread, if it is time; then ``adopt`` the result."""
        state, settings = self._open(scope), self.settings
        if not state.lessons.is_due(settings.first_lesson_rows, settings.lesson_growth):
            return None
        return state.lessons.take(state.network, epochs=settings.lesson_epochs)

    def adopt(self, scope: str, network: Network) -> None:
        """Score by what a lesson gave, unless it is not finite."""
        if all(bool(np.isfinite(part).all()) for part in network.parts()):
            state = self._open(scope)
            state.network = network
            state.version += 1

    def report(self, scope: str, bounds: Bounds, *, in_force: bool = False) -> Point:
        """Return what a bound would give on a scope's latest requests, or does give where it is in force."""
        return draw_point(self._open(scope).window, bounds, fewest=self.settings.fewest_requests, in_force=in_force)

    def export_state(self, scope: str) -> bytes:
        """Return what a scope has learnt, to be kept over a restart; its entries are kept by the caller."""
        return self._open(scope).export()

    def import_state(self, scope: str, state: bytes) -> bool:
        """Take over what a scope had learnt; False, and nothing taken, where it is damaged or of another version."""
        return self._open(scope).restore(state)

    def forget_scope(self, scope: str) -> int:
        """Forget what a scope has learnt and its entries; returns how many these were."""
        self._scopes.pop(scope, None)
        return self.remove([entry_id for entry_id, stored in self._entries.items() if stored.scope == scope])

    def _load(self) -> tuple[Basis, Network]:
        if self._shipped is None:
            self._shipped = load_shipped()
        return self._shipped

    def _open(self, scope: str) -> Scope:
        state = self._scopes.get(scope)
        if state is None:
            state = Scope(self._load()[1], window=self.settings.window, rows=self.settings.lesson_rows)
            self._scopes[scope] = state
        return state

    def _profile(self, partition: bytes, text: str) -> Profile:
        read = self._profiles.get((partition, text))
        if read is None:
            read = profile(text)
            self._profiles.put((partition, text), read)
        return read

    def _describe(
        self, state: Scope, asked: Profile, question: Question, found: list[tuple[int, float]], count: int
    ) -> tuple[NDArray[np.float16], list[tuple[str, ...]]]:
        """Return the rows (count, INPUTS) of the nearest, and which guards forbid each."""
        basis = self._load()[0]
        read = [self._profile(question.partition, self._entries[entry_id].text) for entry_id, _ in found[:count]]
        vetoes = [find_vetoes(asked, each) for each in read]
        groups = [self._entries[entry_id].group for entry_id, _ in found]
        cosines = [max(cosine, 0.0) for _, cosine in found]
        vectors = [question.vector, *(self.index.get(entry_id) for entry_id, _ in found[:count])]
        projected = basis.project(np.stack(vectors))
        wanted, near = projected[0], projected[1:]
        alike = (near @ near[0]).tolist()
        features = [
            [
                *describe_pair(Pair(left=asked, right=read[row], cosine=cosine), state.frequencies),
                *self._describe_context(self._entries[found[row][0]], row, groups, cosines),
                alike[row],
                *describe_vetoes(vetoes[row]),
            ]
            for row, (_, cosine) in enumerate(found[:count])
        ]
        return basis.prepare(features, wanted, near).astype(np.float16), vetoes

    def _describe_context(self, stored: Stored, row: int, groups: list[int], cosines: list[float]) -> list[float]:
        """Return CONTEXT_FEATURES but the last for the neighbour at a place."""
        group = groups[row]
        agreeing = [cosine for cosine, each in zip(cosines, groups, strict=True) if each == group]
        return [
            row / 8,
            cosines[0] - cosines[row],
            cosines[row] - cosines[row + 1] if row + 1 < len(cosines) else 0.0,
            len(agreeing) / 8,
            sum(agreeing) / (sum(cosines) or 1.0),
            max((cosine for cosine, each in zip(cosines, groups, strict=True) if each != group), default=0.0),
            log1p(stored.right) / 3,
            log1p(stored.wrong) / 3,
            log10(len(self._entries) + 1) / 6,
        ]

    def _miss(self, state: Scope, scope: str) -> Verdict:
        return Verdict(
            decision="miss", scope=scope, entry_id=None, similarity=0.0, score=0.0, threshold=NOTHING, guards=(),
            neighbours=(), rows=np.empty((0, INPUTS), np.float16), number=state.window.add(None), weight=1.0,
        )  # fmt: skip

    def _choose(self, state: Scope, bounds: Bounds) -> float:
        key = (bounds.max_wrong_hit_rate, bounds.max_wrong_rate)
        number, threshold = state.chosen.get(key, (-self.settings.choice_every, NOTHING))
        if state.window.requests - number >= self.settings.choice_every:
            settings = self.settings
            chosen = choose(state.window, bounds, deviations=settings.deviations, fewest=settings.fewest_requests)
            threshold = chosen.threshold
            if len(state.chosen) >= MOST_BOUNDS:
                state.chosen.clear()
            state.chosen[key] = (state.window.requests, threshold)
        return threshold

    def _decide(
        self, state: Scope, question: Question, score: float, chosen: tuple[float, Bounds], mode: Mode
    ) -> tuple[Decision, float]:
        """Return the decision at the threshold chosen for a bound, and the chance that its label becomes known."""
        settings, (threshold, bounds) = self.settings, chosen
        if score < threshold:
            return "miss", 1.0
        if mode == "shadow":
            return "shadow", 1.0
        if self._random.random() < settings.holdout_share:
            return "holdout", 1.0
        # A question that comes again is asked often: it gets its own answer, and an error is not repeated for long.
        key = (question.partition, hash(question.text))
        if self._served.get(key):
            return "audit", 1.0
        self._served.put(key, True)
        chance = find_audit_chance(
            score, state.window.hits, share=settings.audit_share * find_check_share(bounds),
            first=settings.first_audits, factor=settings.first_audit_factor,
        )  # fmt: skip
        return ("audit" if self._random.random() < chance else "serve"), chance

    def _is_bad(self, entry_id: int) -> bool:
        stored = self._entries[entry_id]
        return stored.wrong >= WRONG_ENTRY and stored.wrong > stored.right

    def _note(self, state: Scope, verdict: Verdict, stored: Stored, *, is_right: bool) -> None:
        state.window.label(verdict.number, is_right=is_right)
        if verdict.decision != "miss":
            stored.right += is_right
            stored.wrong += not is_right


def _squash(odds: float) -> float:
    return 1 / (1 + exp(-max(-30.0, min(30.0, odds))))


def _unit(vector: Vector) -> Vector:
    return (vector / np.linalg.norm(vector)).astype(np.float32)
