"""The cache of a running gateway: what is kept, who shares what is under way, and what each project wants of it."""

from cache.exact.keys import KeyMaker, make_place
from gateway.accounts.directory import KeyRecord
from gateway.caching.answers import Answers
from gateway.caching.directory import CacheDirectory
from gateway.caching.flights import Flights
from gateway.caching.policy import Policy

# Whether and how an answer is streamed changes nothing of what it says.
STREAM_SETTINGS = frozenset({"stream", "stream_options"})
# Places are made of names that callers may invent, so only this many are remembered.
MAX_PLACES = 4_096


class Caching:
    """One a process, built by the application."""

    def __init__(self, answers: Answers, directory: CacheDirectory) -> None:
        self.answers = answers
        self.flights = Flights()
        self.directory = directory
        self._keys = KeyMaker(STREAM_SETTINGS)
        self._places: dict[tuple[str, str, str, str, str], bytes] = {}

    def policy_of(self, project_id: str) -> Policy:
        """What is in force for a project."""
        return self.directory.policy_of(project_id)

    def key_of(self, caller: KeyRecord, policy: Policy, target: tuple[str, str, str], body: bytes) -> bytes | None:
        """The key of a request; None: it cannot be told what it says.

        ``target`` is the endpoint, the provider that answers it and the name of the model there. The answers for
        test keys and live ones never meet, and with the scope ``key`` neither do those for two keys.
        """
        owner = caller.project_id if policy.scope == "project" else caller.key_id
        names = (owner, caller.kind, *target)
        place = self._places.get(names)
        if place is None:
            if len(self._places) >= MAX_PLACES:
                self._places.clear()
            place = self._places[names] = make_place(*names)
        return self._keys.make(place, body)
