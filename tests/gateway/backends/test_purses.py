"""Whose money a call costs: the project's own credential's, else the operator's; never another project's."""

from typing import Any, cast

import pytest
from fake_directories import FakeCredentials
from fakes import NOW_NS, make_call, plain_dialect

from gateway.accounts.credential_directory import ActiveCredential, CredentialDirectory, CredentialFault
from gateway.backends import purses as module
from gateway.backends.failure import as_fault
from gateway.backends.http import Address
from gateway.backends.purses import CredentialUnreadable, Opening, Purses, StoredBackend, UnreadableBackend
from gateway.config.secret import Secret
from providers.handoff import Waiter
from providers.transport.origin import Origin, Timeouts
from providers.wire import WireRequest

ADDRESS = Address(
    origin=Origin("https", "api.test", 443),
    path_prefix="/v1",
    headers={},
    timeouts=Timeouts(connect_ms=1, first_byte_ms=1, idle_ms=1, total_ms=1),
    max_reply_bytes=1,
    cancel_stops_billing=True,
)


class FakeTransport:
    """Keeps what it was asked to send."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.has_kept = True

    async def fetch(self, origin: Any, head: bytes, *_: Any, **__: Any) -> Any:
        """A whole answer."""
        self.heads.append(head)

    open = fetch

    def post(self, origin: Any, head: bytes, *_: Any, **__: Any) -> Any:
        """A request that leaves at once where a connection was kept."""
        self.heads.append(head)
        return object() if self.has_kept else None


def credential(name: str) -> ActiveCredential:
    """A credential whose secret is told by its name."""
    return ActiveCredential(credential_id=f"cred_{name}", secret=Secret(f"sk-{name}"), base_url=None)


class Bank:
    """Purses over what is stored, and the transport that they send by."""

    def __init__(self, **active: ActiveCredential | CredentialFault) -> None:
        """``p_openai=…`` is project p's for openai; ``operator_openai=…`` the operator's."""
        self.transport = FakeTransport()
        owned = {tuple(name.split("_")): one for name, one in active.items()}
        self.stored = FakeCredentials(
            {(None if owner == "operator" else owner, provider): one for (owner, provider), one in owned.items()}
        )
        self.purses = Purses(
            cast("CredentialDirectory", self.stored),
            {name: self._open(name) for name in ("openai", "groq")},
            lambda: NOW_NS,
        )

    def _open(self, name: str) -> Opening:
        def reach(found: ActiveCredential) -> tuple[Any, Address]:
            headers = {"authorization": f"Bearer {found.secret.reveal()}"}
            return self.transport, Address(**{**as_dict(ADDRESS), "headers": headers})

        return Opening(name=name, dialect=plain_dialect(), reach=reach)

    def secrets(self, project_id: str) -> dict[str, tuple[str, ...]]:
        """With what a project calls each provider."""
        return {name: backend.secrets for name, backend in self.purses.of(project_id).backends.items()}


def as_dict(address: Address) -> dict[str, Any]:
    """Its fields."""
    return {name: getattr(address, name) for name in address.__struct_fields__}


def test_a_projects_own_wins_over_the_operators() -> None:
    """Each provider apart; who has none calls with the operator's, and what nobody stored is not there."""
    bank = Bank(p_openai=credential("projects"), operator_openai=credential("operators"))
    assert bank.secrets("p") == {"openai": ("sk-projects",)}
    assert bank.secrets("q") == {"openai": ("sk-operators",)}
    assert Bank().secrets("p") == {}


def test_projects_that_call_alike_share_what_they_call() -> None:
    """One purse, so one table of routes and one breaker; a project with its own has its own."""
    bank = Bank(operator_openai=credential("operators"), p_groq=credential("projects"))
    assert bank.purses.of("q") is bank.purses.of("r")
    assert bank.purses.of("p").key != bank.purses.of("q").key
    assert bank.purses.of("p").backends["openai"] is bank.purses.of("q").backends["openai"]


def test_a_change_of_somebody_else_leaves_a_purse_as_it_is() -> None:
    """Its breakers go on; a change of its own brings another."""
    bank = Bank(p_openai=credential("a"))
    before = bank.purses.of("p")
    bank.stored.active["q", "openai"] = credential("b")
    bank.stored.revision += 1
    assert bank.purses.of("p") is before
    bank.stored.active["p", "openai"] = ActiveCredential(
        credential_id="cred_a", secret=Secret("sk-another"), base_url=None
    )
    assert bank.purses.of("p") is before
    bank.stored.revision += 1
    assert bank.secrets("p") == {"openai": ("sk-another",)}
    del bank.stored.active["p", "openai"]
    bank.stored.revision += 1
    assert bank.secrets("p") == {}


async def test_a_use_is_noted() -> None:
    """Of streams and of whole answers, by the credential's id; it is sent with the credential."""
    bank = Bank(p_openai=credential("a"))
    backend = bank.purses.of("p").backends["openai"]
    assert isinstance(backend, StoredBackend)
    request = WireRequest(path="chat/completions", body=b"{}")
    await backend.fetch(make_call(), request)
    await backend.open(make_call(stream=True), request)
    assert bank.stored.used == ["cred_a", "cred_a"]
    assert backend.post(make_call(), request, cast("Waiter", None)) is not None
    assert bank.stored.used == ["cred_a", "cred_a", "cred_a"]
    bank.transport.has_kept = False
    assert backend.post(make_call(), request, cast("Waiter", None)) is None
    assert bank.stored.used == ["cred_a", "cred_a", "cred_a"]
    assert all(b"authorization: Bearer sk-a\r\n" in head for head in bank.transport.heads)


async def test_an_unreadable_credential_pays_with_nobody_elses() -> None:
    """The call is refused with a clear fault, though the operator has a credential that works."""
    bank = Bank(p_openai=CredentialFault.UNREADABLE, operator_openai=credential("operators"))
    backend = bank.purses.of("p").backends["openai"]
    assert isinstance(backend, UnreadableBackend)
    for call in (backend.fetch, backend.open):
        with pytest.raises(CredentialUnreadable) as caught:
            await call(make_call(), WireRequest(path="x", body=b""))
        fault = as_fault(caught.value, backend)
        assert (fault.status, fault.code, fault.should_retry) == (503, "credential_unreadable", False)
        assert "store it anew" in fault.message
    assert backend.post(make_call(), WireRequest(path="x", body=b""), cast("Waiter", None)) is None
    assert bank.transport.heads == []
    assert backend.cancel_stops_billing("m")
    assert not backend.cancel_stops_whole_calls


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgetting costs a look."""
    monkeypatch.setattr(module, "MAX_REMEMBERED", 2)
    bank = Bank(operator_openai=credential("operators"))
    for number in range(10):
        assert bank.secrets(f"p{number}") == {"openai": ("sk-operators",)}
    assert len(bank.purses._views) <= 2


def test_it_tells_what_can_be_stored() -> None:
    """The providers behind an address."""
    assert Bank().purses.providers == {"openai", "groq"}
