"""Canary secrets in every place a secret can be, through every way a call can go: none is found where it may not be."""

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import pytest_asyncio
from faults.world import Gateway, gateway
from proof.raw_client import Heard, RawClient
from running import STREAM_HEAD, Request, Upstream, framed, json_reply, upstream

# The show is played once; each test looks at what it left.
pytestmark = pytest.mark.asyncio(loop_scope="module")

# One provider key of a known make, one that looks like nothing, one in a header of the operator's own.
PROVIDER_KEYS = {
    "known": "sk-proj-canaryKnown0123456789abcdefghij",
    "plain": "canaryplain0123456789zyxwvutsrqpon",
    "claude": "canary.claude.0123456789.abcdefg",
}
HEADER_SECRET = "canaryheader0123456789qwertyuiop"
# Stored by people: a provider's key, which the provider repeats in whatever goes wrong; and what people sign in with.
STORED = "canarystored0123456789mnbvcxzlkj"
PASSWORD, NEW_PASSWORD = "canary password 0123456789", "canary new password 0123456789"
MASTER_KEY = base64.b64encode(b"canary-master-key-0123456789-abc").decode()
STRANGERS_KEY = "lgw_proj_canaryStranger0123456789abcdefghijklmnopqrstuv0"
COOKIE = "canarycookie0123456789"
PROMPT = "canaryprompt0123456789"
ALLOWED_ON_STDOUT = ("api_key", "test_key")

CONFIG = """
log_level = "debug"
[timeouts]
first_byte_ms = 150
idle_ms = 150
[retries]
max_tries = 2
base_backoff_ms = 2
[breaker]
failures = 1_000
[providers.dead]
dialect = "openai"
base_url = "http://127.0.0.1:1/v1"
api_key = "{dead}"
models = ["dead"]
"""
PROVIDER = """
[providers.{name}]
dialect = "{dialect}"
base_url = "{url}/{name}/v1"
api_key = "{key}"
models = ["{name}"]
headers = {{ x-operator = "{header}" }}
"""
# What the provider does: by a word in the prompt. Each failing one repeats all that it was sent.
STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529)
WHOLE_ACTS = ("answer", *(f"status-{status}" for status in STATUSES), "html", "half", "nothing", "silent", "in-success")
STREAM_ACTS = ("answer", "status-401", "status-500", "html", "error-inside", "cut-off", "silent", "garbage-inside")


class Evidence(msgspec.Struct, kw_only=True):
    """All that the show left: answers, metrics, every file while it ran and after, and what the providers saw."""

    keys: dict[str, str]
    # What answers gave to people, by what it is; each was shown in one answer alone.
    given: dict[str, str]
    answers: list[tuple[str, Heard]]
    metrics: bytes
    files: dict[str, bytes]
    asked: list[Request]

    def find(self, canary: str, *, excepting: Iterable[str] = ()) -> list[str]:
        """Every place that has the canary, as it is or in another spelling."""
        places = {**self.files, "metrics": self.metrics}
        places |= {f"answer {name}": _whole_text(heard) for name, heard in self.answers}
        spelled = [spelling.encode() for spelling in _spellings(canary)]
        found = [place for place, text in places.items() if any(spelling in text for spelling in spelled)]
        return sorted(set(found) - set(excepting))


def _spellings(canary: str) -> Iterator[str]:
    yield canary
    yield quote(canary, safe="")
    yield canary.encode().hex()
    yield json.dumps(canary)[1:-1]
    # The middle of its base64, which does not depend on what stands around it.
    yield base64.b64encode(canary.encode()).decode()[:-4]


def _whole_text(heard: Heard) -> bytes:
    return json.dumps(heard.headers).encode() + heard.body


async def betray(request: Request, writer: asyncio.StreamWriter) -> None:
    """A provider that repeats its caller's secrets in whatever goes wrong."""
    act = next(act for act in {*WHOLE_ACTS, *STREAM_ACTS} if f"act:{act}:".encode() in request.body)
    # As OpenAI does it, the key stands alone; the rest is a page that shows a developer everything.
    key = (request.headers.get("authorization") or request.headers.get("x-api-key", "")).removeprefix("Bearer ")
    secrets = f"Incorrect API key provided: {key}. {json.dumps(request.headers)} {request.body.decode()}"
    told = {"type": secrets[:200], "code": secrets[:200], "param": secrets[:200]}
    error = {"type": "error", "error": {"message": f"no: {secrets}", **told}}
    is_claude = request.path.startswith("/claude/")
    if act.startswith("status-"):
        writer.write(json_reply(error, int(act.removeprefix("status-"))))
    elif act == "html":
        page = f"<html>{secrets}</html>".encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(page) + page)
    elif act == "silent":
        await asyncio.sleep(5)
    elif b'"stream"' in request.body and b'"stream":true' in request.body.replace(b" ", b""):
        _stream(act, error, writer, is_claude=is_claude)
    else:
        writer.write(json_reply(_whole(act, error, is_claude=is_claude)))


def _whole(act: str, error: Any, *, is_claude: bool) -> bytes:
    text = json.dumps(_claude_reply() if is_claude else _openai_reply()).encode()
    broken = {"half": text[:20], "nothing": b"", "in-success": json.dumps(error).encode()}
    return broken.get(act, text)


def _stream(act: str, error: Any, writer: asyncio.StreamWriter, *, is_claude: bool) -> None:
    opening = _claude_opening() if is_claude else b"data: %s\n\n" % json.dumps(_chunk("Hi")).encode()
    writer.write(STREAM_HEAD + framed(opening))
    secrets = error["error"]["message"]
    endings = {
        "error-inside": f"event: error\ndata: {json.dumps(error)}\n\n",
        "garbage-inside": f"data: {{{secrets}\n\n",
        "cut-off": "",
    }
    end = "data: [DONE]\n\n" if not is_claude else 'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    writer.write((framed(rest) if (rest := endings.get(act, end).encode()) else b"") + framed(b""))


def _openai_reply() -> dict[str, Any]:
    message = {"role": "assistant", "content": "Hi"}
    return {"id": "r", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def _chunk(text: str) -> dict[str, Any]:
    return {"id": "r", "model": "m", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


def _claude_reply() -> dict[str, Any]:
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}
    return message | {"content": [{"type": "text", "text": "Hi"}], "usage": {"input_tokens": 1, "output_tokens": 1}}


def _claude_opening() -> bytes:
    message: dict[str, Any] = _claude_reply() | {"content": [], "stop_reason": None}
    events: tuple[dict[str, Any], ...] = (
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    )
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    )


def body_of(model: str, act: str, *, stream: bool) -> dict[str, Any]:
    """A chat with the prompt's canary in every field that takes words."""
    tool = {"type": "function", "function": {"name": "look", "description": PROMPT, "parameters": {"type": "object"}}}
    return {
        "model": model,
        "stream": stream,
        "messages": [
            {"role": "system", "content": f"{PROMPT} system"},
            {"role": "user", "content": f"act:{act}: {PROMPT}"},
        ],
        "tools": [tool],
        "user": f"{PROMPT} user",
    }


async def play_people(running: Gateway) -> tuple[dict[str, str], list[tuple[str, Heard]]]:
    """Sign up, store a provider's key, make and rotate keys, and call with them; gives the secrets and the answers.

    What shows a secret to whom it belongs is not among the answers.
    """
    client = RawClient(running.port)
    answers: list[tuple[str, Heard]] = []
    given: dict[str, str] = {}

    async def send(name: str, path: str, key: str, body: Any, *, shows: bool = False) -> Any:
        await client.send(path, key, body)
        heard = await client.answer()
        await client.leave()
        if not shows:
            answers.append((name, heard))
        return heard

    auth = "/api/v1/auth"
    person = {"email": "canary@example.com", "password": PASSWORD, "name": "Canary"}
    first = await send("register", f"{auth}/register", "", person, shows=True)
    given["refresh token"] = json.loads(first.body)["tokens"]["refresh_token"]
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    signed_in = await send("password", f"{auth}/password", json.loads(first.body)["access_token"], change, shows=True)
    token = given["access token"] = json.loads(signed_in.body)["access_token"]
    given["cookie"] = signed_in.headers["set-cookie"].partition("=")[2].partition(";")[0]
    await send("a wrong password", f"{auth}/login", "", {"email": person["email"], "password": f"{NEW_PASSWORD}!"})
    made = json.loads((await send("project", "/api/projects", token, {"name": "canary"}, shows=True)).body)
    project, given["project key"] = f"/api/projects/{made['id']}", made["api_key"]
    key = json.loads((await send("key", f"{project}/keys", token, {"name": "x"}, shows=True)).body)
    rotated = json.loads((await send("rotate", f"{project}/keys/{key['id']}/rotate", token, {}, shows=True)).body)
    given |= {"key": key["key"], "rotated key": rotated["key"]}
    wide = await send("account key", f"{auth}/apikey", token, {"name": "x"}, shows=True)
    given["account key"] = json.loads(wide.body)["api_key"]
    for provider in ("plain", "claude"):
        await send("store", f"{project}/providers", token, {"provider": provider, "api_key": STORED})
    await send("store in vain", f"{project}/providers", token, {"provider": "plain", "api_key": f"{STORED} {STORED}"})
    for path in (f"{project}/providers", f"{project}/keys", project, "/api/projects", f"{auth}/me"):
        answers.append((f"GET {path}", await client.get(path, token)))
        await client.leave()
    for model in ("plain", "claude"):
        for acts, stream in ((WHOLE_ACTS, False), (STREAM_ACTS, True)):
            for act in acts:
                body = body_of(model, act, stream=stream)
                await send(f"stored {model} {act} {stream}", "/v1/chat/completions", given["rotated key"], body)
    return given, answers


async def play(running: Gateway) -> list[tuple[str, Heard]]:
    """Send everything; gives the answers by name."""
    answers: list[tuple[str, Heard]] = []
    client = RawClient(running.port)
    live, test = running.keys["api_key"], running.keys["test_key"]
    chat = "/v1/chat/completions"
    headers = {"cookie": COOKIE, "x-forwarded-for": COOKIE}

    async def send(name: str, path: str, key: str, body: Any, more: Mapping[str, str] | None = None) -> None:
        await client.send(path, key, body, {**headers, **(more or {})})
        answers.append((name, await client.answer()))
        await client.leave()

    for model in (*PROVIDER_KEYS, "dead"):
        for acts, stream in ((WHOLE_ACTS, False), (STREAM_ACTS, True)):
            for act in acts[: 1 if model == "dead" else None]:
                await send(f"{model} {act} {stream}", chat, live, body_of(model, act, stream=stream))
    good = body_of("plain", "answer", stream=False)
    for key in (STRANGERS_KEY, live[:-1], f"{live}x", MASTER_KEY, PROVIDER_KEYS["known"], ""):
        await send("a wrong key", chat, key, good)
    await send("two keys", chat, live, good, {"x-api-key": test})
    await send("a key in the query", f"{chat}?api_key={live}", STRANGERS_KEY, good)
    await send("a key as a model", chat, live, good | {"messages": PROMPT})
    await send("an unknown path", f"/v1/nothing?key={live}", live, good)
    await send("a wrong type", chat, live, good, {"content-type": f"text/{PROMPT}"})
    await send("an embedding", "/v1/embeddings", live, {"model": "all-MiniLM-L6-v2", "input": PROMPT})
    for broken in (b'{"model": "plain", "messages": "' + PROMPT.encode(), b"\xff" + PROMPT.encode(), b""):
        await send("a broken body", chat, live, broken)
    for stream in (False, True):
        body = {"model": "m", "messages": [{"role": "user", "content": PROMPT}], "stream": stream}
        await send("the sandbox", chat, test, body)
    await client.send(chat, live, body_of("plain", "silent", stream=True), headers)
    await client.leave(rudely=True)
    answers.append(("the models", await client.get("/v1/models", live)))
    await client.leave()
    return answers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def evidence(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Evidence]:
    """The show, at the log level that says most."""
    folder = tmp_path_factory.mktemp("secrets")
    async with upstream(betray) as providers:
        url = providers.url.removesuffix("/v1")
        async with gateway(folder, _config(url), {"WATCHLLM_MASTER_KEY": MASTER_KEY}) as running:
            answers = await play(running)
            given, more = await play_people(running)
            answers += more
            metrics = (await running.ask("/metrics")).body
            await running.settled_rows()
            files = {f"running {name}": text for name, text in _read_files(folder).items()}
            keys = dict(running.keys)
        files |= _read_files(folder)
        yield Evidence(keys=keys, given=given, answers=answers, metrics=metrics, files=files, asked=_copy(providers))
    shutil.rmtree(folder)


def _config(url: str) -> str:
    return CONFIG.format(dead=PROVIDER_KEYS["plain"]) + "".join(
        PROVIDER.format(
            name=name, dialect="anthropic" if name == "claude" else "openai", url=url, key=key, header=HEADER_SECRET
        )
        for name, key in PROVIDER_KEYS.items()
    )


def _copy(providers: Upstream) -> list[Request]:
    return list(providers.requests)


def _read_files(folder: Path) -> dict[str, bytes]:
    """Everything that the process has written."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "watchllm.toml"
    }


async def test_the_show_took_every_way(evidence: Evidence) -> None:
    """Answers of every class came, and the database, the log and the providers have something to look at."""
    statuses = {heard.status for _, heard in evidence.answers}
    assert {200, 400, 401, 404, 415, 429, 502, 504} <= statuses
    assert len(evidence.files["data/watchllm.db"]) > 0
    assert b'"level"' in evidence.files["stderr"]
    assert len(evidence.asked) > len(PROVIDER_KEYS) * len(WHOLE_ACTS)


@pytest.mark.parametrize("name", PROVIDER_KEYS)
async def test_a_providers_key_goes_to_the_provider_alone(evidence: Evidence, name: str) -> None:
    """Whatever its make, and though the provider repeats it in its errors, it is in no answer and in no file."""
    assert evidence.find(PROVIDER_KEYS[name]) == []


async def test_a_stored_key_goes_to_the_provider_alone(evidence: Evidence) -> None:
    """Checklist 11: calls were sent with it, and it is in no answer, no log, no metric and no file."""
    assert any(STORED in json.dumps(request.headers) for request in evidence.asked)
    assert evidence.find(STORED) == []


@pytest.mark.parametrize("canary", [PASSWORD, NEW_PASSWORD])
async def test_a_password_is_kept_nowhere(evidence: Evidence, canary: str) -> None:
    """Only its hash is, and that is shown to nobody."""
    assert evidence.find(canary) == []
    answers = [f"answer {name}" for name, _ in evidence.answers]
    assert [place for place in evidence.find("$argon2") if place in answers] == []


GIVEN = ("refresh token", "access token", "cookie", "project key", "key", "rotated key", "account key")


@pytest.mark.row("E42")
@pytest.mark.parametrize("name", GIVEN)
async def test_what_is_given_to_a_person_is_shown_once(evidence: Evidence, name: str) -> None:
    """Tokens, cookies and keys are in the answer that makes them, and in no other, no log and no file."""
    assert sorted(evidence.given) == sorted(GIVEN)
    assert evidence.find(evidence.given[name]) == []
    assert evidence.find(evidence.given[name][24:]) == []


async def test_an_operators_header_goes_to_the_provider_alone(evidence: Evidence) -> None:
    """Headers that the operator adds hold credentials too."""
    assert evidence.find(HEADER_SECRET) == []


@pytest.mark.parametrize("name", ALLOWED_ON_STDOUT)
async def test_a_first_key_is_printed_and_kept_nowhere_else(evidence: Evidence, name: str) -> None:
    """The database has its digest and its beginning."""
    assert evidence.find(evidence.keys[name], excepting=("stdout", "running stdout")) == []
    assert evidence.find(evidence.keys[name][20:], excepting=("stdout", "running stdout")) == []


@pytest.mark.parametrize("canary", [MASTER_KEY, base64.b64decode(MASTER_KEY).decode(), STRANGERS_KEY, COOKIE])
async def test_nothing_else_that_is_secret_is_kept(evidence: Evidence, canary: str) -> None:
    """The master key, keys that were refused, and a client's cookies."""
    assert evidence.find(canary) == []


async def test_no_prompt_is_kept(evidence: Evidence) -> None:
    """A caller may read its own words; the log, the database, the journal and the metrics may not."""
    answers = [f"answer {name}" for name, _ in evidence.answers]
    assert evidence.find(PROMPT, excepting=answers) == []


async def test_a_provider_sees_no_callers_credential(evidence: Evidence) -> None:
    """Neither the gateway's keys nor a client's cookies go upstream, and each provider gets its own key alone."""
    for request in evidence.asked:
        seen = json.dumps(request.headers) + request.body.decode()
        own = request.path.split("/")[1]
        assert [secret for secret in evidence.given.values() if secret in seen] == []
        others = {key for name, key in PROVIDER_KEYS.items() if name != own}
        assert [secret for secret in (*evidence.keys.values(), COOKIE, MASTER_KEY, *others) if secret in seen] == []
