"""The frame of every page without a script: head, look, and the headers that let a browser load nothing else."""

import base64
import hashlib
from html import escape
from importlib import resources

LOGO = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" '
    'stroke-linejoin="round" aria-hidden="true"><path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 '
    '2.5 12z"/><path d="M12 9v6M9 10.5v3M15 10.5v3"/></svg>'
)
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='%235c7cfa' "
    "stroke-width='2' stroke-linecap='round' stroke-linejoin='round'%3E%3Cpath d='M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 "
    "18 18.5 12 18.5 2.5 12 2.5 12z'/%3E%3Cpath d='M12 9v6M9 10.5v3M15 10.5v3'/%3E%3C/svg%3E"
)


def load_look() -> str:
    """Read the style sheet that all pages share."""
    return resources.files("gateway.web").joinpath("look.css").read_text(encoding="utf-8")


def write_page(*, title: str, body: str, look: str) -> bytes:
    """Put a body, which is HTML already, into a whole document."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="{_ICON}">\n<style>{look}</style>\n'
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    ).encode()


def page_headers(look: str) -> dict[str, str]:
    """Name the headers of a page: only this very style sheet, and no script or request."""
    return {
        "content-security-policy": (
            f"default-src 'none'; style-src '{_digest(look)}'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
    }


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
