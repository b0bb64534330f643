"""Room 4: which targets can answer a call, in which order, and why. Pure: same inputs, same route.

A project with credentials of its own has a table of its own: the same names, its backends in place of the configured
ones, and the breakers of these apart, so that a bad credential of one project spares no target of another's.
"""

from collections.abc import Callable, Iterable, Mapping

from gateway.accounts.directory import KeyRecord
from gateway.backends.breaker import Breaker
from gateway.backends.interface import Backend, Head
from gateway.backends.purses import Purse
from gateway.config.settings import Breaker as BreakerSettings
from gateway.errors import Fault, shown
from gateway.pipeline.flow import Gist, Route, Target, gist_reader, header_text
from providers.catalogue import Catalogue, ModelCard, closest
from providers.registry import PROVIDERS

# Routes of names are remembered; a caller can invent names, so only this many are kept.
MAX_CACHED_ROUTES = 4_096
# Of a table for stored credentials, and how many such tables are kept.
MAX_OWN_ROUTES = 256
MAX_OWN_TABLES = 1_024
SANDBOX = "sandbox"
# Of those that a key is limited to, in a refusal.
MAX_TOLD_MODELS = 8


class RouteTable:
    """The configured aliases, the providers' own lists and the catalogue, as one lookup by model name."""

    def __init__(
        self,
        *,
        backends: dict[str, Backend],
        aliases: dict[str, tuple[tuple[str, str], ...]],
        served: dict[str, tuple[str, ...]],
        catalogue: Catalogue,
        breaker: BreakerSettings,
    ) -> None:
        self._backends = backends
        self._aliases = aliases
        # Model names that a configured provider says it serves; "*" stands for every name.
        self._served = served
        self._catalogue = catalogue
        self._available = frozenset(name for name in backends if name != SANDBOX)
        self._breaker = breaker
        self._targets: dict[tuple[str, str], Target] = {}
        # By provider: what reads the heads of its answers.
        self._readers: dict[str, Callable[[Head], Gist]] = {}
        self._routes: dict[str, Route | None] = {}
        self._max_routes = MAX_CACHED_ROUTES
        # Of the table that this one was made from: whatever is not replaced is its.
        self._parent: RouteTable | None = None
        self._replaced: frozenset[str] = frozenset()
        self._own: dict[tuple[int, ...], RouteTable] = {}
        self._credential_ids: Mapping[str, str] = {}

    def of(self, purse: Purse) -> "RouteTable":
        """The table for calls with stored credentials: their backends beside and instead of the configured ones."""
        if not purse.backends:
            return self
        own = self._own.get(purse.key)
        if own is None:
            if len(self._own) >= MAX_OWN_TABLES:
                self._own.clear()
            own = self._own[purse.key] = RouteTable(
                backends={**self._backends, **purse.backends},
                aliases=self._aliases,
                served=self._served,
                catalogue=self._catalogue,
                breaker=self._breaker,
            )
            own._max_routes = MAX_OWN_ROUTES
            own._parent = self
            own._replaced = frozenset(purse.backends)
            own._credential_ids = purse.credential_ids
        return own

    @property
    def providers(self) -> frozenset[str]:
        """The providers that can be called, the sandbox aside."""
        return self._available

    @property
    def targets(self) -> list[Target]:
        """The targets that were routed to so far."""
        return list(self._targets.values())

    def routed(self, models: Iterable[str]) -> list[Target]:
        """The targets that calls of these names could go to so far, fallbacks included."""
        routes = [self._routes.get(model) for model in models]
        return [target for route in routes if route is not None for target in route.targets]

    def find(self, model: str) -> Route | None:
        """The route of a name, None where nobody answers it."""
        try:
            return self._routes[model]
        except KeyError:
            route = self._resolve(model)
            if len(self._routes) < self._max_routes:
                self._routes[model] = route
            return route

    def owner(self, model: str) -> str:
        """The provider that answers a callable name first."""
        route = self.find(model)
        return "" if route is None else route.targets[0].backend.name

    def max_output_tokens(self, provider: str, model: str) -> int | None:
        """The longest reply of a provider's model, None where the catalogue does not know."""
        return self._catalogue.max_output_tokens(provider, model)

    def sandbox(self, model: str) -> Route:
        """The route of every call by a test key."""
        return self._route(((SANDBOX, model),), "a test key is answered by the sandbox")

    def count_spared(self, now_ns: int) -> dict[str, int]:
        """How many targets of each provider are spared by their breakers at this monotonic time."""
        spared = dict.fromkeys((name for name in self._backends if name != SANDBOX), 0)
        for table in (self, *self._own.values()):
            for target in table.targets:
                name = target.backend.name
                spared[name] = spared.get(name, 0) + (target.breaker.state(now_ns) != "closed")
        return spared

    @property
    def catalogue(self) -> Catalogue:
        """The models that are known by name."""
        return self._catalogue

    def breakers(self) -> dict[str, Breaker]:
        """The breakers of the targets routed to so far, by provider and model, and by credential if stored."""
        named = {f"{provider}\n{model}": target.breaker for (provider, model), target in self._targets.items()}
        for table in self._own.values():
            for (provider, model), target in table._targets.items():
                credential_id = table._credential_ids.get(provider)
                if credential_id is not None:
                    named[f"{provider}\n{model}\n{credential_id}"] = target.breaker
        return named

    def cards(self) -> list[ModelCard]:
        """Every callable name: aliases, the providers' own lists, and the catalogue's of the configured providers."""
        listed = {card.id: card for card in self._catalogue.names(self._available)}
        own = [(model, provider) for provider, models in self._served.items() for model in models if model != "*"]
        own += [(name, targets[0][0]) for name, targets in self._aliases.items()]
        for name, provider in own:
            listed[name] = ModelCard(
                id=name, provider=provider, model=name, kind="chat", created=0, owned_by=provider, deprecated=False
            )
        return [listed[name] for name in sorted(listed)]

    def all_cards(self) -> list[ModelCard]:
        """Every name of the catalogue, whoever is configured, besides what is callable."""
        listed = {card.id: card for card in self._catalogue.names(frozenset(PROVIDERS))}
        listed.update((card.id, card) for card in self.cards())
        return [listed[name] for name in sorted(listed)]

    def missing_keys(self, model: str) -> list[str]:
        """The environment variables of which each would make the model callable."""
        rows = [row for row in PROVIDERS.values() if row.env_key and row.name not in self._available]
        return [row.env_key for row in rows if self._catalogue.resolve(model, frozenset({row.name}))]

    def _resolve(self, model: str) -> Route | None:
        if model in self._aliases:
            return self._route(self._aliases[model], "a configured alias")
        for provider, models in self._served.items():
            if model in models:
                return self._route(((provider, model),), "the provider's configured list")
        matches = self._catalogue.resolve(model, self._available)
        if matches:
            return self._route(tuple((match.provider, match.model) for match in matches), "the model catalogue")
        for provider, models in self._served.items():
            if "*" in models:
                return self._route(((provider, model),), "the provider serves any name")
        return None

    def _route(self, pairs: tuple[tuple[str, str], ...], reason: str) -> Route:
        targets = tuple(self._target(provider, model) for provider, model in pairs)
        is_stoppable = any(target.backend.cancel_stops_whole_calls for target in targets)
        return Route(targets=targets, reason=reason, is_stoppable=is_stoppable)

    def _breaker_of(self, provider: str, model: str) -> Breaker:
        """One credential has one breaker for a model, whichever tables call with it."""
        credential_id = self._credential_ids.get(provider)
        if self._parent is not None and credential_id is not None:
            for table in self._parent._own.values():
                known = table._targets.get((provider, model))
                if known is not None and table._credential_ids.get(provider) == credential_id:
                    return known.breaker
        return Breaker(failures=self._breaker.failures, cooldown_ms=self._breaker.cooldown_ms)

    def _target(self, provider: str, model: str) -> Target:
        if self._parent is not None and provider not in self._replaced:
            return self._parent._target(provider, model)
        key = (provider, model)
        target = self._targets.get(key)
        if target is None:
            backend = self._backends[provider]
            reader = self._readers.get(provider)
            if reader is None:
                reader = self._readers[provider] = gist_reader(backend.secrets)
            target = Target(
                backend=backend,
                read_gist=reader,
                model=model,
                breaker=self._breaker_of(provider, model),
                lines=b"x-watchllm-provider: %s\r\nx-watchllm-model: %s\r\n"
                % (header_text(provider), header_text(model)),
            )
            # Callers can invent names (a test key any, provider/… some), so what is kept is bounded.
            if provider != SANDBOX and len(self._targets) < self._max_routes:
                self._targets[key] = target
        return target


def choose(table: RouteTable, model: str, caller: KeyRecord) -> Route:
    """The route of a call; raises Fault for a model that nobody answers or that the key may not use."""
    if caller.allowed_models is not None and model not in caller.allowed_models:
        raise Fault("insufficient_scope", _explain_limit(model, caller.allowed_models), param="model")
    if caller.kind == "test":
        return table.sandbox(model)
    route = table.find(model)
    if route is None:
        raise Fault("invalid_model", explain_unknown(table, model), param="model")
    return route


def _explain_limit(model: str, allowed: frozenset[str]) -> str:
    if not allowed:
        return (
            f"This key may not use the model {shown(model)}, nor any other: its maker was narrowed to models "
            "that it does not have. Have who may change it give it some."
        )
    names = sorted(allowed, key=lambda name: (name not in closest(model, sorted(allowed)), name))[:MAX_TOLD_MODELS]
    more = f" and {len(allowed) - len(names)} more" if len(allowed) > len(names) else ""
    return (
        f"This key may not use the model {shown(model)}: its allowed_models are {', '.join(map(shown, names))}{more}. "
        "Name one of them, or have who may change the key add this one."
    )


def explain_unknown(table: RouteTable, model: str) -> str:
    message = f"No configured provider has the model {shown(model)}."
    keys = table.missing_keys(model)
    if keys:
        message += f" Set {' or '.join(keys)} and restart the gateway, or store a provider key for the project."
    elif close := closest(model, [card.id for card in table.cards()]):
        message += f" Did you mean {' or '.join(map(repr, close))}?"
    return message + " GET /v1/models lists what can be called."
