"""The proxy's own endpoints: chat completions, completions, embeddings and the list of models.

The three calls have two ways in with one door between: the server's short way, and ordinary ASGI, which any other
server takes, and calls with a key that is not known here yet, since the short way cannot wait. Both read the head, then
the body, then run the path of gateway.pipeline.run.
"""

from collections.abc import Callable, Coroutine
from typing import Any, cast

import msgspec
from litestar import Request, asgi, get
from litestar.di import NamedDependency
from litestar.handlers import ASGIRouteHandler
from litestar.params import FromPath
from litestar.types import Receive, Scope, Send

from cache.exact.repeats import MAX_BODY_BYTES, Repeat
from gateway.accounts.directory import KeyRecord
from gateway.accounts.keys import NO_CACHE_WISHES
from gateway.backends.interface import Client
from gateway.caching.policy import Allowed
from gateway.errors import Fault, shown
from gateway.ledger.figures.tags import join_tags
from gateway.limits.gate import CallPolicy
from gateway.limits.passage import Passage
from gateway.limits.refusals import lines_of
from gateway.pipeline import limits, reply, run
from gateway.pipeline.auth import KeyUnknown
from gateway.pipeline.flow import CacheWish, Inbound
from gateway.pipeline.route import SANDBOX
from gateway.pipeline.services import Services
from gateway.pipeline.starts.at_once import give_at_once
from gateway.pipeline.starts.together import Starter
from gateway.pipeline.tries.first import Runner
from gateway.surfaces.credentials import read_credentials
from gateway.surfaces.faults import not_allowed
from gateway.surfaces.guards import by_the_door, key_of, with_key
from gateway.surfaces.proxy import bodies, wishes
from gateway.surfaces.proxy.asgi_client import AsgiClient
from providers.pricing.prices import parse_usd
from providers.wire import Call, Headers

PATHS = {
    b"/v1/chat/completions": "chat/completions",
    b"/v1/completions": "completions",
    b"/v1/embeddings": "embeddings",
}
# What a key needs for the three calls, whatever its prefix (row C3).
SCOPE = "proxy"
MAX_TAGS_CHARS = 512
OURS = b"x-watchllm-"
MAX_COST = "x-watchllm-max-cost-usd"
NS_PER_S = 1_000_000_000
UNAUTHORIZED = 401


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a request, read; it holds for further requests with the same head while ``welcomes`` says so."""

    endpoint: str
    caller: KeyRecord
    # Of the directory that knew the caller.
    revision: int
    cache: CacheWish = "default"
    # How long the answer may be kept; None: as the project wants it.
    ttl_s: int | None = None
    # An answer is to be younger; None: any will do.
    max_age_s: int | None = None
    # The key's and the call's own.
    tags: str = ""
    session: str = ""
    max_cost_pusd: int | None = None
    allowed: Allowed = Allowed()
    # None: nothing limits the key's calls.
    policy: CallPolicy | None = None
    # Why none of these requests can become a call; a limited one is counted before it is told.
    refusal: Fault | None = None


class OpenAiDoor:
    """The way in to the pipeline for the three proxied endpoints."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._repeats = services.caching.answers.repeats
        # None: each call is begun as it comes.
        self._starter: Starter | None = None

    def endpoint(self, path: bytes) -> str | None:
        """The endpoint at a path, its query aside."""
        return PATHS.get(path) or PATHS.get(path.partition(b"?")[0])

    def knock(self, endpoint: str, headers: Headers, single: dict[bytes, bytes]) -> Visit | None:
        """Authenticate and read the headers that steer the gateway; raises Fault. None: the other way has to be taken.

        ``single`` are the same headers by name, the last where there are several.
        """
        try:
            caller = run.admit(read_credentials(headers, single), self._services)
        except KeyUnknown:
            return None
        return self.receive(endpoint, caller, headers, single)

    def receive(self, endpoint: str, caller: KeyRecord, headers: Headers, single: dict[bytes, bytes]) -> Visit:
        """Read the headers that steer the gateway, of a caller who was just found; raises Fault."""
        services = self._services
        visit = Visit(
            endpoint=endpoint,
            caller=caller,
            revision=services.directory.revision,
            policy=services.limiting.gate.policy_of(caller),
        )
        try:
            if SCOPE not in caller.scopes:
                raise Fault("insufficient_scope", f"This key lacks the scope {SCOPE!r}, which calling a model needs.")
            _refuse_repeated(headers, single)
            return _read_head(visit, single)
        except Fault as fault:
            if visit.policy is None:
                raise
            return msgspec.structs.replace(visit, refusal=fault)

    def welcomes(self, visit: Visit) -> bool:
        """Whether a further request with the head of this visit is the same visit: no key changed, none expired."""
        services, expires_ns = self._services, visit.caller.expires_ns
        if services.directory.revision != visit.revision:
            return False
        return expires_ns is None or services.now_ns() < expires_ns

    def enter(self, visit: Visit, body: bytes, client: Client, started_ns: int) -> Coroutine[Any, Any, None] | None:
        """Check the body and return the call's path, to be run; None where it is answered already, or will be begun."""
        services = self._services
        created_ns = services.now_ns()
        request_id = services.ids.new(created_ns)
        policy = visit.policy
        passage = None
        if policy is not None:
            passage = Passage(services.limiting.gate, policy, request_id, services.now_ns, created_ns)
        repeat = self._recall(visit, body)
        call = visit.refusal or (_decode(visit.endpoint, body) if repeat is None else repeat.call)
        if isinstance(call, Fault):
            if passage is not None:
                return limits.refuse(request_id, passage, client, call)
            reply.refuse(request_id, client, call)
            return None
        inbound = Inbound(
            request_id=request_id,
            call=call,
            caller=visit.caller,
            created_ns=created_ns,
            started_ns=started_ns,
            cache=visit.cache,
            ttl_s=visit.ttl_s,
            max_age_s=visit.max_age_s,
            tags=visit.tags,
            session=visit.session,
            passage=passage,
            max_cost_pusd=visit.max_cost_pusd,
            allowed=visit.allowed,
        )
        if repeat is not None and give_at_once(inbound, client, services):
            return None
        if self._starter is not None and client.takes_late:
            self._starter.begin(inbound, client)
            return None
        return run.run(inbound, client, services)

    def _recall(self, visit: Visit, body: bytes) -> Repeat[Call] | None:
        """What is remembered of a request that came before."""
        if len(body) > MAX_BODY_BYTES:
            return None
        repeat = self._repeats.find((visit.caller.key_id, body))
        return None if repeat is None or repeat.call.endpoint != visit.endpoint else repeat

    def decline(self, visit: Visit, client: Client, fault: Fault) -> Coroutine[Any, Any, None] | None:
        """Return what refuses a request with the head of a visit: it counts. None where it is refused already."""
        return self.enter(msgspec.structs.replace(visit, refusal=fault), b"", client, 0)

    def keep_rows(self) -> None:
        """Write the usage rows of the answers that are about to leave; what cannot be written is kept in memory."""
        self._services.recorder.write_noted()

    def serve_by(self, runner: Runner, end_turn: Callable[[], None]) -> None:
        """Have calls begin together that came in one turn, and answers leave with the turn in which they ended."""
        self._starter = Starter(self._services, runner)
        self._services.recorder.turn.after = end_turn

    def refuse(self, client: Client, fault: Fault, address: str = "") -> None:
        """Answer a request that did not get in; strangers are counted by their address."""
        now_ns = self._services.now_ns()
        strangers, lines = self._services.limiting.strangers, b""
        if strangers is not None and fault.status == UNAUTHORIZED:
            shown_window, limit = strangers.count(address, "models", now_ns)
            lines, fault = lines_of(shown_window), limit or fault
        reply.refuse(self._services.ids.new(now_ns), client, fault, limits=lines)


def _refuse_repeated(headers: Headers, single: dict[bytes, bytes]) -> None:
    """Raise Fault for a header of ours that came more than once: all but one would be dropped in silence."""
    if len(single) == len(headers):
        return
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and name.startswith(OURS):
            text = name.decode("latin-1")
            raise Fault("invalid_request", f"The header {text} came more than once; send it once.", param=text)
        seen.add(name)


def _read_head(visit: Visit, single: dict[bytes, bytes]) -> Visit:
    """Add what steers the gateway; raises Fault."""
    _check_type(single)
    wanted = visit.caller.cache or NO_CACHE_WISHES
    given = single.get(b"x-watchllm-cache")
    wish = wanted.mode or "default" if given is None else wishes.read_wish(given)
    control = single.get(b"cache-control")
    wish, max_age_s = (wish, None) if control is None else wishes.read_control(control, wish)
    ttl = single.get(b"x-watchllm-cache-ttl")
    return msgspec.structs.replace(
        visit,
        cache=wish,
        max_age_s=max_age_s,
        ttl_s=wanted.ttl_s if ttl is None else wishes.read_ttl(ttl),
        tags=join_tags(visit.caller.tags, _bounded(single.get(b"x-watchllm-tags"), "x-watchllm-tags")),
        session=_bounded(single.get(b"x-watchllm-session"), "x-watchllm-session"),
        max_cost_pusd=read_cap(single.get(b"x-watchllm-max-cost-usd")),
        allowed=wishes.read_allowed(single, wanted),
    )


def _decode(endpoint: str, body: bytes) -> Call | Fault:
    if not body:
        return Fault("invalid_request", "The body is empty; this endpoint takes a JSON object.")
    try:
        return bodies.decode(endpoint, body)
    except Fault as fault:
        return fault


def _check_type(headers: dict[bytes, bytes]) -> None:
    content_type = headers.get(b"content-type", b"")
    if content_type not in (b"application/json", b""):
        kind = content_type.partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise Fault(
                "unsupported_media_type",
                f"The body's content-type is {shown(kind.decode('latin-1'))}; this endpoint takes application/json.",
            )
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.strip().lower() != b"identity":
        raise Fault(
            "unsupported_media_type",
            f"The body's content-encoding is {shown(encoding.decode('latin-1'))}; send it uncompressed.",
        )


def read_cap(value: bytes | None) -> int | None:
    """Read ``x-watchllm-max-cost-usd`` as picodollars; raises Fault for anything but a decimal of dollars."""
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    try:
        return parse_usd(text)
    except ValueError as invalid:
        raise Fault("invalid_request", f"The header {MAX_COST} is wrong: {invalid}.", param=MAX_COST) from invalid


def _bounded(value: bytes | None, name: str) -> str:
    if not value:
        return ""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        # What HTTP's heads are by their oldest definition; every byte is a letter in it.
        text = value.decode("latin-1")
    if len(text) > MAX_TAGS_CHARS:
        raise Fault("invalid_request", f"The header {name} is over {MAX_TAGS_CHARS} characters.", param=name)
    return text


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """A callable model, in OpenAI's shape."""

    id: str
    object: str = "model"
    created: int
    owned_by: str


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """Every callable model."""

    object: str = "list"
    data: list[ModelCard]


@get("/v1/models", summary="List the models that can be called", tags=["Proxy"], guards=[with_key])
async def list_models(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> ModelList:
    """Every name that the key's project can call: configured aliases and what the configured providers offer."""
    return ModelList(data=_cards(services, key_of(request)))


@get("/v1/models/{model:path}", summary="Look up one model", tags=["Proxy"], guards=[with_key])
async def show_model(
    request: Request[Any, Any, Any], services: NamedDependency[Services], model: FromPath[str]
) -> ModelCard:
    """One model; names may contain slashes."""
    caller = key_of(request)
    name = model.removeprefix("/")
    for card in _cards(services, caller):
        if card.id == name:
            return card
    table = services.routes_of(caller)
    if caller.kind == "live" and caller.allowed_models is None and table.find(name) is not None:
        # Callable without being listed: a name with a provider's prefix, or a new model of a known family.
        return ModelCard(id=name, created=0, owned_by=table.owner(name))
    raise Fault("not_found", f"There is no model {shown(name)}. GET /v1/models lists them.", param="model")


def _cards(services: Services, caller: KeyRecord) -> list[ModelCard]:
    """What the caller can call. The sandbox answers a test key under any name; it is shown those that are known."""
    is_test, allowed = caller.kind == "test", caller.allowed_models
    cards = services.routes.all_cards() if is_test else services.routes_of(caller).cards()
    return [
        ModelCard(id=card.id, created=card.created, owned_by=SANDBOX if is_test else card.owned_by)
        for card in cards
        if allowed is None or card.id in allowed
    ]


def address_of(scope: Scope) -> str:
    """The network address that a request came from; what it says itself of where it came from is not asked."""
    address = scope["client"]
    return "" if address is None else address[0]


def proxied_routes(door: OpenAiDoor, services: Services) -> list[ASGIRouteHandler]:
    """The three calls as ASGI handlers, for whom the short way cannot serve."""
    return [_route(path.decode(), endpoint, door, services) for path, endpoint in PATHS.items()]


def _route(path: str, endpoint: str, door: OpenAiDoor, services: Services) -> ASGIRouteHandler:
    @asgi(path, copy_scope=False, guards=[by_the_door])
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        client = AsgiClient(receive, send)
        method = cast("dict[str, object]", scope).get("method")
        refusal = None if method == "POST" else not_allowed(path, str(method), "POST")
        started_ns = services.ticks_ns()
        headers = list(scope["headers"])
        single = dict(headers)
        visit: Visit | None = None
        try:
            caller = await run.meet(read_credentials(headers, single), services)
            visit = door.receive(endpoint, caller, headers, single)
            if refusal is not None:
                raise refusal
            body = await client.read_body(services.settings.server)
            answering = door.enter(visit, body, client, started_ns)
        except Fault as fault:
            if visit is None:
                # What is wrong with the credentials is not what a method that nobody may use is answered with.
                door.refuse(client, refusal or fault, address_of(scope))
                answering = None
            else:
                answering = door.decline(visit, client, fault)
        if answering is None:
            # Nothing leaves before its row is written.
            door.keep_rows()
            await client.flush()
        else:
            await client.answer(answering)

    return answer
