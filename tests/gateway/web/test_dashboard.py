"""Proves how the dashboard's build is read: what is kept for ever, what is compressed, and what is no build at all."""

import base64
import hashlib
from pathlib import Path

import pytest

from gateway.web.dashboard import load_dashboard

STYLE, BOOT = "body{margin:0}", "let first = 1;"
HTML = (
    f"<!doctype html><style>{STYLE}</style><script>{BOOT}</script>"
    '<script type="module" crossorigin src="/assets/index-abc.js"></script>'
)


def build(folder: Path, script: bytes = b"let a = 1;") -> Path:
    """A build of the two documents and one script."""
    (folder / "assets").mkdir()
    (folder / "index.html").write_text(HTML)
    (folder / "framed.html").write_text(f"{HTML}<nav>frame</nav>")
    (folder / "assets" / "index-abc.js").write_bytes(script)
    (folder / "assets" / "index-abc.js.gz").write_bytes(b"zipped")
    (folder / "assets" / "font-abc.woff2").write_bytes(b"font")
    return folder


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_a_folder_without_a_page_is_no_build(tmp_path: Path) -> None:
    """The gateway starts all the same."""
    (tmp_path / "half").mkdir()
    (build(tmp_path / "half") / "framed.html").unlink()
    for folder in (tmp_path, tmp_path / "missing", tmp_path / "half"):
        dashboard = load_dashboard(folder)
        assert (dashboard.index, dashboard.framed, dict(dashboard.assets)) == (None, None, {})


@pytest.mark.parametrize(
    ("path", "has_session", "is_framed"),
    [
        ("/", True, True),
        ("/budgets", True, True),
        ("/", False, False),
        ("/login", True, False),
        ("/welcome", True, False),
    ],
)
def test_the_frame_comes_first_where_it_will_be_shown(
    tmp_path: Path, path: str, has_session: bool, is_framed: bool
) -> None:
    """To who has a session; a page without it, and a stranger, get the plain document."""
    page = load_dashboard(build(tmp_path)).document(path, has_session=has_session)
    assert page is not None
    assert (b"<nav>" in page.body) is is_framed


def test_files_of_the_build_are_kept_for_ever(tmp_path: Path) -> None:
    """Their names change with their content; the page itself is asked for each time."""
    dashboard = load_dashboard(build(tmp_path))
    assert dashboard.index is not None
    assert dashboard.index.cache_control == "no-cache"
    assert dashboard.assets["index-abc.js"].cache_control == "public, max-age=31536000, immutable"


def test_a_compressed_file_is_a_form_of_its_own_file(tmp_path: Path) -> None:
    """It has no address of its own; what has none is sent as it is."""
    dashboard = load_dashboard(build(tmp_path))
    assert set(dashboard.assets) == {"index-abc.js", "font-abc.woff2"}
    assert dashboard.assets["index-abc.js"].zipped == b"zipped"
    assert dashboard.assets["font-abc.woff2"].zipped is None


def test_media_types_are_what_browsers_demand(tmp_path: Path) -> None:
    """A module script of another type does not run."""
    dashboard = load_dashboard(build(tmp_path))
    assert dashboard.assets["index-abc.js"].media_type == "text/javascript"
    assert dashboard.assets["font-abc.woff2"].media_type == "font/woff2"


def test_a_tag_follows_the_content(tmp_path: Path) -> None:
    """The same bytes have the same tag, other bytes another."""
    tags: list[str] = []
    for number, script in enumerate((b"1", b"1", b"2")):
        folder = tmp_path / str(number)
        folder.mkdir()
        tags.append(load_dashboard(build(folder, script)).assets["index-abc.js"].tag)
    assert tags[0] == tags[1] != tags[2]


def test_the_policy_trusts_nothing_but_the_gateway(tmp_path: Path) -> None:
    """No other host, no frame around it, and inline nothing but what the build put there, letter for letter."""
    page = load_dashboard(build(tmp_path)).framed
    assert page is not None
    headers = page.headers()
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'self' {digest(BOOT)};" in policy
    assert f"style-src 'self' {digest(STYLE)};" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    # A shared cache would give the frame to a stranger, or the page to a program.
    assert headers["vary"] == "accept, accept-encoding, cookie"


def test_a_browser_is_told_early_what_the_page_will_ask(tmp_path: Path) -> None:
    """Its script, and who has the session it has; a stranger is not asked who they are."""
    page = load_dashboard(build(tmp_path)).index
    assert page is not None
    script = "</assets/index-abc.js>; rel=modulepreload; crossorigin=anonymous"
    asked = [f"<{path}>; rel=preload; as=fetch; crossorigin=anonymous" for path in ("/api/users/me", "/api/account")]
    assert page.links("/", has_session=True) == {"link": ", ".join([script, *asked])}
    assert page.links("/", has_session=False) == page.links("/login", has_session=True) == {"link": script}
