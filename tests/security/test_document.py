"""The OpenAPI document is what the gateway does: whatever is sent, the answer is one that the document has."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from running import running
from security.schema import ANY_JSON, ANY_TEXT, find_misfit, follow, values
from security.tenants import NOWHERE, PASSWORD, World, build_world

from gateway.web.document import load_proxy_document

# A program's calls, which the sandbox answers.
PROXY = "/v1/"
FEW, MANY = 3, 40
LOGIN = "/api/v1/auth/login"


class Case(msgspec.Struct, frozen=True):
    """What is asked."""

    method: str
    path: str
    content: bytes | None
    kind: str


class Operation:
    """An operation of the document; without a repr, which would be as long as the document."""

    def __init__(self, path: str, method: str, described: dict[str, Any], document: dict[str, Any]) -> None:
        self.path, self.method, self.described, self.document = path, method.upper(), described, document


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One gateway for this module."""
    async with running(tmp_path_factory.mktemp("document"), NOWHERE) as gateway:
        base = f"http://127.0.0.1:{gateway.port}"
        async with httpx.AsyncClient(base_url=base, timeout=20, trust_env=False) as client:
            yield await build_world(gateway, client)


async def read_document(world: World) -> dict[str, Any]:
    """The document that the running gateway serves."""
    return json.loads((await world.client.get("/schema/openapi.json")).text)  # type: ignore[no-any-return]


@st.composite
def cases(draw: st.DrawFn, operation: Operation) -> Case:
    """Requests that fit the operation, nearly fit it, or are anything."""
    path, method, document = operation.path, operation.method, operation.document
    query: list[str] = []
    for raw in operation.described.get("parameters", ()):
        parameter = follow(raw, document)
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(draw(ANY_TEXT.filter(bool)), safe=""))
        elif parameter["in"] == "query" and draw(st.booleans()):
            value = draw(values(parameter.get("schema", {}), document) | ANY_TEXT)
            query.append(f"{parameter['name']}={quote(str(value).lower(), safe='')}")
    if query:
        path = f"{path}?{'&'.join(query)}"
    body = operation.described.get("requestBody")
    if body is None:
        return Case(method, path, None, "")
    schema = next(iter(follow(body, document)["content"].values()))["schema"]
    content = draw(values(schema, document).map(_encode) | ANY_JSON.map(_encode) | st.binary(max_size=20), label="body")
    return Case(method, path, content, draw(st.sampled_from(["application/json"] * 9 + ["text/plain"])))


def _encode(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def find_problem(answer: httpx.Response, operation: dict[str, Any], document: dict[str, Any]) -> str | None:
    """Say what about an answer is not in the document."""
    responses = operation["responses"]
    if answer.status_code >= 500:
        return f"status {answer.status_code}: {answer.text[:300]}"
    if str(answer.status_code) not in responses:
        return f"status {answer.status_code} is not documented: {answer.text[:300]}"
    contents = follow(responses[str(answer.status_code)], document).get("content", {})
    kind = answer.headers.get("content-type", "").partition(";")[0]
    documented = {name.partition(";")[0]: content for name, content in contents.items()}
    if kind not in documented:
        return f"{answer.status_code} has the type {kind!r}, not one of {sorted(documented)}"
    if kind != "application/json":
        return None
    misfit = find_misfit(answer.json(), documented[kind].get("schema", {}), document)
    return misfit and f"{answer.status_code}: {misfit} in {answer.text[:300]}"


async def ask(client: httpx.AsyncClient, case: Case, headers: dict[str, str]) -> httpx.Response:
    """What is answered; of a stream that goes on for as long as somebody listens, its head."""
    async with client.stream(case.method, case.path, content=case.content, headers=headers) as answer:
        if not (answer.is_success and case.path.partition("?")[0].endswith("/live")):
            await answer.aread()
        return answer


async def walk(world: World, examples: int) -> list[str]:
    """Ask every operation so many times; every difference is one line."""
    document = await read_document(world)
    problems: list[str] = []
    tokens = {"": world.opal.token, PROXY: world.running.test_key}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for case in draw_cases(cases(Operation(path, method, operation, document)), examples):
                for answer in await ask_signed_in(world, case, tokens, PROXY if path.startswith(PROXY) else ""):
                    problem = find_problem(answer, operation, document)
                    if problem is not None:
                        problems.append(f"{case!r}: {problem}")
    return problems


async def ask_signed_in(world: World, case: Case, tokens: dict[str, str], kind: str) -> list[httpx.Response]:
    """What is answered; again, with a new token, where an earlier request had ended the session."""
    answers: list[httpx.Response] = []
    while True:
        headers = {"authorization": f"Bearer {tokens[kind]}"}
        if case.kind:
            headers["content-type"] = case.kind
        answers.append(await ask(world.client, case, headers))
        world.client.cookies.clear()
        if kind == PROXY or answers[-1].status_code not in (401, 403):
            return answers
        renewed = await _renew(world, tokens[kind])
        if renewed == tokens[kind]:
            return answers
        tokens[kind] = renewed


def draw_cases(strategy: st.SearchStrategy[Case], examples: int) -> list[Case]:
    """As many as asked for, the same in every run."""
    drawn: list[Case] = []

    @settings(
        max_examples=examples, phases=[Phase.generate], database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def keep(case: Case) -> None:
        drawn.append(case)

    keep()
    return drawn


async def _renew(world: World, token: str) -> str:
    """A token of the operator's, a new one where the last request ended its session."""
    headers = {"authorization": f"Bearer {token}"}
    if (await world.client.get("/api/v1/auth/me", headers=headers)).is_success:
        return token
    answer = await world.client.post(LOGIN, json={"email": world.opal.email, "password": PASSWORD})
    world.client.cookies.clear()
    return str(answer.json()["access_token"])


@pytest.mark.asyncio(loop_scope="module")
async def test_the_document_has_every_answer(world: World) -> None:
    """A few requests to each operation: no 5xx, no status, type or field that the document lacks."""
    problems = await walk(world, FEW)
    assert not problems, "\n".join(problems)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.asyncio(loop_scope="module")
async def test_the_document_has_every_answer_at_length(world: World) -> None:
    """Many requests to each operation."""
    problems = await walk(world, MANY)
    assert not problems, "\n".join(problems)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_document_stands_by_itself(world: World) -> None:
    """Every operation has a summary, a tag and an id of its own, and every reference leads somewhere."""
    document = await read_document(world)
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert [operation for operation in operations if not operation.get("summary") or not operation.get("tags")] == []
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    for reference in set(re.findall(r'"\$ref": ?"(#[^"]+)"', json.dumps(document))):
        assert follow({"$ref": reference}, document)


def test_the_written_part_uses_no_unchecked_word() -> None:
    """A misfit is found or the schema is not used."""
    document = load_proxy_document()
    for schema in document["components"]["schemas"].values():
        find_misfit(None, schema, document)
