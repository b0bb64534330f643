"""What people do: register, sign in, refresh, switch accounts, change the password, sign out, claim the installation.

The claim link makes one person the installation's operator. Its token follows from the master key and the link's
number; a new link gets the next number, by which every earlier one, used or not, is worthless.

Every new person gets an account of their own, as its owner, with a project ``Default``. Each verb is one transaction,
and its entry in the audit log is part of it.

Failure behavior: raises Refusal where a rule forbids it, PasswordsBusy where too many sign in at once, and
DatabaseUnavailable as gateway.db does; nothing is then changed, except that failed sign-ins and replayed refresh
tokens are logged.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts.audit import Actor, Deed, append_entry
from gateway.accounts.tenancy import members, members_store, people_store, sessions
from gateway.accounts.tenancy.names import check_email, check_name, check_username
from gateway.accounts.tenancy.passwords import Passwords
from gateway.accounts.tenancy.people_store import Credential, ListedUser, Membership, User
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.accounts.tenancy.sessions import Lifetimes, OpenSession, Person, RefreshFault
from gateway.accounts.tenancy.tokens import ACCESS_TOKEN_S, AccessTokens, TokenFault, is_claim_token
from gateway.config.secret import Secret
from gateway.db import Database
from gateway.errors import shown
from gateway.ids import new_id


class Welcome(Protocol):
    """What other features give to every new account."""

    async def grant(self, connection: AsyncConnection, account_id: str, now_ns: int) -> None:
        """Give it inside the transaction that makes the account."""
        ...

    async def follow(self) -> None:
        """Have it honoured, after the commit and before anybody is told of the account."""
        ...


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What a person signs up with."""

    email: str
    password: Secret
    username: str | None = None
    full_name: str = ""


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """Why a new person may come in."""

    # Anybody may: the setting [accounts] open_sign_up.
    is_open: bool
    # The token of an invitation, whose account they join besides their own.
    invitation: Secret | None = None
    # The token of the claim link, by which they become the installation's operator.
    claim: Secret | None = None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a program calls with."""

    access_token: Secret
    refresh_token: Secret
    expires_in_s: int = ACCESS_TOKEN_S


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A person with a fresh session; the cookie is for the dashboard."""

    person: Person
    user: User
    tokens: Tokens
    cookie: Secret


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Who one is, and where one belongs."""

    person: Person
    user: User
    accounts: list[Membership]


class People:
    """The people of an installation; ``make_claim`` makes the token of a numbered claim link."""

    def __init__(  # noqa: PLR0913, PLR0917 - what identity is made of
        self,
        database: Database,
        passwords: Passwords,
        tokens: AccessTokens,
        make_claim: Callable[[int], Secret],
        lifetimes: Lifetimes,
        welcome: Welcome | None = None,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._tokens = tokens
        self._make_claim = make_claim
        self._lifetimes = lifetimes
        self._welcome = welcome

    async def register(self, wanted: Registration, admission: Admission, origin: str, now_ns: int) -> SignedIn:
        """Make a person with an account and a project, and sign them in; an invited one to the account that invited.

        Raises Refusal, PasswordsBusy.
        """
        email, full_name = check_email(wanted.email), check_name(wanted.full_name, "full_name")
        username = None if wanted.username is None else check_username(wanted.username)
        await self._check_new(wanted.password)
        if not admission.is_open and admission.invitation is None and admission.claim is None:
            raise Refusal(RefusalKind.SIGN_UP_CLOSED, "sign-up is closed: ask a member of an account for an invitation")
        user = User(
            user_id=f"user_{new_id(now_ns)}", email=email, username=username, full_name=full_name, created_ns=now_ns
        )
        password_hash = await self._passwords.hash(wanted.password)
        async with self._database.write() as connection:
            await people_store.insert_user(connection, user, password_hash)
            account_id = await self._make_account(connection, user, now_ns)
            actor = Actor(kind="user", actor_id=user.user_id, origin=origin)
            deed = Deed(account_id=account_id, action="user.register", object_id=user.user_id)
            await append_entry(connection, actor, deed, now_ns)
            if admission.claim is not None:
                await self._claim(connection, actor, user.user_id, admission.claim, now_ns)
            if admission.invitation is not None:
                invitation = await members.join(connection, user, admission.invitation, "invitation", origin, now_ns)
                account_id = invitation.account_id
            signed_in = await self._sign_in(connection, user.user_id, account_id, now_ns)
        if self._welcome is not None:
            await self._welcome.follow()
        return signed_in

    async def _make_account(self, connection: AsyncConnection, user: User, now_ns: int) -> str:
        """Make a person's own account, with what every new account gets."""
        account_id = await people_store.insert_account(
            connection, user.full_name or user.username or user.email, now_ns
        )
        await members_store.insert_member(connection, account_id, user.user_id, "owner", now_ns)
        if self._welcome is not None:
            await self._welcome.grant(connection, account_id, now_ns)
        return account_id

    async def login(self, email: str, password: Secret, origin: str, now_ns: int) -> SignedIn:
        """Sign in to the account where the person was last. Raises Refusal, PasswordsBusy.

        An unknown address takes the same way as a wrong password, down to the entry in the log.
        """
        async with self._database.read() as connection:
            credential = await people_store.find_credential_by_email(connection, email)
        check = await self._passwords.check(None if credential is None else credential.password_hash, password)
        if credential is None or not check.is_right:
            raise await self._refuse_password(credential, "e-mail address or password is wrong", origin, now_ns)
        if credential.account_id is None:
            raise Refusal(RefusalKind.NOT_ALLOWED, "you belong to no account any more: ask for an invitation")
        async with self._database.write() as connection:
            version = credential.password_version
            if check.fresh_hash is not None:
                await people_store.renew_hash(connection, credential, check.fresh_hash)
            signed_in = await self._sign_in(connection, credential.user_id, credential.account_id, now_ns, version)
            await _log(connection, signed_in.person, "user.login", origin, now_ns)
        return signed_in

    async def refresh(self, presented: Secret, origin: str, now_ns: int) -> Tokens:
        """Exchange a refresh token for new tokens of its session, as gateway.accounts.tenancy.sessions tells.

        Raises Refusal.
        """
        async with self._database.write() as connection:
            found = await sessions.refresh(connection, presented, self._lifetimes, origin, now_ns)
        # Only here, since a session that a replay ended stays ended.
        if isinstance(found, RefreshFault):
            raise Refusal(RefusalKind.VOID, found.value, "refresh_token")
        access_token = self._issue(found.person, now_ns)
        return Tokens(access_token=access_token, refresh_token=found.refresh_token)

    async def logout(self, person: Person, origin: str, now_ns: int) -> None:
        """End the session with its cookie and all its tokens; repeating it changes nothing."""
        async with self._database.write() as connection:
            if await sessions.end_session(connection, person.session_id, now_ns):
                await _log(connection, person, "user.logout", origin, now_ns)

    async def change_password(self, person: Person, old: Secret, new: Secret, origin: str, now_ns: int) -> SignedIn:
        """Change the password: every session of the person ends, and a fresh one begins. Raises Refusal."""
        await self._check_new(new)
        async with self._database.read() as connection:
            credential = await people_store.find_credential(connection, person.user_id)
        wrong = "the old password is wrong"
        if not (await self._passwords.check(credential.password_hash, old)).is_right:
            raise await self._refuse_password(credential, wrong, origin, now_ns)
        password_hash = await self._passwords.hash(new)
        async with self._database.write() as connection:
            if not await people_store.change_hash(connection, credential, password_hash):
                raise Refusal(RefusalKind.WRONG_CREDENTIALS, f"{wrong}: it was changed a moment ago")
            await sessions.end_sessions(connection, person.user_id, None, now_ns)
            signed_in = await self._sign_in(connection, person.user_id, person.account_id, now_ns)
            await _log(connection, signed_in.person, "user.change_password", origin, now_ns)
        return signed_in

    async def switch_account(self, person: Person, account_id: str, origin: str, now_ns: int) -> SignedIn:
        """Go to another of the person's accounts: this session ends, and one there begins. Raises Refusal."""
        async with self._database.write() as connection:
            signed_in = await self._sign_in(connection, person.user_id, account_id, now_ns)
            if not await sessions.end_session(connection, person.session_id, now_ns):
                raise Refusal(RefusalKind.VOID, "the session has ended: sign in again")
            await _log(connection, signed_in.person, "user.switch_account", origin, now_ns)
        return signed_in

    async def find_me(self, person: Person) -> Profile:
        """Tell who the person is and where they belong."""
        async with self._database.read() as connection:
            user = await people_store.find_user(connection, person.user_id)
            accounts = await people_store.list_memberships(connection, person.user_id)
        return Profile(person=person, user=user, accounts=accounts)

    async def rename(self, person: Person, full_name: str, origin: str, now_ns: int) -> Profile:
        """Change how the person is called, which may be nothing. Raises Refusal."""
        name = check_name(full_name, "full_name")
        async with self._database.write() as connection:
            await people_store.rename_user(connection, person.user_id, name)
            await _log(connection, person, "user.rename", origin, now_ns)
        return await self.find_me(person)

    async def list_people(self, after: str, limit: int) -> list[ListedUser]:
        """List everybody, for the installation's operator: up to ``limit``, after the person of an id."""
        async with self._database.read() as connection:
            return await people_store.list_users(connection, after, limit)

    async def list_sessions(self, person: Person, now_ns: int) -> list[OpenSession]:
        """List the person's open sessions in all their accounts, the newest first."""
        async with self._database.read() as connection:
            return await sessions.list_sessions(connection, person.user_id, self._lifetimes, now_ns)

    async def end_session(self, person: Person, session_id: str, origin: str, now_ns: int) -> None:
        """End one of the person's own sessions, in whichever account. Raises Refusal."""
        async with self._database.write() as connection:
            if not await sessions.end_own_session(connection, person.user_id, session_id, now_ns):
                raise Refusal(RefusalKind.NOT_FOUND, f"there is no open session {shown(session_id)} of yours")
            await _log(connection, person, "session.end", origin, now_ns)

    async def find_by_access_token(self, presented: Secret, now_ns: int) -> Person | TokenFault:
        """Find who shows an access token, as what they are at this moment."""
        claims = self._tokens.read(presented, now_ns)
        if isinstance(claims, TokenFault):
            return claims
        return await sessions.find_by_claims(self._database, claims) or TokenFault.ENDED

    async def find_by_cookie(self, cookie: Secret, now_ns: int) -> Person | None:
        """Find whose cookie this is; None: nobody's, or no longer."""
        return await sessions.find_by_cookie(self._database, cookie, self._lifetimes, now_ns)

    async def find_open_claim(self) -> Secret | None:
        """Give the token of the claim link, as long as the installation has no operator."""
        async with self._database.read() as connection:
            if await people_store.has_operator(connection):
                return None
            return self._make_claim(await people_store.find_claim_link(connection))

    async def claim(self, person: Person, claim: Secret, origin: str, now_ns: int) -> None:
        """Make a person who is signed in the installation's operator. Raises Refusal."""
        actor = Actor(kind="user", actor_id=person.user_id, origin=origin)
        async with self._database.write() as connection:
            await self._claim(connection, actor, person.user_id, claim, now_ns)

    async def _claim(self, connection: AsyncConnection, actor: Actor, user_id: str, claim: Secret, now_ns: int) -> None:
        number = await people_store.find_claim_link(connection)
        is_right = is_claim_token(claim, self._make_claim(number))
        if not is_right or not await people_store.claim(connection, user_id, number, now_ns):
            message = "the claim link is wrong or was used: 'watchllm admin link' prints a new one"
            raise Refusal(RefusalKind.INVALID, message, "claim")
        # In the log that every operator reads: it concerns no account.
        deed = Deed(account_id=None, action="installation.claim", object_id=user_id)
        await append_entry(connection, actor, deed, now_ns)

    async def _sign_in(
        self, connection: AsyncConnection, user_id: str, account_id: str, now_ns: int, version: int | None = None
    ) -> SignedIn:
        role = await members_store.find_role(connection, account_id, user_id)
        if role is None:
            raise Refusal(RefusalKind.NOT_FOUND, f"there is no account {shown(account_id)} of yours")
        if not await people_store.note_sign_in(connection, user_id, account_id, version, now_ns):
            raise Refusal(RefusalKind.WRONG_CREDENTIALS, "the password was changed a moment ago: use the new one")
        user = await people_store.find_user(connection, user_id)
        opened = await sessions.open_session(connection, user_id, account_id, self._lifetimes, now_ns)
        person = Person(
            user_id=user_id,
            account_id=account_id,
            role=role,
            is_operator=user.is_operator,
            session_id=opened.session_id,
        )
        tokens = Tokens(access_token=self._issue(person, now_ns), refresh_token=opened.refresh_token)
        return SignedIn(person=person, user=user, tokens=tokens, cookie=opened.cookie)

    async def _check_new(self, password: Secret) -> None:
        fault = await self._passwords.find_fault(password)
        if fault is not None:
            raise Refusal(RefusalKind.INVALID, fault, "password")

    async def _refuse_password(self, credential: Credential | None, message: str, origin: str, now_ns: int) -> Refusal:
        """Log a wrong password, an unknown person's as well, and give the refusal."""
        actor = Actor(kind="nobody", actor_id=None, origin=origin)
        user_id, account_id = ("", None) if credential is None else (credential.user_id, credential.account_id)
        async with self._database.write() as connection:
            deed = Deed(account_id=account_id, action="user.wrong_password", object_id=user_id)
            await append_entry(connection, actor, deed, now_ns)
        return Refusal(RefusalKind.WRONG_CREDENTIALS, message)

    def _issue(self, person: Person, now_ns: int) -> Secret:
        return self._tokens.issue(person.user_id, person.account_id, person.session_id, now_ns)


async def _log(connection: AsyncConnection, person: Person, action: str, origin: str, now_ns: int) -> None:
    actor = Actor(kind="user", actor_id=person.user_id, origin=origin)
    deed = Deed(account_id=person.account_id, action=action, object_id=person.user_id)
    await append_entry(connection, actor, deed, now_ns)
