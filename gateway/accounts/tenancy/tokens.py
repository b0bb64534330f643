"""What a person shows instead of the password: signed access tokens, and opaque tokens known by their digest.

An access token is a JWT (RFC 7519) signed with HS256. Which one is meant, and by which algorithm, is never taken from
the token: its header must be, letter by letter, one that this installation writes, so that a hostile header is never
even parsed.
"""

import enum
import hashlib
import hmac
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import msgspec

from gateway.accounts.master import derive_key
from gateway.config.secret import Secret
from gateway.ids import new_id

# Purposes of gateway.accounts.master.derive_key.
ACCESS_TOKENS = "access-tokens"
ACCESS_TOKENS_ID = "access-tokens-id"
CLAIM_LINK = "claim-link"

ALGORITHM = "HS256"
ISSUER = "watchllm"
ACCESS_TOKEN_S = 86_400
# How far the clocks of two hosts of one gateway may be apart.
MAX_CLOCK_SKEW_S = 60
MAX_TOKEN_CHARS = 1_024
_OPAQUE_BYTES = 32
_KEY_ID_BYTES = 8
_NS_PER_S = 1_000_000_000
# The times are compared with now_ns below, not with the library's own clock.
_OPTIONS: Any = {
    "require": ["iss", "sub", "jti", "iat", "exp"],
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
}


class AccessClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What an access token says; times are whole seconds."""

    user_id: str = msgspec.field(name="sub")
    account_id: str = msgspec.field(name="account")
    # The sign-in that it comes from, with which it ends.
    session_id: str = msgspec.field(name="session")
    token_id: str = msgspec.field(name="jti")
    issued_s: int = msgspec.field(name="iat")
    # The first second at which it is no longer valid.
    expires_s: int = msgspec.field(name="exp")


class TokenFault(enum.Enum):
    """Why an access token is not honoured; the value is fit for a message."""

    MALFORMED = "is no access token of this installation: sign in for a new one"
    FORGED = "was not signed here: sign in for a new one"
    EXPIRED = "has expired: refresh it, or sign in again"
    FUTURE = "is dated in the future: set the clocks of the gateway's hosts"
    ENDED = "belongs to a session that has ended: sign in again"


class AccessTokens:
    """Issues access tokens under the master key and reads those issued under it or a previous one."""

    def __init__(self, master: bytes, previous: Iterable[bytes] = ()) -> None:
        self._masters = (*previous, master)
        self._key, self._key_id = _derive(master)

    def issue(self, user_id: str, account_id: str, session_id: str, now_ns: int) -> Secret:
        """Sign a token that is valid for 24 h."""
        now_s = now_ns // _NS_PER_S
        claims = AccessClaims(
            user_id=user_id,
            account_id=account_id,
            session_id=session_id,
            token_id=new_id(now_ns),
            issued_s=now_s,
            expires_s=now_s + ACCESS_TOKEN_S,
        )
        payload: dict[str, str | int] = {"iss": ISSUER, **msgspec.to_builtins(claims)}
        return Secret(_sign(payload, self._key, self._key_id))

    def read(self, presented: Secret, now_ns: int) -> AccessClaims | TokenFault:
        """Tell what a token says, if it is one of this installation's and of this time."""
        token = presented.reveal()
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            return TokenFault.MALFORMED
        key = self._keys.get(token.partition(".")[0])
        if key is None:
            return TokenFault.MALFORMED
        # A twentieth of a second to import, which a gateway that nobody signs in to need not wait for.
        import jwt  # noqa: PLC0415

        try:
            payload = jwt.decode(token, key, algorithms=[ALGORITHM], issuer=ISSUER, options=_OPTIONS)
            claims = msgspec.convert(payload, AccessClaims)
        except (jwt.InvalidTokenError, msgspec.ValidationError):
            return TokenFault.FORGED
        if claims.issued_s > now_ns // _NS_PER_S + MAX_CLOCK_SKEW_S:
            return TokenFault.FUTURE
        return TokenFault.EXPIRED if now_ns >= claims.expires_s * _NS_PER_S else claims

    @cached_property
    def _keys(self) -> dict[str, bytes]:
        """The keys by the headers of the tokens that they sign."""
        derived = [_derive(master) for master in self._masters]
        return {_sign({}, key, key_id).partition(".")[0]: key for key, key_id in derived}


def make_opaque_token() -> Secret:
    """Make a token of 32 random bytes, which says nothing and is stored as its digest."""
    return Secret(_write(os.urandom(_OPAQUE_BYTES)))


def digest_opaque_token(presented: Secret) -> bytes:
    """Digest a token into 32 bytes; what holds 256 random bits needs no salt."""
    return hashlib.sha256(presented.reveal().encode("utf-8", "surrogatepass")).digest()


def make_claim_token(master: bytes, number: int) -> Secret:
    """Make the token of the numbered claim link, by which a person becomes the installation's operator.

    It follows from the master key, so that every process and every start shows one link until it is used.
    """
    purpose = f"{CLAIM_LINK}-{number}" if number else CLAIM_LINK
    return Secret(_write(derive_key(master, purpose)))


def is_claim_token(presented: Secret, master_token: Secret) -> bool:
    """Compare two claim tokens in a time that tells nothing."""
    return hmac.compare_digest(digest_opaque_token(presented), digest_opaque_token(master_token))


def _derive(master: bytes) -> tuple[bytes, str]:
    return derive_key(master, ACCESS_TOKENS), derive_key(master, ACCESS_TOKENS_ID)[:_KEY_ID_BYTES].hex()


def _sign(payload: dict[str, str | int], key: bytes, key_id: str) -> str:
    import jwt  # noqa: PLC0415 - see AccessTokens.read

    return jwt.encode(payload, key, algorithm=ALGORITHM, headers={"kid": key_id})


def _write(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
