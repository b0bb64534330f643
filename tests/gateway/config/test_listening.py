"""Where a gateway listened last is a hint that may be missing or broken."""

from pathlib import Path

import pytest

from gateway.config.listening import note_address, read_address, write_address


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("llm.example.org", "http://llm.example.org:80"),
        ("::1", "http://[::1]:80"),
    ],
)
def test_an_address_is_a_url(host: str, address: str) -> None:
    """Also where the host has colons of its own."""
    assert write_address(host, 80) == address


def test_the_last_address_is_kept(tmp_path: Path) -> None:
    """Of several starts the latest."""
    assert read_address(tmp_path) is None
    for port in (8080, 9000):
        note_address(tmp_path, f"http://127.0.0.1:{port}")
    assert read_address(tmp_path) == "http://127.0.0.1:9000"


@pytest.mark.parametrize("content", [b"", b"\xff", b"file:///etc", b"http://a\nb"])
def test_what_is_no_address_is_none(tmp_path: Path, content: bytes) -> None:
    """Whoever wrote it."""
    (tmp_path / "address").write_bytes(content)
    assert read_address(tmp_path) is None


def test_a_folder_that_is_not_there_keeps_nothing(tmp_path: Path) -> None:
    """No start fails for it."""
    note_address(tmp_path / "none", "http://127.0.0.1:1")
    assert read_address(tmp_path / "none") is None
