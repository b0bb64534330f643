"""What people, accounts and their things may be called, and when two spellings are one name."""

import re
import unicodedata

from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.errors import shown

MAX_EMAIL_CHARS = 254
MAX_USERNAME_CHARS = 64
MAX_NAME_CHARS = 128
# Whatever needs quoting (RFC 5322 section 3.2.3) is left out: nobody's address has it, and headers end at it.
_LOCAL = r"[^\s@\"(),:;<>\[\]\\]{1,64}"
_LABEL = r"[^\s@\"(),:;<>\[\]\\.]{1,63}"
_EMAIL = re.compile(rf"{_LOCAL}@{_LABEL}(?:\.{_LABEL})*")
_USERNAME = re.compile(r"[^\s@]+")


def fold(name: str) -> str:
    """Write a name so that all its spellings are equal: NFKC, casefold, trimmed; folding twice changes nothing.

    Casefolding undoes the normal form and the normal form may bring new capitals, hence each twice (Unicode 16.0
    section 3.13.5, D146).
    """
    folded = unicodedata.normalize("NFD", name)
    for _ in range(2):
        folded = unicodedata.normalize("NFKC", folded.casefold())
    return folded.strip()


def to_searchable(text: str) -> str:
    """Give a text that may be searched for: databases refuse NUL and lone surrogates, and no name has any."""
    return text if text.isprintable() else ""


def check_email(text: str) -> str:
    """Trim an e-mail address, which is kept as it is written. Raises Refusal."""
    written = text.strip()
    for spelling in (written, fold(written)):
        if len(spelling) > MAX_EMAIL_CHARS or not spelling.isprintable() or not _EMAIL.fullmatch(spelling):
            raise Refusal(
                RefusalKind.INVALID, f"{shown(text)} is no e-mail address: write one like ada@example.com", "email"
            )
    return written


def check_username(text: str) -> str:
    """Trim a username. Raises Refusal."""
    written = text.strip()
    for spelling in (written, fold(written)):
        if len(spelling) > MAX_USERNAME_CHARS or not spelling.isprintable() or not _USERNAME.fullmatch(spelling):
            raise Refusal(
                RefusalKind.INVALID,
                f"{shown(text)} is no username: 1 to {MAX_USERNAME_CHARS} printable characters, no space, no @",
                "username",
            )
    return written


def to_name(text: str) -> str | None:
    """Write a name that is only shown, and may be empty, as it is kept; None: it cannot be one.

    In NFC, so that what looks alike is alike, and without what nobody sees: controls, signs without width, and those
    that turn the direction of writing round.
    """
    written = unicodedata.normalize("NFC", text.strip())
    return written if len(written) <= MAX_NAME_CHARS and written.isprintable() else None


def check_name(text: str, param: str = "name", *, least_chars: int = 0) -> str:
    """Give such a name as it is kept. Raises Refusal."""
    written = to_name(text)
    if written is None or len(written) < least_chars:
        many = f"{least_chars} to {MAX_NAME_CHARS}" if least_chars else f"up to {MAX_NAME_CHARS}"
        raise Refusal(RefusalKind.INVALID, f"{shown(text)} is no name: {many} printable characters", param)
    return written
