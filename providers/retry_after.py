"""When a refusing provider wants to be asked again: ``retry-after``, ``retry-after-ms`` and ``x-should-retry``.

Where neither of the first two is sent, OpenAI's ``x-ratelimit-reset-*`` tells, for the limit of which nothing remains.
Source: https://platform.openai.com/docs/guides/rate-limits (2026-11-21).

Failure behavior: none; a value that cannot be read counts as not sent. Header names are expected in lower case.
"""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import ceil

from providers.wire import Headers

_NUMBER = re.compile(rb"\d{1,300}(\.\d{1,300})?")
# No limit of a provider lasts longer than a month; who names more means: not soon.
_LONGEST_MS = 31 * 86_400_000
_DURATION = re.compile(rb"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?")
_ANSWERS: dict[bytes, bool] = {b"true": True, b"false": False}


def parse_retry_after(headers: Headers, now_s: int) -> tuple[int | None, bool | None]:
    """Read (retry_after_ms, should_retry); the smallest usable wait wins, at most a month of it; None: nothing usable.

    A date in the past is a wait of 0. Negative numbers are ignored.
    """
    waits_ms: list[int] = []
    should_retry: bool | None = None
    for name, value in headers:
        wait_ms = None
        if name == b"retry-after-ms":
            wait_ms = _read_number(value, 1)
        elif name == b"retry-after":
            wait_ms = _read_number(value, 1_000)
            wait_ms = _read_date(value, now_s) if wait_ms is None else wait_ms
        elif name == b"x-should-retry":
            should_retry = _ANSWERS.get(bytes(value).strip().lower())
        if wait_ms is not None:
            waits_ms.append(wait_ms)
    if not waits_ms:
        waits_ms = _read_resets(dict(headers))
    return min([*waits_ms, _LONGEST_MS]) if waits_ms else None, should_retry


def _read_resets(headers: dict[bytes, bytes]) -> list[int]:
    """The longest reset of the limits that are used up, as a list of one or none."""
    waits_ms = [
        wait_ms
        for limit in (b"requests", b"tokens")
        if headers.get(b"x-ratelimit-remaining-" + limit, b"").strip() == b"0"
        and (wait_ms := _read_duration(headers.get(b"x-ratelimit-reset-" + limit, b""))) is not None
    ]
    return [max(waits_ms)] if waits_ms else []


def _read_duration(value: bytes) -> int | None:
    """Read ``6m0s``, ``1h2m3.5s`` or ``20ms`` into milliseconds."""
    match = _DURATION.fullmatch(value.strip())
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
    return ceil(hours * 3_600_000 + minutes * 60_000 + seconds * 1_000 + millis)


def _read_number(value: bytes, scale: int) -> int | None:
    text = value.strip()
    return ceil(float(text) * scale) if _NUMBER.fullmatch(text) else None


def _read_date(value: bytes, now_s: int) -> int | None:
    try:
        moment = parsedate_to_datetime(value.decode("ascii"))
    except (ValueError, OverflowError):
        return None
    # RFC 9110 dates are GMT; a date without a zone is taken for one.
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, int(aware.timestamp()) - now_s) * 1_000
