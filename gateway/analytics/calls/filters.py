"""Which calls a log shows, as it is asked for: a period, and terms that all must hold."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec

from gateway.analytics.usage import InvalidUsageQuery
from gateway.ids import parse_id
from providers.pricing.prices import parse_usd

Status = Literal["complete", "incomplete", "cancelled", "failed", "refused", "in_doubt"]
CacheTerm = Literal["hit", "miss", "exact", "semantic"]
STATUSES: tuple[str, ...] = get_args(Status)
CACHE_TERMS: tuple[str, ...] = get_args(CacheTerm)
# By parameter: the column that must be equal to it.
EQUAL = {
    "model": "model",
    "provider": "provider",
    "key_id": "key_id",
    "session": "session",
    "error_code": "error_code",
    "endpoint": "endpoint",
}
# Every term's parameter, and which calls it means.
NAMES = {
    "model": "Calls of this model, by the name that the caller used",
    "provider": "Calls that this provider answered",
    "key_id": "Calls with this key",
    "session": "Calls with this x-watchllm-session",
    "error_code": "Calls that failed with this code",
    "endpoint": "Calls of chat/completions, completions or embeddings",
    "tag": "Calls with this word among their tags",
    "status": f"Calls that ended so: {', '.join(STATUSES)}; several with commas",
    "errors": "Calls that failed, or those that did not",
    "cache": "Calls by what the cache did",
    "min_cost_usd": "Calls that cost this much or more, in dollars",
    "max_cost_usd": "Calls that cost this much or less, in dollars",
    "min_latency_ms": "Calls that took this long or longer",
    "max_latency_ms": "Calls that took this long or less",
    "request_id": "The call with this x-watchllm-request-id",
}
# Of the terms that take a few words alone.
CHOICES: dict[str, tuple[str, ...]] = {"errors": ("true", "false"), "cache": CACHE_TERMS}
MAX_CHARS = 256
MAX_MS = 2**53
_CACHE_SQL: dict[str, str] = {
    "hit": "is_cached",
    "miss": "NOT is_cached",
    "exact": "is_cached AND cache_layer <> 'semantic'",
    "semantic": "is_cached AND cache_layer = 'semantic'",
}
# What a call costs is what it was charged: corrections are shown, and not looked for.
_COST_SQL = "CASE WHEN is_cached THEN 0 ELSE cost_pusd END"


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Terms of a log; None or empty: not asked for."""

    # By the column's name.
    equal: dict[str, str] = {}
    tag: str | None = None
    statuses: tuple[str, ...] = ()
    is_error: bool | None = None
    cache: str | None = None
    min_cost_pusd: int | None = None
    max_cost_pusd: int | None = None
    min_latency_ms: int | None = None
    max_latency_ms: int | None = None
    request_id: str | None = None

    @property
    def needs_errors(self) -> bool:
        """Whether only calls that failed can match."""
        return self.is_error is True or "error_code" in self.equal

    @property
    def needs_hits(self) -> bool:
        """Whether only answers from the cache can match."""
        return self.cache in ("hit", "exact", "semantic")

    def write(self) -> tuple[str, dict[str, Any]]:
        """Write the terms as SQL over usage, empty where there is none, with the values of its parameters."""
        terms = [f"{column} = :{column}" for column in self.equal]
        values: dict[str, Any] = dict(self.equal)
        if self.tag is not None:
            # The text has the tags as they were sent, perhaps with a blank beside a comma.
            tags = "REPLACE(REPLACE(',' || tags || ',', ', ', ','), ' ,', ',')"
            terms.append(f"REPLACE({tags}, :tag, '') <> {tags}")
            values["tag"] = f",{self.tag},"
        if self.statuses:
            terms.append(f"status IN ({', '.join(f':status{number}' for number in range(len(self.statuses)))})")
            values |= {f"status{number}": status for number, status in enumerate(self.statuses)}
        if self.is_error is not None:
            terms.append("error_code <> ''" if self.is_error else "error_code = ''")
        if self.cache is not None:
            terms.append(_CACHE_SQL[self.cache])
        for name, sql, value in (
            ("min_cost", f"{_COST_SQL} >= :min_cost", self.min_cost_pusd),
            ("max_cost", f"{_COST_SQL} <= :max_cost", self.max_cost_pusd),
            ("min_latency", "latency_ms >= :min_latency", self.min_latency_ms),
            ("max_latency", "latency_ms <= :max_latency", self.max_latency_ms),
        ):
            if value is not None:
                terms.append(sql)
                values[name] = value
        if self.request_id is not None:
            terms.append("usage.request_id = :request_id")
            values["request_id"] = self.request_id
        return "".join(f" AND ({term})" for term in terms), values


def read_filter(params: Mapping[str, str]) -> Filter:
    """Read the terms; empty ones are none. Raises InvalidUsageQuery."""
    given = {name: value for name, value in params.items() if value}
    statuses = tuple(dict.fromkeys(given.get("status", "").split(","))) if "status" in given else ()
    for status in statuses:
        _check("status", status, STATUSES)
    for name, choices in CHOICES.items():
        if name in given:
            _check(name, given[name], choices)
    return Filter(
        equal={column: _bounded(name, given[name]) for name, column in EQUAL.items() if name in given},
        tag=_bounded("tag", given["tag"]).strip() if "tag" in given else None,
        statuses=statuses,
        is_error=given["errors"] == "true" if "errors" in given else None,
        cache=given.get("cache"),
        min_cost_pusd=_read_usd("min_cost_usd", given),
        max_cost_pusd=_read_usd("max_cost_usd", given),
        min_latency_ms=_read_ms("min_latency_ms", given),
        max_latency_ms=_read_ms("max_latency_ms", given),
        request_id=_read_id(given["request_id"]) if "request_id" in given else None,
    )


def _check(param: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidUsageQuery(f"{param}={value[:64]!r} is none of {', '.join(choices)}", param)


def _bounded(param: str, value: str) -> str:
    if len(value) > MAX_CHARS or "\0" in value:
        raise InvalidUsageQuery(f"{param}={value[:64]!r} is longer than {MAX_CHARS} characters or has a NUL", param)
    return value


def _read_usd(param: str, given: Mapping[str, str]) -> int | None:
    if param not in given:
        return None
    try:
        amount = parse_usd(given[param])
    except ValueError as error:
        raise InvalidUsageQuery(f"{param}: {error}", param) from error
    return min(amount, 2**63 - 1)


def _read_ms(param: str, given: Mapping[str, str]) -> int | None:
    if param not in given:
        return None
    value = given[param]
    if value.isascii() and value.isdigit() and len(value) <= len(str(MAX_MS)):
        return int(value)
    raise InvalidUsageQuery(f"{param}={value[:64]!r} is not a whole number of milliseconds", param)


def _read_id(text: str) -> str:
    try:
        return parse_id(text)
    except ValueError as error:
        raise InvalidUsageQuery(f"request_id={text[:64]!r} is no id of a call", "request_id") from error
