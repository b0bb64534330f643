"""The cases that are about people: their sessions, passwords and tokens, played against the running gateway."""

import itertools
import json
import re
from typing import Any

from faults.cases import Case
from faults.judging import Seen
from faults.wire import Reply, exchange
from faults.world import World

PASSWORD = "correct horse battery"
LOGIN, REGISTER, ME = "/api/v1/auth/login", "/api/v1/auth/register", "/api/v1/auth/me"
COOKIE = "watchllm_session"
FORBIDDEN_BODY = {"role": "admin", "balance": 999_999, "org_id": "other"}
SECRETS = ("$argon2", PASSWORD, "lgw_proj_", "lgw_test_", "sk-", COOKIE, "refresh_token", "access_token", "digest")
TRIES = 6
# A password's hash at its full cost takes longer on any machine; an answer without one takes a tenth of it.
HASHING_S = 0.02
_numbers = itertools.count()


async def send(world: World, method: str, path: str, body: Any = None, **headers: str) -> Reply:
    """One request; underscores in headers are hyphens, and a body that is no bytes is JSON."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    lines = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = f"{method} {path} HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: {len(content)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return await exchange(world.port, head.encode() + b"\r\n" + content)


async def sign_up(world: World, **more: str) -> tuple[str, Reply]:
    """Register somebody new; gives the address and the answer."""
    email = f"person{next(_numbers)}@example.com"
    reply = await send(world, "POST", REGISTER, {"email": email, "password": PASSWORD, **more})
    assert reply.status == 201, reply
    return email, reply


def token_of(reply: Reply) -> str:
    """The access token of an answer."""
    return str(reply.json()["access_token"])


def cookie_of(reply: Reply) -> str:
    """The session cookie that an answer sets, as a browser sends it back."""
    return str(reply.header("set-cookie")).partition(";")[0]


async def me(world: World, **headers: str) -> int:
    """The status with which the gateway says who one is."""
    return (await send(world, "GET", ME, **headers)).status


async def csrf(case: Case, world: World) -> Seen:
    """Another page posts text/plain JSON with the cookie; then our own page does, with a body that is no JSON type."""
    _, reply = await sign_up(world)
    cookie, body = cookie_of(reply), {"name": "stolen"}
    foreign = [
        await send(world, "PATCH", "/api/account", body, cookie=cookie, content_type=kind, origin=origin)
        for kind in ("text/plain", "application/json")
        for origin in ("https://evil.example", "null")
    ]
    plain = await send(
        world, "PATCH", "/api/account", body, cookie=cookie, content_type="text/plain", origin="http://gateway.test"
    )
    own = await send(world, "PATCH", "/api/account", {"name": "mine"}, cookie=cookie, origin="http://gateway.test")
    is_lax = "samesite=lax" in str(reply.header("set-cookie")).lower()
    return _seen(case, foreign, guarded=is_lax and plain.status == 415 and own.json()["name"] == "mine")


async def fixation(case: Case, world: World) -> Seen:
    """Somebody signs in with a cookie that an attacker has planted."""
    email, _ = await sign_up(world)
    planted = f"{COOKIE}=planted-by-the-attacker"
    reply = await send(world, "POST", LOGIN, {"email": email, "password": PASSWORD}, cookie=planted)
    fresh = cookie_of(reply)
    is_new = fresh != planted and await me(world, cookie=planted) == 401 and await me(world, cookie=fresh) == 200
    return _seen(case, [reply], is_new=is_new)


async def pwchange(case: Case, world: World) -> Seen:
    """After a change of the password the other session shows its cookie and its token."""
    email, first = await sign_up(world)
    second = await send(world, "POST", LOGIN, {"email": email, "password": PASSWORD})
    body = {"current_password": PASSWORD, "new_password": "another horse battery"}
    changed = await send(world, "POST", "/api/v1/auth/password", body, authorization=f"Bearer {token_of(second)}")
    assert changed.status == 200, changed
    shown = ({"cookie": cookie_of(first)}, {"authorization": f"Bearer {token_of(first)}"})
    return _seen(case, [await send(world, "GET", ME, **headers) for headers in shown])


async def bruteforce(case: Case, world: World) -> Seen:
    """Wrong passwords for somebody who exists and for somebody who does not: one text, and a hash each."""
    email, _ = await sign_up(world)
    replies: dict[str, list[Reply]] = {email: [], "nobody@example.com": []}
    for number in range(TRIES):
        for address, answers in replies.items():
            answers.append(await send(world, "POST", LOGIN, {"email": address, "password": f"wrong guess {number}"}))
    answers = [*replies[email], *replies["nobody@example.com"]]
    is_alike = len({reply.body for reply in answers}) == 1 and min(reply.seconds for reply in answers) > HASHING_S
    return _seen(case, answers, is_alike=is_alike)


async def pass_the_hash(case: Case, world: World) -> Seen:
    """A stolen database is no password: the stored hash does not sign in."""
    email, _ = await sign_up(world)
    stored = [
        hash_ for address, hash_ in world.gateway.read("SELECT email, password_hash FROM users") if address == email
    ]
    assert stored[0].startswith("$argon2id$")
    return _seen(case, [await send(world, "POST", LOGIN, {"email": email, "password": stored[0]})])


async def play_role(case: Case, world: World) -> Seen:
    """A person and a key try to make themselves more than they are; nothing of it takes effect."""
    _, reply = await sign_up(world)
    bearer = {"authorization": f"Bearer {token_of(reply)}"}
    path = case["request"]["path"]
    replies = [
        await send(world, "PATCH", path, body, **bearer)
        for body in (FORBIDDEN_BODY, {"full_name": "x", **FORBIDDEN_BODY})
    ]
    after = (await send(world, "GET", path, **bearer)).json()
    assert (after["full_name"], after["operator"]) == ("", False), after
    return _seen(case, replies, is_foreign=False)


async def play_listing(case: Case, world: World) -> Seen:
    """The operator lists everybody."""
    claim = re.search(r"/claim#(\S+)", world.gateway.log)
    assert claim is not None
    _, reply = await sign_up(world, claim=claim[1])
    listed = await send(world, "GET", case["request"]["path"], authorization=f"Bearer {token_of(reply)}")
    text = listed.body.decode() + listed.head_text
    assert listed.json()["users"]
    return _seen(case, [listed], has_no_secret=not any(secret in text for secret in SECRETS), is_foreign=False)


def _seen(case: Case, replies: list[Reply], **facts: bool) -> Seen:
    """What was seen; errors below /api/v1/auth are in another document's envelope."""
    return Seen(case=case, replies=replies, facts={"is_foreign": True, **facts})
