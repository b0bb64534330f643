"""Schemathesis over the whole OpenAPI document finds nothing that the gateway does and the document does not say."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from running import running
from security.tenants import NOWHERE, PASSWORD, World, build_world

# Whose session these end: asked last, and with a session of their own.
ENDING = "auth/(logout|password)|account/leave|accounts/switch|/sessions"
# A program's calls, which the sandbox answers.
PROGRAMS = "^/v1/(chat|completions|embeddings|models|quote)"
# A stream that goes on for as long as somebody listens: it has tests of its own.
ENDLESS = "/live$"
# "unsupported_method" is left out: some of the documents know no 405, and say 400 for it (row C2).
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance"
)
EXAMPLES = 4
DEADLINE_S = 240


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One gateway for this module."""
    config = f"{NOWHERE}[limits]\nauth_per_minute = 0\n"
    async with running(tmp_path_factory.mktemp("schemathesis"), config) as gateway:
        base = f"http://127.0.0.1:{gateway.port}"
        async with httpx.AsyncClient(base_url=base, timeout=20, trust_env=False) as client:
            yield await build_world(gateway, client)


async def run(world: World, folder: Path, credential: str, *choice: str) -> tuple[int, int, str]:
    """Run it; gives the exit code, how many requests were made, and what was printed."""
    document = f"http://127.0.0.1:{world.running.port}/schema/openapi.json"
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        document,
        "--header",
        f"Authorization: Bearer {credential}",
    ]
    command += ["--phases", "coverage,fuzzing", "--max-examples", f"{EXAMPLES}", "--checks", CHECKS, *choice]
    command += ["--seed", "1", "--generation-database", "none", "--no-shrink", "--continue-on-failure"]
    command += ["--warnings", "off", "--no-color", "--request-timeout", "20"]
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    try:
        async with asyncio.timeout(DEADLINE_S):
            printed, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    text = printed.decode()
    counted = re.search(r"(\d+) generated", text)
    return running.returncode or 0, int(counted[1]) if counted else 0, text


@pytest.mark.long
@pytest.mark.timeout(3 * DEADLINE_S)
@pytest.mark.asyncio(loop_scope="module")
async def test_schemathesis_finds_nothing(world: World, tmp_path: Path) -> None:
    """Every operation, as its own kind of caller, with what fits its schema and with what does not."""
    answer = await world.ask("POST", "/api/v1/auth/login", {"email": world.ann.email, "password": PASSWORD})
    runs = (
        (world.opal.token, "--exclude-path-regex", f"{ENDING}|{PROGRAMS}|{ENDLESS}"),
        (world.running.test_key, "--include-path-regex", PROGRAMS),
        (answer.json()["access_token"], "--include-path-regex", ENDING),
    )
    for credential, *choice in runs:
        code, requests, printed = await run(world, tmp_path, credential, *choice)
        print(f"{choice[0]} {choice[1]}: {requests} requests")
        assert code == 0, printed
        assert requests > EXAMPLES
