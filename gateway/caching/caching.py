"""The cache of a running gateway: what is kept, who shares what is under way, and what each project wants of it."""

from cache.exact.keys import KeyMaker, make_place
from cache.exact.repeats import MAX_BODY_BYTES
from gateway.accounts.directory import KeyRecord
from gateway.caching.answers import Answers, Purge, SharedLevel, StoredAnswer
from gateway.caching.auditing.audits import Audits
from gateway.caching.auditing.judge import Judge
from gateway.caching.batch import Batch
from gateway.caching.directory import CacheDirectory
from gateway.caching.flights import Flights
from gateway.caching.policy import Policy
from gateway.caching.semantic.handle import Semantics
from gateway.caching.semantic.question import Asked, Limits, split
from providers.local.choice import name_embedder
from providers.openai.batches import find_inputs, read_inputs

# Whether and how an answer is streamed changes nothing of what it says.
STREAM_SETTINGS = frozenset({"stream", "stream_options"})
# Each input of an embeddings call has a key of its own.
INPUT = frozenset({"input"})
# Places are made of names that callers may invent, so only this many are remembered.
MAX_PLACES = 4_096
CHAT, EMBEDDINGS = "chat/completions", "embeddings"


class Caching:
    """One a process, built by the application."""

    def __init__(
        self,
        answers: Answers,
        directory: CacheDirectory,
        semantics: Semantics,
        judge: Judge,
        shared: SharedLevel | None = None,
    ) -> None:
        """``shared`` is what processes share, None where there is one process alone."""
        self.answers = answers
        self.shared = shared
        self.flights = Flights(directory.purges.cover)
        self.directory = directory
        self.semantics = semantics
        self.audits: Audits = judge.audits
        self.judge = judge
        self._keys = KeyMaker(STREAM_SETTINGS)
        self._input_keys = KeyMaker(INPUT)
        self._places: dict[tuple[str, ...], bytes] = {}
        # Another embedder's vectors lie elsewhere: its questions are another partition.
        self._embedder = name_embedder()

    def policy_of(self, project_id: str) -> Policy:
        """What is in force for a project."""
        return self.directory.policy_of(project_id)

    def key_of(self, caller: KeyRecord, policy: Policy, target: tuple[str, str, str], body: bytes) -> bytes | None:
        """The key of a request; None: it cannot be told what it says.

        ``target`` is the endpoint, the provider that answers it and the name of the model there. The answers for
        test keys and live ones never meet, and with the scope ``key`` neither do those for two keys.
        """
        owner = caller.project_id if policy.scope == "project" else caller.key_id
        place = self._place(owner, caller.kind, *target)
        repeat = self.answers.repeats.find((caller.key_id, body)) if len(body) <= MAX_BODY_BYTES else None
        if repeat is None:
            return self._keys.make(place, body)
        key = repeat.keys.get(place)
        if key is None and (key := self._keys.make(place, body)) is not None:
            repeat.note(place, key)
        return key

    def split(self, caller: KeyRecord, policy: Policy, target: tuple[str, str, str], body: bytes) -> Batch | None:
        """The inputs of an embeddings call, as ``key_of``; None: it cannot be told what it says."""
        owner = caller.project_id if policy.scope == "project" else caller.key_id
        base = self._input_keys.make(self._place(owner, caller.kind, *target), body)
        value = find_inputs(body)
        inputs = read_inputs(value)
        return None if base is None or inputs is None else Batch(base, value, inputs)

    def ask(
        self, caller: KeyRecord, policy: Policy, target: tuple[str, str, str], body: bytes, limits: Limits
    ) -> Asked | None:
        """What a request that has a key asks the semantic layer; None: nothing."""
        if target[0] != CHAT or not policy.is_semantic:
            return None
        found = split(body, limits)
        if found is None:
            return None
        text, rest = found
        owner = caller.project_id if policy.scope == "project" else caller.key_id
        partition = self._keys.make(self._place(self._embedder, owner, caller.kind, *target), rest)
        return None if partition is None else Asked(scope=scope_of(caller), partition=partition, text=text)

    def is_purged(self, answer: StoredAnswer) -> bool:
        """Whether a purge covers an answer, since its call began before."""
        return self.directory.purges.cover(answer)

    def purge(self, purge: Purge) -> set[str]:
        """Remove what a purge covers here; returns the ids of its entries."""
        return self.answers.purge(purge) | self.semantics.purge(purge)

    def _place(self, *names: str) -> bytes:
        place = self._places.get(names)
        if place is None:
            if len(self._places) >= MAX_PLACES:
                self._places.clear()
            place = self._places[names] = make_place(*names)
        return place


def scope_of(caller: KeyRecord) -> str:
    """Where what a caller's traffic teaches belongs: to the project; what its test keys ask is apart."""
    return caller.project_id if caller.kind == "live" else f"{caller.project_id}/test"
