"""The log set-up: one JSON object a line on stderr, with keys masked and control characters escaped.

Failure behavior: a line that cannot be written is lost, never raised into a call; what a record carries that JSON does
not know is written as its repr.
"""

import logging
import re
from datetime import UTC, datetime
from typing import TextIO

import msgspec

MASK = "***"
# Callers must not log secrets; this is the second line of defence. What stays in front of the mask tells which kind.
_SECRETS = re.compile(
    r"(?P<kind>\b(?:lgw_(?:proj|test)_|gsk_|xai-|whsec_|sk[-_]|(?:[a-z]{2,8}_sk|[arp]k)_(?:live|test)_)"
    r"|\bbearer\s+|\bbasic\s+(?=[a-z0-9+/=]{12})"
    r"|\b(?:x-)?api[-_]?key[\"']?\s*[:=]\s*[\"']?"
    r"|://[^/\s:@]{0,256}:(?=[^/\s@]{1,256}@))"
    r"(?P<secret>[^\s\"',;@&)\]}]{4,})",
    re.IGNORECASE,
)
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Writes a record as one line: time, level, logger, message, the record's extra fields, and a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record; see the class."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": clean(_message(record)),
        }
        for name, value in vars(record).items():
            if name not in _PLAIN:
                line.setdefault(name, value if isinstance(value, bool | int | None) else clean(str(value)))
        if record.exc_info:
            line["traceback"] = clean(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return f"{record.msg!r} with arguments that do not fit"


def redact(text: str) -> str:
    """Mask everything that looks like a credential."""
    return _SECRETS.sub(lambda match: match["kind"] + MASK, text)


def escape(text: str) -> str:
    """Make what is invisible visible, so that no client can break or forge a line, or steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def clean(text: str) -> str:
    """Redact, then escape."""
    return escape(redact(text))


def configure_logging(level: str, stream: TextIO) -> None:
    """Send every logger of the process to ``stream`` in JSON; replaces an earlier set-up.

    ``level`` is one of debug, info, warning, error and holds for the gateway; libraries are heard from warning on.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, _LEVELS[level]))
    logging.getLogger("gateway").setLevel(_LEVELS[level])
    # The servers' own loggers come with handlers of their own, which would write each line a second time.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "litestar"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
