"""The rules that need more than one value, or a second look at one; each is a row of CHECKS.

Failure behavior: a broken rule becomes a line in ``Source.problems``; addresses that may hold a password are not shown.
"""

import base64
import binascii
import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable
from urllib.parse import SplitResult, urlsplit

from gateway.config.reading import Source, suggest
from gateway.config.secret import Secret
from gateway.config.settings import ProviderSettings, Settings
from gateway.errors import shown
from providers.pricing.prices import format_usd, parse_usd
from providers.registry import PROVIDERS

_WEB = ("http", "https")
_DATABASES = ("sqlite", "sqlite+aiosqlite", "postgres", "postgresql", "postgresql+asyncpg")
_REDIS = ("redis", "rediss", "unix")
_POSTGRES = tuple(scheme for scheme in _DATABASES if scheme.startswith("postgres"))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
MAX_MODEL_CHARS = 256
_MODEL = re.compile(rf"[!-~]{{1,{MAX_MODEL_CHARS}}}")
# The gateway writes these itself; a second one would make the request ambiguous.
_OWN_HEADERS = frozenset(
    {"content-length", "content-type", "transfer-encoding", "accept-encoding", "host", "connection"}
)
_MASTER_KEY_BYTES = 32
# The largest integer of a database's column.
_MAX_PUSD = 2**63 - 1


def check_settings(settings: Settings, source: Source) -> None:
    """Run every rule; what is broken is then in ``source.problems``."""
    for check in CHECKS:
        check(settings, source)


def _check_addresses(settings: Settings, source: Source) -> None:
    host = settings.server.host
    if "[" in host or "]" in host:
        source.reject("server.host", f"{host!r} has brackets, which only URLs have; write {host.strip('[]')!r}")
    for path, url in (("server.public_url", settings.server.public_url), ("otel_endpoint", settings.otel_endpoint)):
        if url:
            _check_web_address(path, url, source)
    stores: Iterable[tuple[str, Secret | None, tuple[str, ...]]] = (
        ("database_url", settings.database_url, _DATABASES),
        ("redis_url", settings.redis_url, _REDIS),
    )
    for path, secret, schemes in stores:
        if secret is not None and _scheme(secret) not in schemes:
            source.reject(path, f"does not begin with one of {', '.join(f'{scheme}://' for scheme in schemes)}")


def _check_web_address(path: str, url: str, source: Source) -> None:
    wrong = explain_web_address(url)
    if wrong is not None:
        source.reject(path, wrong)


def explain_web_address(url: str) -> str | None:
    """Say why an address is none that paths can be appended to; None: it is one."""
    parts = _split(url)
    if parts is None or parts.scheme not in _WEB or not parts.hostname or not url.isprintable() or " " in url:
        return f"{url!r} is not an http or https address"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password; give credentials as api_key or headers"
    if parts.query or parts.fragment:
        return f"{url!r} has a query or fragment, and paths are appended to it"
    return None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _scheme(secret: Secret) -> str:
    return secret.reveal().partition(":")[0].lower()


def _check_master_keys(settings: Settings, source: Source) -> None:
    if settings.master_key is not None and not _is_master_key(settings.master_key):
        source.reject("master_key", "is not 32 bytes in base64; make one with: openssl rand -base64 32")
    for number, key in enumerate(settings.previous_master_keys, 1):
        if not _is_master_key(key):
            source.reject("previous_master_keys", f"key {number} is not 32 bytes in base64")


def _is_master_key(secret: Secret) -> bool:
    try:
        return len(base64.b64decode(secret.reveal(), validate=True)) == _MASTER_KEY_BYTES
    except binascii.Error:
        return False


def _check_workers(settings: Settings, source: Source) -> None:
    shared = settings.redis_url and settings.database_url and _scheme(settings.database_url) in _POSTGRES
    if settings.server.workers > 1 and not shared:
        source.reject(
            "server.workers",
            f"{settings.server.workers} processes need REDIS_URL and a PostgreSQL DATABASE_URL: "
            "with SQLite and in-process counters each would keep its own limits and holds",
        )


def _check_networks(settings: Settings, source: Source) -> None:
    for n, network in enumerate(settings.ops.allow):
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            source.reject(f"ops.allow[{n}]", f"{network!r} is not a network such as 10.0.0.0/8: {error}")


def _check_providers(settings: Settings, source: Source) -> None:
    for name, provider in settings.providers.items():
        path = f"providers.{name}"
        if not _NAME.fullmatch(name):
            source.reject(path, "a provider's name is letters, digits, '.', '_' and '-', 64 at most")
        if provider.dialect in ("openai", "anthropic"):
            _check_web_address(f"{path}.base_url", provider.base_url, source)
        _check_provider_words(path, provider, source)


def _check_provider_words(path: str, provider: ProviderSettings, source: Source) -> None:
    for header in provider.headers:
        if not _HEADER.fullmatch(header) or header.lower() in _OWN_HEADERS:
            source.reject(f"{path}.headers", f"{header!r} is not a header that can be added")
    for header, count in Counter(map(str.lower, provider.headers)).items():
        if count > 1:
            source.reject(f"{path}.headers", f"{header!r} is there {count} times; names of headers have no case")
    credential = "x-api-key" if provider.dialect == "anthropic" else "authorization"
    if provider.api_key and credential in map(str.lower, provider.headers):
        source.reject(
            f"{path}.headers", f'{credential!r} is what api_key is sent as; set api_key = "" to send your own'
        )
    for n, model in enumerate(provider.models):
        if not is_model_name(model):
            source.reject(f"{path}.models[{n}]", _no_model_name(model))
        elif "*" in model and model != "*":
            source.reject(f"{path}.models[{n}]", f'{shown(model)} is no pattern: write each name, or "*" for any')


def is_model_name(name: str) -> bool:
    """Whether callers can name a model so."""
    return _MODEL.fullmatch(name) is not None


def _no_model_name(name: str) -> str:
    return f"{shown(name)} is not a model name (up to {MAX_MODEL_CHARS} printable ASCII characters, no spaces)"


def _check_models(settings: Settings, source: Source) -> None:
    for n, model in enumerate(settings.models):
        if not is_model_name(model.name):
            source.reject(f"models[{n}].name", _no_model_name(model.name))
        for k, target in enumerate(model.targets):
            if target.provider not in settings.providers:
                source.reject(
                    f"models[{n}].targets[{k}].provider", _not_configured(target.provider, settings.providers)
                )
    for name, count in Counter(model.name for model in settings.models).items():
        if count > 1:
            source.reject("models", f"{name!r} is defined {count} times")


def _check_judge(settings: Settings, source: Source) -> None:
    judge = settings.cache.semantic_judge_model
    if judge and not is_model_name(judge):
        source.reject("cache.semantic_judge_model", _no_model_name(judge))


def _not_configured(name: str, configured: Iterable[str]) -> str:
    row = PROVIDERS.get(name)
    hint = f"; set {row.env_key}" if row is not None and row.env_key else suggest(name, configured)
    return f"{name!r} is not configured; configured are {', '.join(sorted(configured)) or 'none'}{hint}"


def _check_prices(settings: Settings, source: Source) -> None:
    known = {*settings.providers, *PROVIDERS}
    for n, price in enumerate(settings.prices):
        if price.provider not in known:
            source.reject(f"prices[{n}].provider", f"{price.provider!r} is no provider{suggest(price.provider, known)}")
    rows = Counter((price.provider, price.model, price.effective_from) for price in settings.prices)
    for (provider, model, day), count in rows.items():
        if count > 1:
            source.reject("prices", f"{provider!r} {model!r} has {count} prices from {day}")


def _check_accounts(settings: Settings, source: Source) -> None:
    granted = settings.accounts.credit_grant_usd
    if parse_usd(granted) > _MAX_PUSD:
        source.reject("accounts.credit_grant_usd", f"{granted!r} is more than {format_usd(_MAX_PUSD)}; use 0 for none")


CHECKS: tuple[Callable[[Settings, Source], None], ...] = (
    _check_addresses,
    _check_master_keys,
    _check_workers,
    _check_networks,
    _check_providers,
    _check_models,
    _check_judge,
    _check_prices,
    _check_accounts,
)
