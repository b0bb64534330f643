"""The backends that stored credentials open: a project calls with its own, or else with the operator's.

What is configured is used where neither is there. Looking a project up costs two dictionary reads as long as no
credential changes; where none is stored at all nobody is asked.

Failure behavior: a credential that cannot be decrypted becomes a backend that refuses every call, so that nobody else's
credential pays for it.
"""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from gateway.accounts.credential_directory import ActiveCredential, CredentialDirectory, CredentialFault
from gateway.backends.http import Address, HttpBackend
from gateway.backends.interface import Backend, Exchange, Posted, WholeReply
from providers.errors import ProviderError
from providers.handoff import Waiter
from providers.transport.pool import Transport
from providers.wire import Call, Dialect, WireRequest

# What is remembered of projects, purses and credentials; all of it can be made anew.
MAX_REMEMBERED = 4_096


class CredentialUnreadable(ProviderError):
    """There is a credential for the call and it cannot be decrypted here; nothing was sent."""

    code = "credential_unreadable"
    status = 503
    sent = False
    retryable = False


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to call one provider with a credential."""

    name: str
    dialect: Dialect
    # Makes the address of a credential, and the transport that reaches it.
    reach: Callable[[ActiveCredential], tuple[Transport, Address]]


class Purse(msgspec.Struct, frozen=True, kw_only=True):
    """What one project, or several alike, call with stored credentials; ``backends`` by the provider's name."""

    # Equal for equal backends.
    key: tuple[int, ...]
    backends: Mapping[str, Backend]
    # The credentials' ids by the provider's name, the same in every process; none where one is unreadable.
    credential_ids: Mapping[str, str] = {}


class StoredBackend(HttpBackend):
    """A provider that is called with a stored credential, whose use is noted."""

    def __init__(
        self,
        opening: Opening,
        credential: ActiveCredential,
        note_used: Callable[[str, int], None],
        now_ns: Callable[[], int],
    ) -> None:
        super().__init__(opening.name, opening.dialect, *opening.reach(credential))
        self._credential_id = credential.credential_id
        self._note_used = note_used
        self._now_ns = now_ns

    def fetch(self, call: Call, request: WireRequest) -> Awaitable[WholeReply]:
        """POST and read the whole answer."""
        self._note_used(self._credential_id, self._now_ns())
        return super().fetch(call, request)

    def post(self, call: Call, request: WireRequest, waiter: Waiter) -> Posted | None:
        """POST over a connection that was kept, where there is one."""
        posted = super().post(call, request, waiter)
        if posted is not None:
            self._note_used(self._credential_id, self._now_ns())
        return posted

    def open(self, call: Call, request: WireRequest) -> Awaitable[Exchange]:
        """POST and read the head of the answer."""
        self._note_used(self._credential_id, self._now_ns())
        return super().open(call, request)


class UnreadableBackend:
    """A provider whose credential cannot be decrypted."""

    is_free = False
    cancel_stops_whole_calls = False
    secrets: tuple[str, ...] = ()

    def __init__(self, name: str, dialect: Dialect) -> None:
        self.name = name
        self.dialect = dialect

    def cancel_stops_billing(self, model: str) -> bool:
        """Nothing is sent, so nothing is billed."""
        return True

    def post(self, call: Call, request: WireRequest, waiter: Waiter) -> None:
        """Nothing leaves."""

    async def fetch(self, call: Call, request: WireRequest) -> WholeReply:
        """Refuse."""
        raise self._refusal()

    async def open(self, call: Call, request: WireRequest) -> Exchange:
        """Refuse."""
        raise self._refusal()

    def _refusal(self) -> CredentialUnreadable:
        return CredentialUnreadable(f"the stored credential {CredentialFault.UNREADABLE.value}: store it anew")


class _View(msgspec.Struct, frozen=True, kw_only=True):
    revision: int
    purse: Purse


class _Opened(msgspec.Struct, frozen=True, kw_only=True):
    found: ActiveCredential | CredentialFault
    serial: int
    backend: Backend


class Purses:
    """Finds the backends of a project's stored credentials."""

    def __init__(
        self, credentials: CredentialDirectory, openings: Mapping[str, Opening], now_ns: Callable[[], int]
    ) -> None:
        self.credentials = credentials
        self._openings = openings
        self._now_ns = now_ns
        self._views: dict[str, _View] = {}
        self._purses: dict[tuple[int, ...], Purse] = {}
        # By credential, or by provider where it is unreadable.
        self._opened: dict[str, _Opened] = {}
        self._serial = 0

    @property
    def providers(self) -> frozenset[str]:
        """The providers that credentials can be stored for."""
        return frozenset(self._openings)

    def of(self, project_id: str) -> Purse:
        """What a project calls with stored credentials."""
        view = self._views.get(project_id)
        if view is None or view.revision != self.credentials.revision:
            view = self._look(project_id)
        return view.purse

    def _look(self, project_id: str) -> _View:
        self._bound()
        opened = {
            name: self._open(opening, found)
            for name, opening in self._openings.items()
            if (found := self.credentials.find(project_id, name)) is not None
        }
        key = tuple(one.serial for one in opened.values())
        purse = self._purses.get(key)
        if purse is None:
            backends = {name: one.backend for name, one in opened.items()}
            purse = self._purses[key] = Purse(
                key=key,
                backends=backends,
                credential_ids={
                    name: one.found.credential_id
                    for name, one in opened.items()
                    if not isinstance(one.found, CredentialFault)
                },
            )
        view = self._views[project_id] = _View(revision=self.credentials.revision, purse=purse)
        return view

    def _open(self, opening: Opening, found: ActiveCredential | CredentialFault) -> _Opened:
        name = opening.name if isinstance(found, CredentialFault) else found.credential_id
        opened = self._opened.get(name)
        if opened is None or opened.found is not found:
            self._serial += 1
            backend: Backend
            if isinstance(found, CredentialFault):
                backend = UnreadableBackend(opening.name, opening.dialect)
            else:
                backend = StoredBackend(opening, found, self.credentials.note_used, self._now_ns)
            opened = self._opened[name] = _Opened(found=found, serial=self._serial, backend=backend)
        return opened

    def _bound(self) -> None:
        for remembered in (self._views, self._purses, self._opened):
            if len(remembered) >= MAX_REMEMBERED:
                remembered.clear()
