"""Stand-ins for what a call meets: a client, a backend, an exchange, a ledger; each remembers what was done to it."""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, cast

from caches import make_caching
from fake_directories import FakeCredentials, FakeDirectory
from idle_keeper import make_keeper
from limiting import make_limiting

from gateway.accounts.credential_directory import CredentialDirectory
from gateway.accounts.directory import KeyDirectory, KeyRecord
from gateway.accounts.vault import Vault
from gateway.backends.breaker import Breaker
from gateway.backends.in_process import InProcessReply
from gateway.backends.interface import Backend, Sink
from gateway.backends.purses import Purses
from gateway.config.settings import Breaker as BreakerSettings
from gateway.config.settings import Retries, Settings
from gateway.counters.memory import MemoryCounters
from gateway.ids import IdSource
from gateway.ledger.recording.recorder import Recorder
from gateway.ledger.recording.turn import Turn
from gateway.ledger.row import UsageRow
from gateway.pipeline.flow import Inbound, Route, Target
from gateway.pipeline.route import RouteTable
from gateway.pipeline.services import Services
from gateway.prompts.keeper import PromptKeeper
from gateway.telemetry import Metrics
from providers.catalogue import Catalogue
from providers.errors import ProviderError
from providers.handoff import Waiter
from providers.openai.dialect import OpenAiDialect
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import PriceTable
from providers.tokens import Tokenizers
from providers.wire import Call, Dialect, Headers, WireRequest

NOW_NS = 1_790_000_000_000_000_000
SCOPES = frozenset({"proxy", "usage:read"})
CALLER = KeyRecord(key_id="key_1", project_id="proj_1", kind="live", scopes=SCOPES)
TESTER = KeyRecord(key_id="key_2", project_id="proj_1", kind="test", scopes=SCOPES)
ENDPOINTS = frozenset({"chat/completions", "completions", "embeddings"})
# 1 and 2 USD a million: a picodollar times a million per token.
PRICES = (PriceRow(provider="openai", model="m", effective_from="2020-01-01", input="1", output="2"),)
USAGE = {"prompt_tokens": 15, "completion_tokens": 10, "total_tokens": 25}


def plain_dialect(*, asks_stream_usage: bool = False) -> OpenAiDialect:
    """OpenAI's protocol without quirks."""
    return OpenAiDialect(endpoints=ENDPOINTS, quirks=(), asks_stream_usage=asks_stream_usage, now_s=lambda: 0)


def chat_body(**more: Any) -> bytes:
    """A chat's body."""
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}], **more}).encode()


def make_call(**fields: Any) -> Call:
    """A chat call; fields given win."""
    body = chat_body(**({"stream": True} if fields.get("stream") else {}))
    return Call(**{"endpoint": "chat/completions", "body": body, "model": "m", **fields})


def make_inbound(call: Call | None = None, **fields: Any) -> Inbound:
    """A request that its surface has decoded."""
    usual: dict[str, Any] = {
        "request_id": "r1",
        "call": call or make_call(),
        "caller": CALLER,
        "created_ns": NOW_NS,
        "started_ns": 0,
    }
    return Inbound(**{**usual, **fields})


def answer_body(**more: Any) -> bytes:
    """A whole answer of OpenAI."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}
    return json.dumps({"id": "c1", "choices": [choice], "usage": USAGE, **more}).encode()


def whole(status: int = 200, headers: Headers = (), body: bytes | None = None) -> InProcessReply:
    """A whole reply of a provider."""
    return InProcessReply(status=status, headers=headers, body=answer_body() if body is None else body)


def chunk(content: str | None = "Hi", finish: str | None = None, **more: Any) -> bytes:
    """One event of a stream."""
    delta = {} if content is None else {"content": content}
    value = {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(value).encode() + b"\n\n"


USAGE_CHUNK = b"data: " + json.dumps({"id": "c1", "choices": [], "usage": USAGE}).encode() + b"\n\n"
DONE = b"data: [DONE]\n\n"
STREAM = (chunk("Hel"), chunk("lo!"), chunk(None, "stop"), USAGE_CHUNK, DONE)


class FakeClient:
    """A client that keeps what it was sent; see gateway.backends.interface.Client."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.is_gone = self.takes_late = False
        self.log: list[str] = [] if log is None else log
        self.status = 0
        self.head = b""
        self.data = b""
        self.parts: list[bytes] = []
        self.answers = 0
        self.is_whole = False
        self.on_write: Callable[[], None] | None = None
        self._on_gone: Callable[[], None] | None = None
        self._on_pressure: Callable[[bool], None] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The header lines; a name that comes twice fails."""
        lines = [line.partition(": ") for line in self.head.decode().split("\r\n") if line]
        assert len({name.lower() for name, _, _ in lines}) == len(lines), lines
        return {name: value for name, _, value in lines}

    @property
    def json(self) -> Any:
        """The body of a whole answer."""
        return json.loads(self.data)

    @property
    def events(self) -> list[str]:
        """The data of a stream's events."""
        return [event.removeprefix("data: ") for event in self.data.decode().split("\n\n") if event]

    def send(self, status: int, head: bytes, *body: bytes | memoryview) -> None:
        """Take a whole answer."""
        self._begin(status, head)
        self._take("send", b"".join(body), is_whole=True)

    def start(self, head: bytes) -> None:
        """Take a stream's head."""
        self._begin(200, head)
        self.log.append("start")

    def write(self, data: bytes) -> None:
        """Take a part."""
        self._take("write", data, is_whole=False)

    def end(self, *data: bytes) -> None:
        """Take the last part."""
        self._take("end", b"".join(data), is_whole=True)

    def watch(self, on_gone: Callable[[], None], on_pressure: Callable[[bool], None]) -> None:
        """Be watched; a client that left already tells at once."""
        self._on_gone = on_gone
        self._on_pressure = on_pressure
        if self.is_gone:
            on_gone()

    def leave(self) -> None:
        """Close the connection."""
        self.is_gone = True
        if self._on_gone is not None:
            self._on_gone()

    def press(self, is_slow: bool) -> None:
        """Read too slowly, or fast enough again."""
        if self._on_pressure is not None:
            self._on_pressure(is_slow)

    def _begin(self, status: int, head: bytes) -> None:
        self.status = status
        self.head = head
        self.answers += 1

    def _take(self, what: str, data: bytes, *, is_whole: bool) -> None:
        assert not self.is_whole, "nothing follows the end of an answer"
        self.log.append(what)
        if not self.is_gone:
            self.parts.append(data)
            self.data += data
        self.is_whole = is_whole
        if self.on_write is not None:
            self.on_write()


class FakeExchange:
    """An answer whose head has arrived; its pieces come when ``play`` is called, or at once when attached."""

    gist = InProcessReply.gist

    def __init__(
        self,
        pieces: Sequence[bytes] = (),
        *,
        error: ProviderError | None = None,
        is_prompt: bool = True,
        status: int = 200,
        headers: Headers = (),
        body: bytes = b"",
    ) -> None:
        self.status, self.headers = status, headers
        self.whole: Sequence[bytes] | None = None
        self.log, self.sink = list[str](), cast("Sink | None", None)
        self._pieces, self._error, self._is_prompt, self._body = pieces, error, is_prompt, body

    def attach(self, sink: Sink) -> None:
        """Have the body delivered."""
        self.sink = sink
        if self._is_prompt:
            asyncio.get_running_loop().call_soon(self.play)

    def play(self) -> None:
        """Deliver everything."""
        assert self.sink is not None
        for piece in self._pieces:
            self.sink.piece(piece)
        self.sink.ended(self._error)

    async def read(self, limit_bytes: int) -> bytes:
        """The body whole."""
        return self._body[:limit_bytes]

    def touch(self) -> None:
        """An event was complete."""
        self.log.append("touch")

    def pause(self) -> None:
        """Stop reading."""
        self.log.append("pause")

    def resume(self) -> None:
        """Go on reading."""
        self.log.append("resume")

    def release(self) -> None:
        """The rest is of no interest."""
        self.log.append("release")

    def abort(self) -> None:
        """Close now."""
        self.log.append("abort")


class FakeBackend:
    """A provider that does what its script says, one step a call; the last step repeats."""

    def __init__(
        self,
        *script: Any,
        name: str = "openai",
        dialect: Dialect | None = None,
        is_free: bool = False,
        cancels: bool = True,
        stops: bool = False,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self.name, self.is_free, self.secrets = name, is_free, secrets
        self.cancel_stops_whole_calls, self.dialect = stops, cast("Dialect", dialect or plain_dialect())
        self.requests = list[WireRequest]()
        self._script, self._cancels = list(script), cancels

    def cancel_stops_billing(self, model: str) -> bool:
        """As it was built."""
        return self._cancels

    def post(self, call: Call, request: WireRequest, waiter: Waiter) -> Any:
        """No connection was kept; see posting.PostingBackend."""

    def step(self, request: WireRequest) -> Any:
        """The next step."""
        self.requests.append(request)
        return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    async def fetch(self, call: Call, request: WireRequest) -> Any:
        """Do the next step."""
        step = self.step(request)
        if isinstance(step, BaseException):
            raise step
        return await step() if callable(step) else step

    open = fetch


class FakeRecorder:
    """A ledger's writer that keeps its rows."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.rows, self.log = list[UsageRow](), list[str]() if log is None else log
        self.is_accepting, self.pending, self.turn = True, 0, Turn(self.write_noted)
        self.failure: Exception | None = None
        self.on_sync: Callable[[], Any] | None = None

    def record(self, row: UsageRow) -> None:
        """Keep a row, or fail as asked."""
        FakeRecorder.take(self, row)
        if self.failure is not None:
            raise self.failure

    def take(self, row: UsageRow) -> None:
        """Keep a row with others."""
        self.log.append("record")
        self.rows.append(row)

    def write_noted(self) -> None:
        """All is written as it comes."""
        self.turn.finish()

    async def synced(self) -> None:
        """Survive a loss of power."""
        self.log.append("synced")
        if self.on_sync is not None:
            await self.on_sync()


class FakeTokenizers:
    """A token a character; a prompt is always a thousand."""

    failure: Exception | None = None

    def count(self, model: str, text: str) -> int:
        """Count a text."""
        if self.failure is not None:
            raise self.failure
        return len(text)

    def count_prompt(self, model: str, body: bytes) -> int:
        """Count a body."""
        self.count(model, "")
        return 1_000


class Clock:
    """Monotonic time that passes only when told."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns

    def pass_ms(self, ms: float) -> None:
        """Let time pass."""
        self.ns += int(ms * 1_000_000)


async def turn() -> None:
    """Let everything that is ready run once; unlike asyncio.sleep it is never patched."""
    ran = asyncio.get_running_loop().create_future()
    ran.get_loop().call_soon(ran.set_result, None)
    await ran


def make_table(*backends: Any, aliases: dict[str, tuple[tuple[str, str], ...]] | None = None) -> RouteTable:
    """A route table in which the name "m" goes to every backend in order."""
    targets = tuple((backend.name, "m") for backend in backends if backend.name != "sandbox")
    return RouteTable(
        backends={backend.name: cast("Backend", backend) for backend in backends},
        aliases={"m": targets} if aliases is None else aliases,
        served={},
        catalogue=Catalogue((), "2026-01-01"),
        breaker=BreakerSettings(),
    )


def make_services(*backends: Any, settings: Settings | None = None, **parts: Any) -> Services:
    """Services for the rooms; parts given win."""
    usual: dict[str, Any] = {
        "settings": settings or Settings(retries=Retries(base_backoff_ms=1)),
        **{"directory": cast("KeyDirectory", FakeDirectory()), "routes": make_table(*backends)},
        "purses": Purses(cast("CredentialDirectory", FakeCredentials()), {}, lambda: NOW_NS),
        "prices": PriceTable(PRICES),
        "tokenizers": cast("Tokenizers", FakeTokenizers()),
        "recorder": cast("Recorder", FakeRecorder()),
        **{"ids": IdSource(), "loop": asyncio.get_running_loop(), "now_ns": lambda: NOW_NS},
        **{"ticks_ns": Clock(), "metrics": Metrics(version="1")},
        "jitter": random.Random(1),  # noqa: S311 - guards nothing
        **{"relays": set(), "counters": MemoryCounters(), "limiting": make_limiting(), "budgets": make_keeper()},
        "caching": make_caching(),
        "prompts": PromptKeeper(cast("Any", None), Vault(bytes(32)), lambda: NOW_NS),
    }
    return Services(**{**usual, **parts})


def make_target(backend: Any, *, breaker: Breaker | None = None, model: str = "m") -> Target:
    """A target; its breaker opens after five failures in a row, for ten seconds."""
    lines = b"x-watchllm-provider: %s\r\nx-watchllm-model: m\r\n" % backend.name.encode()
    breaker = breaker or Breaker(failures=5, cooldown_ms=10_000)
    return Target(backend=cast("Backend", backend), model=model, breaker=breaker, lines=lines)


def make_route(*targets: Target) -> Route:
    """A route through these targets."""
    return Route(targets=targets, reason="test")


def rows_of(services: Services) -> list[UsageRow]:
    """What the fake recorder kept."""
    return cast("FakeRecorder", services.recorder).rows
