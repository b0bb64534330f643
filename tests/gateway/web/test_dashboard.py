"""Proves how the dashboard's build is read: what is kept for ever, what is compressed, and what is no build at all."""

from pathlib import Path

from gateway.web.dashboard import POLICY, load_dashboard, page_guards


def build(folder: Path, script: bytes = b"let a = 1;") -> Path:
    """A build of one page and one script."""
    (folder / "assets").mkdir()
    (folder / "index.html").write_bytes(b"<!doctype html>")
    (folder / "assets" / "index-abc.js").write_bytes(script)
    (folder / "assets" / "index-abc.js.gz").write_bytes(b"zipped")
    (folder / "assets" / "font-abc.woff2").write_bytes(b"font")
    return folder


def test_a_folder_without_a_page_is_no_build(tmp_path: Path) -> None:
    """The gateway starts all the same."""
    for folder in (tmp_path, tmp_path / "missing"):
        dashboard = load_dashboard(folder)
        assert (dashboard.index, dict(dashboard.assets)) == (None, {})


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


def test_the_policy_trusts_nothing_but_the_gateway() -> None:
    """No other host, nothing inline, no frame around it."""
    policy = page_guards()["content-security-policy"]
    assert policy == POLICY
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
