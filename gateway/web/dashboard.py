"""The dashboard's build: what a browser loads, read once, each file with its compressed form and its tag.

``make install`` builds it from ``gateway/web/app``; a wheel carries it. Where it is missing there is none to serve, and
the start page says how to make it.
"""

import base64
import hashlib
import mimetypes
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

FOLDER = Path(__file__).with_name("static")
INDEX = "index.html"
# The same with the frame in it, for who has a session.
FRAMED = "framed.html"
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
# What is shown without the frame; see src/app.tsx.
FRAMELESS = STRANGERS | {"/welcome"}
# What every other page asks before anything else; see src/core/session.ts.
ASKED_FIRST = ("/api/users/me", "/api/account")
# Only what came with the page, and no other host; inline is what the build itself put there, told by its digest.
POLICY = (
    "default-src 'none'; script-src 'self'{script}; style-src 'self'{style}; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
_ENTRY = re.compile(r'<script type="module"[^>]* src="([^"]+)"')
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
            "vary": "accept-encoding",
            "x-content-type-options": "nosniff",
        }


class Page(Asset, frozen=True, kw_only=True):
    """A document of the build."""

    # Its content security policy.
    policy: str
    # The address of its script; empty where it has none.
    script: str

    def headers(self) -> dict[str, str]:
        """Add the headers that let it load nothing but what came with it."""
        return {
            **super().headers(),
            "vary": "accept, accept-encoding, cookie",
            "content-security-policy": self.policy,
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
        }

    def links(self, path: str, *, has_session: bool) -> dict[str, str]:
        """Name what a browser fetches before it has read the page: its script, and who it is that has the session."""
        links = [f"<{self.script}>; rel=modulepreload; crossorigin=anonymous"] if self.script else []
        if has_session and path not in STRANGERS:
            links += [f"<{asked}>; rel=preload; as=fetch; crossorigin=anonymous" for asked in ASKED_FIRST]
        return {"link": ", ".join(links)} if links else {}


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """The whole build; ``index`` is None where nothing was built."""

    index: Page | None
    # The same with the frame in it; None where nothing was built.
    framed: Page | None
    # By the name in the address, below /assets/.
    assets: Mapping[str, Asset]

    def document(self, path: str, *, has_session: bool) -> Page | None:
        """Choose what is answered at an address: the frame comes first where it will be shown."""
        return self.framed if has_session and path not in FRAMELESS else self.index


def load_dashboard(folder: Path = FOLDER) -> Dashboard:
    """Read the build; a folder without both documents is no build."""
    pages = [folder / INDEX, folder / FRAMED]
    if not all(page.is_file() for page in pages):
        return Dashboard(index=None, framed=None, assets={})
    files = sorted((folder / ASSETS).iterdir()) if (folder / ASSETS).is_dir() else []
    index, framed = map(_read_page, pages)
    return Dashboard(
        index=index,
        framed=framed,
        assets={file.name: _read(file, FOREVER) for file in files if file.suffix != ".gz"},
    )


def _read_page(file: Path) -> Page:
    asset = _read(file, REVALIDATED)
    html = asset.body.decode()
    script = _ENTRY.search(html)
    return Page(
        **msgspec.structs.asdict(asset), policy=_write_policy(html), script=script[1] if script is not None else ""
    )


def _write_policy(html: str) -> str:
    digests = {"script": "", "style": ""}
    for kind, text in _INLINE.findall(html):
        digests[kind] += f" 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    return POLICY.format_map(digests)


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
