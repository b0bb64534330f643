"""What the rest of the gateway knows of the semantic layer: values without numpy, and what the layer does for calls."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from gateway.accounts.directory import KeyRecord
from gateway.caching.answers import Purge, StoredAnswer
from gateway.caching.policy import Allowed, Policy
from gateway.caching.semantic.question import Asked

Mode = Literal["shadow", "semantic"]
# What tells whether an answer was right: the same text, vectors and words, a model, or whoever took it back.
JudgedBy = Literal["", "exact", "embedding", "llm", "recall"]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A stored question without its text: what tells whether and how it may be given."""

    number: int
    entry_id: str
    project_id: str
    scope: str
    # Of the request that it answers exactly.
    key: bytes
    model: str
    tags: tuple[str, ...]
    created_ns: int
    expires_ns: int


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What the layer says of a question."""

    # miss | shadow | holdout | serve | audit, as cache.semantic.values.Verdict has them.
    decision: str
    # The best stored question; None: there is none.
    entry: Kept | None
    similarity: float
    score: float
    threshold: float
    guards: tuple[str, ...]
    neighbours: tuple[str, ...]
    # The engine's own verdict, to be learnt from.
    verdict: Any

    @property
    def is_hit(self) -> bool:
        """Whether the entry's answer is to be given."""
        return self.entry is not None and self.decision in ("serve", "audit")

    @property
    def lines(self) -> bytes:
        """The header lines that tell of a hit."""
        return b"x-watchllm-cache-similarity: %.4f\r\nx-watchllm-cache-score: %.4f\r\n" % (self.similarity, self.score)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit checks: the call that was answered, what it asked, and what was said of it."""

    request_id: str
    asked: Asked
    look: Look


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """For whom a judge is asked: its model, and whose call it is."""

    model: str
    caller: KeyRecord
    # The call's tags and session, for the budgets and views that go by them.
    tags: str = ""
    session: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge is to tell: whether another answer to a question would do as well as the one that is right."""

    asker: Asker
    check: Check
    reference: str
    other: str
    # No answer that was given depends on it.
    is_spare: bool = False


class Judge(Protocol):
    """Tells apart what vectors do not; see gateway.caching.auditing.judge."""

    def ask(self, case: Case, tell: Callable[[bool | None], None]) -> None:
        """Have a case judged; ``tell`` hears once, now or later, whether both say the same, None: it is not known."""
        ...


class Fresh(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh answer to a question: what the layer learns from."""

    asked: Asked
    # None: nothing was looked up yet.
    look: Look | None
    answer: StoredAnswer
    # Of its request.
    key: bytes
    expires_ns: int
    cost_pusd: int
    # The call whose answer is being checked; "": the call itself.
    checks: str = ""
    # What was asked is kept for the inspector.
    prompts: bool = False
    # Its call would have taken a stored answer, so it is one of the requests that bounds are about.
    takes_stored: bool = True
    # The bound that would decide whether it would have been given a stored one; without any it would not.
    allowed: Allowed = Allowed()
    # Who has a judge asked where it is in doubt what it teaches; None: nobody.
    asker: Asker | None = None


def find_asker(policy: Policy, caller: KeyRecord, tags: str, session: str) -> Asker | None:
    """Who has a judge asked for a call; None: the project wants none, or a test key's answers are made up anyway."""
    if not policy.semantic_judge_model or caller.kind == "test":
        return None
    return Asker(model=policy.semantic_judge_model, caller=caller, tags=tags, session=session)


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What a bound would give, or gives, on the latest requests of a scope."""

    allowed: Allowed
    # Semantic hits ÷ all requests; wrong ÷ what the bound is about, with its interval at two standard deviations.
    hit_rate: float
    wrong_rate: float
    wrong_rate_low: float
    wrong_rate_high: float
    # What these hits would have cost.
    saved_pusd: int
    # The lowest score served; above 1 where nothing is.
    threshold: float


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the layer saw of a scope."""

    # All so far, and the latest of them that the points are about.
    requests: int
    # Those that came while answers might be served: what a share of all requests is about.
    live_requests: int
    window: int
    # Too few for any bound to be proven.
    is_young: bool
    points: list[Point]
    # The bound in force, and what was served so far: wrong ones with an interval at two standard deviations.
    live: Point
    hits: int
    wrong: float
    wrong_low: float
    wrong_high: float
    # Answers that were compared by the latest check, and the likeness from which on two say the same.
    answer_threshold: float


class Layer(Protocol):
    """The semantic layer of a running gateway; see gateway.caching.semantic.layer."""

    @property
    def is_whole(self) -> bool:
        """Whether the index has everything that the store had at the start."""
        ...

    @property
    def fallbacks(self) -> int:
        """How often a scope stopped serving because its bound could not be proven any more."""
        ...

    @property
    def waiting(self) -> int:
        """Fresh answers that are still to be learnt from."""
        ...

    @property
    def dropped(self) -> int:
        """Fresh answers that were not learnt from, since too many waited."""
        ...

    def __len__(self) -> int:
        """How many questions can be found."""
        ...

    def count_beside(self) -> int:
        """How many stored answers are not in this process's memory."""
        ...

    async def open(self) -> None:
        """Load what is stored; calls are served meanwhile."""
        ...

    async def settle(self) -> None:
        """Wait until everything that came is learnt and stored."""
        ...

    async def look(self, asked: Asked, allowed: Allowed, mode: Mode, *, is_owners: bool = True) -> Look:
        """Find the answer to a question. Raises ProviderError where it cannot be compared.

        ``is_owners``: the bound is the owner's own, not one that a caller made tighter.
        """
        ...

    async def find_answer(self, kept: Kept, ttl_s: int) -> StoredAnswer | None:
        """The answer of a stored question of a project that keeps answers so long.

        None, and the question forgotten, where it is gone, replaced, too old or damaged.
        """
        ...

    def find_exact(self, key: bytes, now_ns: int) -> Kept | None:
        """The stored question whose request has this very key."""
        ...

    def count(self, scope: str) -> None:
        """Count a request that another layer answered."""
        ...

    def note(self, check: Check, project_id: str, saved_pusd: int, *, prompts: bool) -> None:
        """Remember what was decided for a call that was answered with an entry, and what that saved."""
        ...

    def withdraw(self, look: Look) -> Look:
        """An answer could not be given in time; returns the look as the miss that it is."""
        ...

    def decline(self, check: Check) -> None:
        """An answer that was given and noted is not checked after all."""
        ...

    def learn(self, fresh: Fresh) -> None:
        """Have a fresh answer learnt and stored, some time later."""
        ...

    def purge(self, purge: Purge) -> set[str]:
        """Forget what a purge covers; returns the ids of the entries."""
        ...

    def forget_project(self, project_id: str) -> None:
        """Forget what a project that was deleted and purged had taught."""
        ...

    def recall(self, entry_id: str, request_id: str) -> list[str]:
        """Forget an entry whose answer was wrong, and its neighbours; returns the ids of all."""
        ...

    async def report(self, scope: str, bounds: Sequence[Allowed], allowed: Allowed) -> Seen:
        """What each bound would give on the latest requests, and what the one in force gave."""
        ...

    async def write(self) -> None:
        """Write what was decided and learnt so far."""
        ...

    async def close(self) -> None:
        """Write what is not written yet, and stop."""
        ...
