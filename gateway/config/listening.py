"""Where a gateway listens, as an address: written for people, and kept in the data directory for its commands.

Failure behavior: what is kept is only a hint. What cannot be written or read is as if no gateway had ever started.
"""

import contextlib
from pathlib import Path

_FILE = "address"
_MAX_CHARS = 300


def write_address(host: str, port: int) -> str:
    """Write where a gateway listens as the beginning of a URL; an IPv6 address stands in brackets there."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def note_address(data_dir: Path, base_url: str) -> None:
    """Keep the address that a gateway answers on."""
    with contextlib.suppress(OSError):
        (data_dir / _FILE).write_text(f"{base_url}\n", encoding="utf-8")


def read_address(data_dir: Path) -> str | None:
    """Give the address that was kept last; None where there is none."""
    try:
        kept = (data_dir / _FILE).read_text(encoding="utf-8")[:_MAX_CHARS].strip()
    except (OSError, UnicodeDecodeError):
        return None
    return kept if kept.startswith(("http://", "https://")) and kept.isprintable() else None
