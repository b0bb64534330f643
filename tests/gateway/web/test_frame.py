"""Proves the frame: one style sheet, named by its digest, and titles that are text."""

import base64
import hashlib
import re

from gateway.web.frame import load_look, page_headers, write_page


def test_the_policy_names_this_very_sheet() -> None:
    """The browser's digest is taken of what stands between the style tags."""
    look = load_look()
    found = re.search(r"<style>(.*)</style>", write_page(title="t", body="", look=look).decode(), re.DOTALL)
    assert found is not None
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page_headers(look)["content-security-policy"]


def test_a_title_is_text() -> None:
    """A title from elsewhere cannot become markup."""
    assert b"<title>&lt;b&gt;</title>" in write_page(title="<b>", body="", look="")


def test_the_sheet_loads_nothing() -> None:
    """No font, image or sheet comes from anywhere."""
    assert not re.search(r"url\(|@import|https?:", load_look())


def test_the_sheet_knows_both_schemes() -> None:
    """Light and dark follow the reader's system."""
    assert "@media (prefers-color-scheme: dark)" in load_look()


def test_a_page_runs_nothing() -> None:
    """These pages have no script, and none that came in some other way would run."""
    policy = page_headers("")["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
