"""Compares what a page shows with what was printed: ids, keys, times and durations vary, ``…`` stands for anything."""

import re

_VARYING = (
    (r"chatcmpl-[0-9a-f]{24}", "chatcmpl-*"),
    (r"(lgw_(?:proj|test)_)[0-9A-Za-z]{49}", r"\1*"),
    (r"\b((?:key|proj|log|bud)_)[0-9a-z]{26}\b", r"\1*"),
    (r"(request-id: )[0-9a-z]{26}", r"\1*"),
    (r"(/claim#)[\w-]{43}", r"\1*"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r'("created": ?)\d+', r"\1*"),
    (r'((?:latency|overhead)[-_]ms"?: ?)[\d.]+', r"\1*"),
    (r"(content-length: )\d+", r"\1*"),
    (r"(,(?:true|false),)\d+$", r"\1*"),
)
_IDS = re.compile(r"lgw_(?:proj|test)_[0-9A-Za-z]{49}|\b(?:key|proj)_[0-9a-z]{26}\b|(?<=/claim#)[\w-]{43}")


def mask(text: str) -> str:
    """Put a star where two runs differ."""
    text = text.replace("\r\n", "\n").strip()
    for pattern, shown in _VARYING:
        text = re.sub(pattern, shown, text, flags=re.MULTILINE)
    return text


def matches(shown: str, printed: str) -> bool:
    """Tell whether the output on the page is the output; ``…`` alone on a line stands for any number of lines."""
    pattern = "".join(
        r"(?:[^\n]*\n)*?" if line.strip() == "…" else re.escape(line).replace("…", r"[^\n]*?") + r"\n"
        for line in mask(shown).split("\n")
    )
    return re.fullmatch(pattern, mask(printed) + "\n") is not None


def find_ids(text: str) -> list[str]:
    """List the keys and ids that a later command may need, in order."""
    return list(dict.fromkeys(_IDS.findall(text)))
