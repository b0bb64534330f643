"""The documents' own examples, read from examples.txt and aimed at a running gateway."""

import re
from pathlib import Path

HOST = "https://proxy.WatchLLM.com"
KEYS = ("lgw_your_api_key_here", "lgw_xxx")
_SECTION = re.compile(r"^## (.+?)\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read_examples() -> dict[str, str]:
    """Read every example by the title it has there."""
    text = Path(__file__).with_name("examples.txt").read_text(encoding="utf-8")
    return dict(_SECTION.findall(text))


def aimed(title: str, url: str, key: str) -> str:
    """An example with nothing but host and key replaced; ``url`` ends in /v1."""
    code = read_examples()[title].replace(HOST, url.removesuffix("/v1"))
    for placeholder in KEYS:
        code = code.replace(placeholder, key)
    return code
