"""What a browser gets: the dashboard with its files, the reference, and a start page where no dashboard was built.

Failure behavior: all of it is read at the start and answered from memory; an unknown file is not found.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, SkipValidation

from gateway.errors import Fault, shown
from gateway.surfaces.guards import COOKIE, anybody
from gateway.web.dashboard import PATHS, Asset, Dashboard, load_dashboard
from gateway.web.document import Document, compose_document, load_proxy_document
from gateway.web.frame import load_look, page_headers
from gateway.web.reference import render_reference
from gateway.web.welcome import render_welcome

# The documents' own version (rows S18 and W21), a promise apart from the package's.
API_VERSION = "1.0.0"
NOT_MODIFIED = 304
_NS_PER_S = 1_000_000_000
# What a Host header may hold to be shown: a name, an IPv4 address or an IPv6 one in brackets, and a port.
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")

AnyRequest = Request[Any, Any, Any]


class Reference:
    """The reference page: made when it is first asked for, since what it tells is fixed once the application stands."""

    def __init__(self, written: Document, look: str) -> None:
        """``written`` is the hand-written part of the OpenAPI document."""
        self._written = written
        self._look = look
        self._page = b""

    def show(self, app: Litestar) -> bytes:
        """The page about this application, as HTML; writing it takes a tenth of a second."""
        if not self._page:
            document = compose_document(app.openapi_schema.to_schema(), self._written, app.routes)
            self._page = render_reference(document=document, look=self._look)
        return self._page


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """What pages are made from, read once."""

    # The package's version, shown on the start page.
    version: str
    # Shown on the start page; empty: made from the Host header.
    public_url: str
    now_ns: Callable[[], int]
    look: str
    dashboard: Dashboard
    reference: Reference


# What a page and JSON are called, the narrowest name first; and what is not named at all.
KINDS = ("text/html", "text/*"), ("application/json", "application/*", "*/*")
NEVER = (0.0, 0)
# The framework would otherwise convert the parts as if they came over the wire.
Paper = NamedDependency[SkipValidation[Pages]]


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """The greeting of row S18."""

    status: str
    message: str
    version: str
    timestamp: str


@get("/", guards=[anybody], tags=["Operations"], summary="Greet")
async def show_welcome(request: AnyRequest, pages: Paper) -> Response[Welcome]:
    """A browser gets the dashboard instead."""
    if not wants_page(request.headers.get("accept", "")):
        welcome = Welcome(
            status="healthy",
            message="Welcome to ServeML API",
            version=API_VERSION,
            timestamp=timestamp(pages.now_ns()),
        )
        return Response(welcome, headers={"vary": "accept, host", "cache-control": "no-store"})
    # The declared type is what the OpenAPI document promises to programs; bytes pass through unencoded.
    page: Response[Any] = _page(request, pages)
    return page


@get([*PATHS], guards=[anybody], include_in_schema=False)
async def show_dashboard(request: AnyRequest, pages: Paper) -> Response[bytes]:
    """The same page at each of its addresses: a link into it works, and so does loading it anew."""
    return _page(request, pages)


@get("/assets/{name:str}", guards=[anybody], include_in_schema=False)
async def show_asset(request: AnyRequest, name: FromPath[str], pages: Paper) -> Response[bytes]:
    """A file of the build; its name changes with its content, so it is kept for ever."""
    asset = pages.dashboard.assets.get(name)
    if asset is None:
        raise Fault("not_found", f"There is no file {shown(name)} of the dashboard; load the page anew.")
    return _answer(request, asset, {})


@get("/docs", guards=[anybody], include_in_schema=False)
async def show_reference(request: AnyRequest, pages: Paper) -> Response[bytes]:
    """The reference page, made from the OpenAPI document."""
    headers = {"cache-control": "no-cache", **page_headers(pages.look)}
    return Response(pages.reference.show(request.app), media_type=MediaType.HTML, headers=headers)


PAGE_ROUTES = (show_welcome, show_dashboard, show_asset, show_reference)


def build_pages_router(
    *, version: str, public_url: str, now_ns: Callable[[], int], dashboard: Dashboard | None = None
) -> Router:
    """Bind the pages to what they show; ``dashboard`` is by default the one that was built."""
    look = load_look()
    pages = Pages(
        version=version,
        public_url=public_url,
        now_ns=now_ns,
        look=look,
        dashboard=dashboard or load_dashboard(),
        reference=Reference(load_proxy_document(), look),
    )

    def provide_pages() -> Pages:
        return pages

    return Router(
        path="/",
        route_handlers=[*PAGE_ROUTES],
        dependencies={"pages": Provide(provide_pages, sync_to_thread=False)},
    )


def wants_page(accept: str) -> bool:
    """Whether a client would rather have a page than JSON, by the weights and the narrowness of what it names."""
    weights: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (word.strip().lower() for word in part.split(";"))
        weights[kind] = next((_weight(word[2:]) for word in parameters if word.startswith("q=")), 1.0)
    page, data = (
        next(((weights[kind], level) for level, kind in enumerate(kinds) if kind in weights), NEVER) for kinds in KINDS
    )
    return page[0] > data[0] or (page[0] == data[0] > 0 and page[1] < data[1])


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def timestamp(now_ns: int) -> str:
    """Write a moment to the second, in UTC."""
    return datetime.fromtimestamp(now_ns // _NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _page(request: AnyRequest, pages: Pages) -> Response[bytes]:
    path, has_session = request.url.path, COOKIE in request.cookies
    built = pages.dashboard.document(path, has_session=has_session)
    if built is not None:
        return _answer(request, built, built.links(path, has_session=has_session))
    page = render_welcome(base_url=_base_url(request, pages.public_url), version=pages.version, look=pages.look)
    headers = {"vary": "accept, host", "cache-control": "no-store", **page_headers(pages.look)}
    return Response(page, media_type=MediaType.HTML, headers=headers)


def _answer(request: AnyRequest, asset: Asset, links: dict[str, str]) -> Response[bytes]:
    headers = {**asset.headers(), **links}
    if asset.tag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=NOT_MODIFIED, headers=headers, media_type=asset.media_type)
    if asset.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(asset.zipped, headers=headers, media_type=asset.media_type)
    return Response(asset.body, headers=headers, media_type=asset.media_type)


def _base_url(request: AnyRequest, public_url: str) -> str:
    host = request.headers.get("host", "")
    shown_host = host if _HOST.fullmatch(host) else "127.0.0.1:8080"
    return f"{public_url.rstrip('/') or f'{request.url.scheme}://{shown_host}'}/v1"
