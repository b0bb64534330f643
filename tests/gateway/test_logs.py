"""Proves that a log line is one line, cannot be forged, and holds no key."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.logs import JsonFormatter, clean, configure_logging, redact

BODY = "AbCdEf0123456789xyz"
KEYS = [
    f"lgw_proj_{BODY}",
    f"lgw_test_{BODY}",
    f"sk-{BODY}",
    f"sk-proj-{BODY}",
    f"sk-ant-api03-{BODY}",
    f"sk_live_{BODY}",
    f"EFG_sk_live_{BODY}",
    f"gsk_{BODY}",
    f"whsec_{BODY}",
    f"Authorization: Bearer {BODY}",
    f"authorization: BEARER {BODY}",
    f"Basic {BODY}==",
    f"x-api-key: {BODY}",
    f'{{"api_key": "{BODY}"}}',
    f"postgresql://watch:{BODY}@db/x",
    f"GET /v1/models?api_key={BODY}&x=1",
]


@pytest.fixture
def loggers() -> Iterator[None]:
    """Put the process's loggers back as they were."""
    names = ["", "gateway", "uvicorn", "uvicorn.error", "uvicorn.access", "litestar"]
    found = [
        (logging.getLogger(name), logging.getLogger(name).handlers[:], logging.getLogger(name).level) for name in names
    ]
    yield
    for logger, handlers, level in found:
        logger.handlers[:] = handlers
        logger.setLevel(level)


def line_of(message: object, *arguments: object, **extra: object) -> dict[str, Any]:
    record = logging.makeLogRecord({"name": "gateway.x", "levelname": "INFO", "created": 1_764_000_000.25} | extra)
    record.msg, record.args = message, arguments
    text = JsonFormatter().format(record)
    assert text.count("\n") == 0
    return json.loads(text)


def test_a_line_has_time_level_logger_and_message() -> None:
    """A collector can rely on these four."""
    assert line_of("%d rows", 3) == {
        "time": "2025-11-24T16:00:00.250Z",
        "level": "info",
        "logger": "gateway.x",
        "message": "3 rows",
    }


def test_extra_fields_come_along() -> None:
    """What a caller adds with extra= is a field; what JSON does not know is its text."""
    line = line_of("x", request_id="r1", attempts=2, error=ValueError("why"))
    assert (line["request_id"], line["attempts"], line["error"]) == ("r1", 2, "why")


def test_an_extra_field_cannot_replace_a_fixed_one() -> None:
    """The four are what the formatter says."""
    assert line_of("x", level="error", time="0")["level"] == "info"


@pytest.mark.parametrize("text", KEYS)
def test_a_key_is_masked_wherever_it_stands(text: str) -> None:
    """Message, argument, extra field and traceback are all masked."""
    try:
        raise ValueError(text)
    except ValueError as error:
        caught = (ValueError, error, error.__traceback__)
    line = json.dumps(line_of(f"a {text}", note=text, exc_info=caught)) + json.dumps(line_of("%s", text))
    assert BODY not in line
    assert "***" in line


@pytest.mark.parametrize(
    "text", ["the basic case", "risk-free", "a task-list", "https://h:8080/v1", "x sk- y", "bears"]
)
def test_prose_is_left_alone(text: str) -> None:
    """A mask on everything would hide what the log is for."""
    assert redact(text) == text


def test_arguments_that_do_not_fit_are_still_logged() -> None:
    """A mistake in a log call does not lose the line."""
    assert "do not fit" in line_of("%d", "x")["message"]


@given(st.text())
def test_no_text_breaks_or_hides_a_line(text: str) -> None:
    """Newlines, ANSI sequences and writing directions from clients stay visible as escapes."""
    assert clean(text).isprintable()


@pytest.mark.usefixtures("loggers")
def test_the_whole_process_logs_one_way() -> None:
    """A library's warning is JSON as well, and its chatter is not heard."""
    stream = io.StringIO()
    configure_logging("debug", stream)
    logging.getLogger("gateway.x").debug("one")
    logging.getLogger("uvicorn.error").warning("two\nlines")
    logging.getLogger("httpx").info("three")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["one", "two\\nlines"]


@pytest.mark.usefixtures("loggers")
def test_setting_up_twice_writes_once() -> None:
    """The last set-up holds."""
    first, second = io.StringIO(), io.StringIO()
    configure_logging("info", first)
    configure_logging("info", second)
    logging.getLogger("gateway.x").info("one")
    assert (first.getvalue(), second.getvalue().count("\n")) == ("", 1)
