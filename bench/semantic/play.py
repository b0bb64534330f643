"""Plays a stream of requests through the engine, as the gateway would, and counts what was right."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench.semantic.answers import write_answer
from bench.semantic.vectors import VectorStore
from cache.semantic.bound import Bounds
from cache.semantic.engine import Engine
from cache.semantic.equivalence import Digest, digest
from cache.semantic.index import Vector
from cache.semantic.score import train
from cache.semantic.values import Question, Settings, Verdict

SCOPE, PARTITION = "project", b"partition"


class Request(msgspec.Struct, frozen=True):
    """One line of a stream: requests of one class have the same right answer."""

    prompt: str
    class_id: str
    source: str


class Tally(msgspec.Struct, kw_only=True):
    """Requests of one source by what became of them."""

    requests: int = 0
    exact: int = 0
    semantic: int = 0
    wrong: int = 0
    audits: int = 0


class Played(msgspec.Struct, kw_only=True):
    """What a run gave: by source, and every 1,000 requests."""

    tallies: dict[str, Tally]
    # After each 1,000 requests: requests, exact and semantic hits, wrong ones.
    course: list[tuple[int, int, int]]
    judged: int = 0
    misjudged: int = 0
    answer_threshold: float = 0.0

    def total(self) -> Tally:
        """Return the sum over the sources."""
        fields = Tally.__struct_fields__
        return Tally(**{name: sum(getattr(tally, name) for tally in self.tallies.values()) for name in fields})


def read_stream(path: Path) -> list[Request]:
    """Read requests in arrival order."""
    return [msgspec.json.decode(line, type=Request) for line in path.read_bytes().splitlines()]


def embed_answers(requests: Sequence[Request], vectors: VectorStore) -> dict[str, Digest]:
    """Return the digest of each answer that a run may need."""
    texts = {write_answer(request.class_id, number) for number, request in enumerate(requests)}
    vectors.embed(sorted(texts))
    return {text: digest(text, vectors[text]) for text in texts}


async def refuse(texts: Sequence[str]) -> Vector:
    """Stand in for the embedder: a run has all vectors already."""
    raise AssertionError(f"{len(texts)} texts were to be embedded")


def ask(request: Request, vectors: VectorStore) -> Question:
    """Return a request as the engine takes it."""
    return Question(scope=SCOPE, partition=PARTITION, text=request.prompt, vector=vectors[request.prompt])


class Player:
    """One run of a stream. ``answers`` None: labels are perfect, by class, at no cost of a judge."""

    def __init__(
        self,
        requests: Sequence[Request],
        vectors: VectorStore,
        answers: dict[str, Digest] | None,
        *,
        settings: Settings | None = None,
        lenient: bool = False,
    ) -> None:
        self.engine = Engine(refuse, settings)
        self._requests, self._vectors, self._answers = requests, vectors, answers
        self._classes: list[str] = []
        self._known: set[str] = set()
        self._lenient = lenient
        self.played = Played(tallies={}, course=[])

    def run(self, bounds: Bounds, watch: Callable[[int, Request, Verdict], None] | None = None) -> Played:
        """Play all requests in arrival order."""
        for number, request in enumerate(self._requests):
            tally = self.played.tallies.setdefault(request.source, Tally())
            tally.requests += 1
            if request.prompt in self._known:
                self.engine.count(SCOPE)
                tally.exact += 1
            else:
                verdict = self.engine.look(ask(request, self._vectors), bounds, "semantic")
                if watch is not None:
                    watch(number, request, verdict)
                self._follow(number, request, verdict, tally)
            if number % 1_000 == 999:
                total = self.played.total()
                self.played.course.append((number + 1, total.exact + total.semantic, total.wrong))
        self.played.answer_threshold = self.engine.judge_of(SCOPE).threshold
        return self.played

    def _follow(self, number: int, request: Request, verdict: Verdict, tally: Tally) -> None:
        """Do what the gateway does after a decision."""
        if verdict.decision in ("serve", "audit"):
            tally.semantic += 1
            tally.wrong += self._classes[verdict.entry_id or 0] != request.class_id
            tally.audits += verdict.decision == "audit"
            if self._lenient:
                self._known.add(request.prompt)
            if verdict.decision == "serve":
                return
        answer = self._answer(number, request)
        self._count_judge(verdict, request, answer)
        group = self.engine.compare(verdict, answer).group
        self.engine.add(ask(request, self._vectors), len(self._classes), answer, group)
        self._classes.append(request.class_id)
        self._known.add(request.prompt)
        lesson = self.engine.next_lesson(SCOPE)
        if lesson is not None:
            self.engine.adopt(SCOPE, train(lesson))

    def _answer(self, number: int, request: Request) -> Digest:
        if self._answers is None:
            # The class itself as the answer: two are the same exactly when the classes are.
            return Digest(key=request.class_id.encode(), vector=b"", content=(), numbers=frozenset())
        return self._answers[write_answer(request.class_id, number)]

    def _count_judge(self, verdict: Verdict, request: Request, answer: Digest) -> None:
        for entry_id in verdict.neighbours if self._answers is not None else ():
            stored = self.engine.get(entry_id)
            if stored is not None and stored.answer is not None:
                said = self.engine.judge_of(SCOPE).is_same(answer, stored.answer, learns=False)
                self.played.judged += 1
                self.played.misjudged += said != (self._classes[entry_id] == request.class_id)
