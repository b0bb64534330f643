"""Tokens: only what this installation signed is read, and nothing hostile is parsed."""

import base64
import hashlib
import json
import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.master import API_KEYS, derive_key
from gateway.accounts.tenancy.tokens import (
    ACCESS_TOKENS,
    AccessClaims,
    AccessTokens,
    TokenFault,
    digest_opaque_token,
    is_claim_token,
    make_claim_token,
    make_opaque_token,
)
from gateway.config.secret import Secret

NOW_NS = 1_790_000_000_500_000_000
NOW_S = 1_790_000_000
MASTER, OTHER = bytes(range(32)), bytes(32)
TOKENS = AccessTokens(MASTER)
KEY = derive_key(MASTER, ACCESS_TOKENS)


def issue(tokens: AccessTokens = TOKENS, now_ns: int = NOW_NS) -> str:
    """Issue a token."""
    return tokens.issue("user_1", "acct_1", "sess_1", now_ns).reveal()


def read(token: str, now_ns: int = NOW_NS) -> AccessClaims | TokenFault:
    """Read a token."""
    return TOKENS.read(Secret(token), now_ns)


def sign(header: dict[str, object] | None = None, key: bytes = KEY, **changes: object) -> str:
    """Sign what a token says, changed; None leaves a claim out."""
    token = issue()
    payload = {**jwt.decode(token, options={"verify_signature": False}), **changes}
    payload = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(payload, key, headers={**jwt.get_unverified_header(token), **(header or {})})


def test_what_was_issued_is_read() -> None:
    """Whose it is, of which account and session, for 24 h."""
    claims = read(issue())
    assert isinstance(claims, AccessClaims)
    assert (claims.user_id, claims.account_id, claims.session_id) == ("user_1", "acct_1", "sess_1")
    assert (claims.issued_s, claims.expires_s) == (NOW_S, NOW_S + 86_400)


def test_a_token_is_a_jwt_with_the_documented_claims() -> None:
    """HS256, a key id, iss, sub, account and jti; each jti is its own."""
    token = issue()
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    payload = jwt.decode(token, KEY, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})
    assert {name: payload[name] for name in ("iss", "sub", "account")} == {
        "iss": "watchllm",
        "sub": "user_1",
        "account": "acct_1",
    }
    other = read(issue())
    assert isinstance(other, AccessClaims)
    assert payload["jti"] != other.token_id


def test_a_token_expires_at_its_second() -> None:
    """Not a nanosecond later; the clock is the one that is passed in."""
    end_ns = (NOW_S + 86_400) * 1_000_000_000
    assert isinstance(read(issue(), end_ns - 1), AccessClaims)
    assert read(issue(), end_ns) is TokenFault.EXPIRED
    assert abs(time.time_ns() - NOW_NS) > 60 * 1_000_000_000


def test_a_token_of_the_future_is_refused() -> None:
    """A minute is forgiven, since two hosts' clocks differ."""
    assert isinstance(read(issue(now_ns=NOW_NS + 60_000_000_000)), AccessClaims)
    assert read(issue(now_ns=NOW_NS + 61_000_000_000)) is TokenFault.FUTURE


def test_signing_again_what_was_issued_is_honoured() -> None:
    """So the refusals below are of what is changed in them."""
    assert isinstance(read(sign()), AccessClaims)


@pytest.mark.parametrize(
    "changes",
    [{"iss": "elsewhere"}, {"iss": None}, {"sub": None}, {"sub": 7}, {"account": None},
     {"session": None}, {"jti": None}, {"iat": None}, {"iat": "1"}, {"exp": None}, {"exp": 1e300}, {"exp": True}],
    ids=str,
)  # fmt: skip
def test_a_token_that_says_something_else_is_refused(changes: dict[str, object]) -> None:
    """Even when it is signed with the right key."""
    assert read(sign(**changes)) is TokenFault.FORGED


@pytest.mark.parametrize(
    "header",
    [{"kid": "0000000000000000"}, {"kid": None}, {"kid": "../../dev/null"}, {"alg": "HS512"}, {"jku": "https://evil"},
     {"jwk": {"kty": "oct", "k": ""}}, {"crit": ["b64"], "b64": False}, {"typ": "other"}],
    ids=str,
)  # fmt: skip
def test_another_header_is_not_even_parsed(header: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown key ids, other algorithms, and keys that a token brings along."""
    token = issue()
    changed = {**jwt.get_unverified_header(token), **header}
    first = base64.urlsafe_b64encode(json.dumps(changed, separators=(",", ":")).encode()).rstrip(b"=").decode()
    signing = f"{first}.{token.split('.')[1]}"
    signature = base64.urlsafe_b64encode(jwt.get_algorithm_by_name("HS256").sign(signing.encode(), KEY))
    monkeypatch.setattr(jwt, "decode", None)
    assert read(f"{signing}.{signature.rstrip(b'=').decode()}") is TokenFault.MALFORMED


def test_a_token_without_signature_is_refused() -> None:
    """alg none, and a right header with nothing behind it."""
    payload = jwt.decode(issue(), options={"verify_signature": False})
    assert read(jwt.encode(payload, None, algorithm="none")) is TokenFault.MALFORMED
    header, body, _ = issue().split(".")
    assert read(f"{header}.{body}.") is TokenFault.FORGED
    assert read(f"{header}.{body}") is TokenFault.FORGED


def test_a_token_signed_with_another_key_is_refused() -> None:
    """Another installation's, and one of a key that was derived for another purpose."""
    assert read(issue(AccessTokens(OTHER))) is TokenFault.MALFORMED
    assert read(sign(key=derive_key(MASTER, API_KEYS))) is TokenFault.FORGED
    assert read(sign(key=MASTER)) is TokenFault.FORGED


def test_a_previous_master_key_is_still_honoured() -> None:
    """Nobody is signed out by its rotation; new tokens carry the new key's id."""
    rotated = AccessTokens(OTHER, previous=[MASTER])
    assert isinstance(rotated.read(Secret(issue()), NOW_NS), AccessClaims)
    assert read(issue(rotated)) is TokenFault.MALFORMED


@given(st.text(max_size=300) | st.text(".abAB=-_", max_size=300), st.booleans())
def test_anything_may_be_presented(text: str, has_header: bool) -> None:
    """Nothing raises, whatever stands behind a right header too."""
    token = f"{issue().split('.')[0]}.{text}" if has_header else text
    assert isinstance(read(token), TokenFault)


@given(st.integers(0, 400), st.sampled_from("aZ0_.="))
def test_one_changed_character_is_noticed(position: int, char: str) -> None:
    """Anywhere in the token, except in what base64 does not use of its last character."""
    token = issue()
    position = min(position, len(token) - 2)
    changed = token[:position] + char + token[position + 1 :]
    assert isinstance(read(changed), TokenFault) == (changed != token)


@pytest.mark.parametrize("token", ["", ".", "..", "x" * 1_000_000, "a.b.c", "é.é.é", "\ud800"], ids=range(7))
def test_what_is_no_token_is_malformed(token: str) -> None:
    """Long ones cost nothing."""
    assert read(token) is TokenFault.MALFORMED


def test_opaque_tokens_hold_32_random_bytes() -> None:
    """And are known by the SHA-256 of their text."""
    made = {make_opaque_token().reveal() for _ in range(100)}
    assert len(made) == 100
    for token in made:
        assert len(base64.urlsafe_b64decode(token + "=")) == 32
        assert digest_opaque_token(Secret(token)) == hashlib.sha256(token.encode()).digest()


@given(st.text() | st.just("\ud800"))
def test_any_text_has_a_digest(text: str) -> None:
    """A client may present anything."""
    assert len(digest_opaque_token(Secret(text))) == 32


def test_the_claim_link_is_one_and_stays() -> None:
    """Every process and every start shows the same, another installation or number another."""
    token = make_claim_token(MASTER, 0)
    assert token == make_claim_token(MASTER, 0)
    assert len(token.reveal()) == 43
    assert is_claim_token(Secret(token.reveal()), token)
    assert not is_claim_token(make_claim_token(OTHER, 0), token)
    assert len({make_claim_token(MASTER, number).reveal() for number in range(20)}) == 20
    assert not is_claim_token(Secret(""), token)
