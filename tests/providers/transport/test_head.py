"""Looking fields up in a raw head."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import InvalidAnswer
from providers.transport.head import ResponseHead

RAW = b"HTTP/1.1 200 OK\r\nContent-Type:  Text/Plain \r\nX-Two: a\r\nx-two:b\r\nEmpty:\r\nContent-Length: 12\r\n"


def test_names_are_lower_case_and_values_are_trimmed():
    """headers keeps order and repetition."""
    assert ResponseHead(200, RAW).headers == [
        (b"content-type", b"Text/Plain"),
        (b"x-two", b"a"),
        (b"x-two", b"b"),
        (b"empty", b""),
        (b"content-length", b"12"),
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"content-type", b"Text/Plain"), (b"x-two", b"a"), (b"empty", b""), (b"two", None), (b"length", None)],
)
def test_get_finds_whole_names_only(name, value):
    """The first value of the field of exactly this name."""
    assert ResponseHead(200, RAW).get(name) == value


def test_get_all_joins_repeated_fields():
    """Fields of one name are one list, in lower case."""
    assert ResponseHead(200, RAW.replace(b"x-two:b", b"X-TWO:B")).get_all(b"x-two") == b"a, b"


@given(
    st.lists(st.tuples(st.sampled_from([b"te", b"TE", b"x-te", b"T"]), st.sampled_from([b"a", b" B\t", b"", b"c:d"])))
)
def test_get_all_has_every_field_of_exactly_this_name(fields):
    """None, one or several, whatever stands beside them."""
    head = ResponseHead(200, b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b:%b\r\n" % field for field in fields))
    assert head.get_all(b"te") == b", ".join(value.strip() for name, value in fields if name.lower() == b"te").lower()


@pytest.mark.parametrize(
    ("field", "length", "is_chunked", "ends_with_connection"),
    [
        (b"Content-Length: 7\r\n", 7, False, False),
        (b"transfer-encoding: chunked\r\n", None, True, False),
        (b"", None, False, True),
    ],
)
def test_the_framing_is_told(field, length, is_chunked, ends_with_connection):
    """A length, chunks, or the end of the connection."""
    head = ResponseHead(200, b"HTTP/1.1 200 OK\r\n" + field)
    assert (head.content_length, head.is_chunked, head.ends_with_connection) == (
        length,
        is_chunked,
        ends_with_connection,
    )


@pytest.mark.parametrize(
    ("status", "raw"),
    [
        (200, b"HTTP/2.0 200 OK\r\n"),
        (200, b"\r\nHTTP/1.1 200 OK\r\n"),
        (101, b"HTTP/1.1 101 X\r\n"),
        (99, b"HTTP/1.1 099 X\r\n"),
        (200, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n"),
        (200, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    ],
)
def test_what_is_not_spoken_is_refused(status, raw):
    """The parser is laxer than this client."""
    with pytest.raises(InvalidAnswer):
        ResponseHead(status, raw).check()


def test_a_varied_answer_is_not_encoded():
    """A mention of encodings in a value is no encoding."""
    head = ResponseHead(200, b"HTTP/1.1 200 OK\r\nVary: Accept-Encoding\r\n")
    head.check()
    assert not head.has_codings
