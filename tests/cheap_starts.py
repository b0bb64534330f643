"""What makes the hundreds of gateways that a suite starts cheap: what is the same for each of them is worked out once.

A gateway reads the bundled prices and models, its version, the vocabularies it counts with and the passwords that are
used most, and the framework the signature of every handler: pure functions of what does not change while a process
lives. And most gateways are asked nothing that the framework answers: their routes are registered with the first
request for one, as that is three quarters of what a start costs.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar._signature.model import SignatureModel
from litestar.types import Receive, Scope, Send
from litestar.utils.signature import ParsedSignature

from gateway import app, upstreams
from gateway.accounts.tenancy import passwords
from providers import tokens
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import PriceTable, load_prices


@contextmanager
def cheap_starts() -> Iterator[None]:
    """Remember, as long as this lasts, what every start works out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ParsedSignature, "from_fn", _remember_signatures(ParsedSignature.from_fn))
        patch.setattr(SignatureModel, "create", _remember_models(SignatureModel.create))
        patch.setattr(upstreams, "load_prices", _remember_prices())
        patch.setattr(app, "load_catalogue", cache(app.load_catalogue))
        patch.setattr(app, "version", cache(app.version))
        patch.setattr(passwords, "load_common_passwords", cache(passwords.load_common_passwords))
        patch.setattr(tokens, "load_encoding", cache(tokens.load_encoding))
        patch.setattr(app, "build_app", _build_late(app.build_app))
        yield


class LateApp:
    """An application that is built when it is asked for the first time; it is that application from then on."""

    def __init__(self, build: Callable[[], Litestar]) -> None:
        self._build = build
        self._built: Litestar | None = None

    def _app(self) -> Litestar:
        if self._built is None:
            self._built = self._build()
        return self._built

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self._app()(scope, receive, send)

    def __getattr__(self, name: str) -> Any:
        """What an application has."""
        return getattr(self._app(), name)


def _build_late(build: Callable[..., Litestar]) -> Callable[..., LateApp]:
    def build_app(*parts: Any) -> LateApp:
        return LateApp(lambda: build(*parts))

    return build_app


def _remember_signatures(parse: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[Any, Any] = {}

    def from_fn(fn: Any, signature_namespace: dict[str, Any]) -> Any:
        if not _is_lasting(fn) or signature_namespace:
            return parse(fn, signature_namespace)
        if fn not in known:
            known[fn] = parse(fn, signature_namespace)
        return known[fn]

    return from_fn


def _remember_models(create: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[Any, Any] = {}

    def make(dependency_name_set: set[str], fn: Any, parsed_signature: Any, **more: Any) -> Any:
        asked = {"dependency_name_set": dependency_name_set, "fn": fn, "parsed_signature": parsed_signature, **more}
        if not _is_lasting(fn) or more.get("data_dto") is not None:
            return create(**asked)
        # An application's plugins wrap the same functions anew.
        decoders = tuple((meant, getattr(decode, "func", decode)) for meant, decode in more.get("type_decoders") or ())
        key = (fn, frozenset(dependency_name_set), id(parsed_signature), decoders)
        if key not in known:
            # With what its key names by address only.
            known[key] = (create(**asked), parsed_signature)
        return known[key][0]

    return make


def _remember_prices() -> Callable[[Sequence[PriceRow]], PriceTable]:
    known: dict[bytes, PriceTable] = {}

    def load(operator: Sequence[PriceRow] = ()) -> PriceTable:
        key = msgspec.json.encode(operator)
        if key not in known:
            known[key] = load_prices(operator)
        return known[key]

    return load


def _is_lasting(fn: Any) -> bool:
    """Whether a function is its module's, so that it lives as long as the process."""
    return getattr(fn, "__closure__", fn) is None and "<locals>" not in fn.__qualname__
