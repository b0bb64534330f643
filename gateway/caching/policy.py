"""What the cache does for a project: the configuration's settings, and what the project sets in their place."""

import msgspec

from gateway.config.settings import Cache, CacheMode, CacheScope


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What a project sets; None: nothing, so the configuration's value holds."""

    mode: CacheMode | None = None
    ttl_s: int | None = None
    scope: CacheScope | None = None
    tool_calls: bool | None = None
    # Either of the two takes the place of both of the configuration's.
    max_wrong_rate: float | None = None
    max_wrong_hit_rate: float | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for a project."""

    mode: CacheMode
    ttl_s: int
    scope: CacheScope
    # Answers that call tools are kept as well.
    tool_calls: bool
    # Bounds of the semantic layer, as shares: wrong answers of all requests, and of the semantic hits.
    max_wrong_rate: float | None
    max_wrong_hit_rate: float | None


def combine(settings: Cache, wishes: Wishes) -> Policy:
    """What holds where a project wishes this."""
    bounds = (wishes.max_wrong_rate, wishes.max_wrong_hit_rate)
    if bounds == (None, None):
        bounds = (settings.max_wrong_rate, settings.max_wrong_hit_rate)
    return Policy(
        mode=wishes.mode or settings.mode,
        ttl_s=wishes.ttl_s or settings.ttl_s,
        scope=wishes.scope or settings.scope,
        tool_calls=settings.tool_calls if wishes.tool_calls is None else wishes.tool_calls,
        max_wrong_rate=bounds[0],
        max_wrong_hit_rate=bounds[1],
    )
