"""What makes the hundreds of gateways that a suite starts cheap: what is the same for each of them is worked out once.

A gateway reads the bundled prices, and the framework the signature of every handler; both are pure functions of what
does not change while a process lives, and together they are more than half of what a start costs.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from litestar._signature.model import SignatureModel
from litestar.utils.signature import ParsedSignature

from gateway import upstreams
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import PriceTable, load_prices


@contextmanager
def cheap_starts() -> Iterator[None]:
    """Remember, as long as this lasts, what every start works out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ParsedSignature, "from_fn", _remember_signatures(ParsedSignature.from_fn))
        patch.setattr(SignatureModel, "create", _remember_models(SignatureModel.create))
        patch.setattr(upstreams, "load_prices", _remember_prices())
        yield


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
        key = (fn, frozenset(dependency_name_set), id(parsed_signature), tuple(more.get("type_decoders") or ()))
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
