"""What the cache does for a project: the configuration's settings, and what the project sets in their place."""

import msgspec

from gateway.config.settings import Cache, CacheMode, CacheScope


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """The share of wrong answers that is allowed, of all requests and of semantic hits; None: not bounded."""

    max_wrong_rate: float | None = None
    max_wrong_hit_rate: float | None = None

    def tighten(self, other: "Allowed") -> "Allowed":
        """The stricter of each: who calls may allow less than the owner, never more."""
        return Allowed(
            max_wrong_rate=_stricter(self.max_wrong_rate, other.max_wrong_rate),
            max_wrong_hit_rate=_stricter(self.max_wrong_hit_rate, other.max_wrong_hit_rate),
        )


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What a project sets; None: nothing, so the configuration's value holds."""

    mode: CacheMode | None = None
    ttl_s: int | None = None
    scope: CacheScope | None = None
    tool_calls: bool | None = None
    prompts: bool | None = None
    # Either of the two takes the place of both of the configuration's.
    max_wrong_rate: float | None = None
    max_wrong_hit_rate: float | None = None
    # Empty: none.
    semantic_judge_model: str | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for a project."""

    mode: CacheMode
    ttl_s: int
    scope: CacheScope
    # Answers that call tools are kept as well.
    tool_calls: bool
    # The hit inspector and the export show what was asked and answered.
    prompts: bool
    # Bounds of the semantic layer, as shares: wrong answers of all requests, and of the semantic hits.
    max_wrong_rate: float | None
    max_wrong_hit_rate: float | None
    # The model that is asked where vectors leave it open whether two answers say the same; empty: none.
    semantic_judge_model: str

    @property
    def is_semantic(self) -> bool:
        """Whether like questions are looked up, be it to report only."""
        return self.mode in ("shadow", "semantic")

    @property
    def allowed(self) -> Allowed:
        """The bounds, as the semantic layer takes them."""
        return Allowed(max_wrong_rate=self.max_wrong_rate, max_wrong_hit_rate=self.max_wrong_hit_rate)


def combine(settings: Cache, wishes: Wishes) -> Policy:
    """What holds where a project wishes this."""
    bounds = (wishes.max_wrong_rate, wishes.max_wrong_hit_rate)
    if bounds == (None, None):
        bounds = (settings.max_wrong_rate, settings.max_wrong_hit_rate)
    judge = wishes.semantic_judge_model
    return Policy(
        mode=wishes.mode or settings.mode,
        ttl_s=wishes.ttl_s or settings.ttl_s,
        scope=wishes.scope or settings.scope,
        tool_calls=settings.tool_calls if wishes.tool_calls is None else wishes.tool_calls,
        prompts=settings.prompts if wishes.prompts is None else wishes.prompts,
        max_wrong_rate=bounds[0],
        max_wrong_hit_rate=bounds[1],
        semantic_judge_model=settings.semantic_judge_model if judge is None else judge,
    )


def _stricter(left: float | None, right: float | None) -> float | None:
    return min((each for each in (left, right) if each is not None), default=None)
