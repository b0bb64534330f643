"""Names: all spellings of one are equal, and what is no name is told."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.accounts.tenancy.names import check_email, check_name, check_username, fold, to_searchable
from gateway.accounts.tenancy.refusals import Refusal


@given(st.text())
@example("ς̈ ")
@example("ﷺ¨")
@example("\u0345\u03b1")
def test_folding_twice_changes_nothing(text: str) -> None:
    """Else a stored name would not be found by itself."""
    assert fold(fold(text)) == fold(text)


@given(st.text(), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_the_normal_form_makes_no_difference(text: str, form: str) -> None:
    """Keyboards and systems compose letters differently."""
    assert fold(unicodedata.normalize(form, text)) == fold(text)  # type: ignore[arg-type]


@given(st.text(st.characters(max_codepoint=0x24F, exclude_characters="\u0131")))
def test_case_and_margins_make_no_difference(text: str) -> None:
    """Of every Latin letter but the dotless i, whose capital is another letter's."""
    assert fold(f" {text.upper()}\t") == fold(text.lower())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("STRASSE", "straße"),
        ("\uff21\uff24\uff21", "ada"),
        ("ﬁ", "fi"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
    ],
    ids=["case", "sharp-s", "width", "ligature", "sigma"],
)
def test_these_are_one_name(one: str, other: str) -> None:
    """What looks alike or differs in case only."""
    assert fold(one) == fold(other)


@given(st.emails())
def test_addresses_are_kept_as_they_are_written(email: str) -> None:
    """Only the margins go; hypothesis makes addresses of RFC 5322's plain form."""
    assert check_email(f" {email}\n") == email


@pytest.mark.parametrize(
    "email",
    ["", "ada", "@example.com", "ada@", "a@b@c", "a b@c", "ada@example..com", "ada@.com", "ada@com.", "a\x00@b",
     "a\r\nBcc: c@d", '"a"@b', "a,b@c", "<a@b>", "a@[1.2.3.4]", "ada\uff20example.com", "a\ufe6bb@c", "\ud800@b",
     "a" * 65 + "@b", "a@" + "b" * 64, "a@" + "b." * 130 + "c", "\u202ea@b"],
    ids=range(22),
)  # fmt: skip
def test_what_is_no_address_is_refused(email: str) -> None:
    """The message shows it, cut and escaped."""
    with pytest.raises(Refusal, match="is no e-mail address: write one like") as caught:
        check_email(email)
    assert caught.value.param == "email"
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("username", ["", " ", "a b", "a@b", "a" * 65, "a\u200b", "ﷺ" * 4], ids=range(7))
def test_what_is_no_username_is_refused(username: str) -> None:
    """One that looks like an address, or whose folded text breaks the rule, is none either."""
    with pytest.raises(Refusal, match="is no username"):
        check_username(username)


def test_a_username_is_kept_as_it_is_written() -> None:
    """Trimmed."""
    assert check_username(" Ada_Løvelace ") == "Ada_Løvelace"


NO_NAMES = {"lines": "a\nb", "long": "a" * 129, "escape": "\x1b[31m", "turned": "a\u202eb", "unseen": "a\u200bb"}


@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES.keys())
def test_what_is_no_name_is_refused(name: str) -> None:
    """Names are shown in tables and mails."""
    with pytest.raises(Refusal, match="is no name") as caught:
        check_name(name, "full_name")
    assert caught.value.param == "full_name"


def test_a_name_may_be_empty() -> None:
    """Nobody has to say it."""
    assert check_name("  ", "full_name") == ""
    with pytest.raises(Refusal, match="1 to 128"):
        check_name("  ", "full_name", least_chars=1)


def test_what_looks_alike_is_one_name() -> None:
    """However the keyboard composes it."""
    assert check_name(" Cafe\u0301 ") == check_name("Caf\u00e9") == "Caf\u00e9"


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_searched_for_can_be_sent(text: str) -> None:
    """To any database; what cannot be is nobody's name."""
    sent = to_searchable(text)
    assert sent in ("", text)
    assert b"\x00" not in sent.encode()
