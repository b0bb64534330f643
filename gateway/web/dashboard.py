"""The dashboard's build: what a browser loads, read once, each file with its compressed form and its tag.

``make install`` builds it from ``gateway/web/app``; a wheel carries it. Where it is missing there is none to serve, and
the start page says how to make it.
"""

import hashlib
import mimetypes
from collections.abc import Mapping
from pathlib import Path

import msgspec

FOLDER = Path(__file__).with_name("static")
INDEX = "index.html"
ASSETS = "assets"
# Every address at which the page itself is answered; what it shows there, its own script decides.
PATHS = (
    "/overview",
    "/requests",
    "/cache",
    "/projects",
    "/projects/{first:str}",
    "/budgets",
    "/providers",
    "/models",
    "/team",
    "/settings",
    "/login",
    "/register",
    "/claim",
    "/welcome",
    "/join",
    "/design",
)
# Where nobody is asked who they are.
STRANGERS = frozenset({"/login", "/register", "/claim", "/join"})
# What every other page asks before anything else; see src/core/session.ts.
ASKED_FIRST = ("/api/users/me", "/api/account")
# Only what came with the page, and no other host; nothing inline runs or styles.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A year, the longest that is of use: a file of another content has another name.
FOREVER = "public, max-age=31536000, immutable"
REVALIDATED = "no-cache"
_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
}


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the build."""

    body: bytes
    # The same for who accepts gzip; none where it would not be shorter.
    zipped: bytes | None
    media_type: str
    # As the ETag header has it, quotes included.
    tag: str
    cache_control: str

    def headers(self) -> dict[str, str]:
        """Name the headers that every form of it has."""
        return {
            "etag": self.tag,
            "cache-control": self.cache_control,
            "vary": "accept, accept-encoding" if self.cache_control == REVALIDATED else "accept-encoding",
            "x-content-type-options": "nosniff",
        }


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """The whole build; ``index`` is None where nothing was built."""

    index: Asset | None
    # By the name in the address, below /assets/.
    assets: Mapping[str, Asset]


def load_dashboard(folder: Path = FOLDER) -> Dashboard:
    """Read the build; a folder without the page itself is no build."""
    page = folder / INDEX
    if not page.is_file():
        return Dashboard(index=None, assets={})
    files = sorted((folder / ASSETS).iterdir()) if (folder / ASSETS).is_dir() else []
    return Dashboard(
        index=_read(page, REVALIDATED),
        assets={file.name: _read(file, FOREVER) for file in files if file.suffix != ".gz"},
    )


def page_guards() -> dict[str, str]:
    """Name the headers that let the page load nothing but what came with it."""
    return {
        "content-security-policy": POLICY,
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
    }


def _read(file: Path, cache_control: str) -> Asset:
    body = file.read_bytes()
    zipped = file.with_name(f"{file.name}.gz")
    guessed = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return Asset(
        body=body,
        zipped=zipped.read_bytes() if zipped.is_file() else None,
        media_type=_TYPES.get(file.suffix, guessed),
        tag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        cache_control=cache_control,
    )
