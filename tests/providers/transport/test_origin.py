"""Base URLs: what is taken and what is refused."""

import pytest

from providers.transport.origin import Origin, parse_base_url

GOOD = {
    "https://api.openai.com/v1": (Origin("https", "api.openai.com", 443), "/v1"),
    "https://api.openai.com/v1/": (Origin("https", "api.openai.com", 443), "/v1"),
    "http://localhost:8000": (Origin("http", "localhost", 8000), ""),
    "HTTP://Example.COM/A": (Origin("http", "example.com", 80), "/A"),
    "http://[::1]:9/v1": (Origin("http", "::1", 9), "/v1"),
    "http://[2001:DB8:0::1]/": (Origin("http", "2001:db8::1", 80), ""),
    "http://my_service:80/openai/v1": (Origin("http", "my_service", 80), "/openai/v1"),
    "https://xn--bcher-kva.example": (Origin("https", "xn--bcher-kva.example", 443), ""),
    "http://10.0.0.1:65535/a/b//": (Origin("http", "10.0.0.1", 65535), "/a/b"),
}


@pytest.mark.parametrize(("url", "expected"), GOOD.items(), ids=GOOD)
def test_a_base_url_is_split(url, expected):
    """Scheme and host are lower-cased, the port is filled in, the final slash goes."""
    assert parse_base_url(url) == expected


BAD = [
    "",
    "api.openai.com/v1",
    "//api.openai.com",
    "/v1",
    "ftp://host/",
    "file:///etc/passwd",
    "http:///v1",
    "http://",
    "https://host?x=1",
    "https://host/#f",
    "https://host/?",
    "https://host/#",
    "http://host:0/",
    "http://host:65536/",
    "http://host:-1/",
    "http://host:/",
    "http://host:8 0/",
    "http://ho st/",
    "http://host/a b",
    "http://host/\r\nx: y",
    "http://host\t/",
    "http://host/\0",
    " http://host/",
    "http://host/\n",
    "http://host\\@evil/",
    "http://127。0。0。1/",
    "http://bücher.example/",
    "http://%31%32%37.0.0.1/",
    "http://a..b/",
    "http://-a/",
    "http://[::1/",
    "http://[::1%25eth0]/",
    "http://[v1.x]/",
    "http://" + "a" * 64 + ".example/",
]


@pytest.mark.parametrize("url", BAD)
def test_anything_else_is_refused(url):
    """The message shows the value."""
    with pytest.raises(ValueError) as error:
        parse_base_url(url)
    assert repr(url) in str(error.value)


@pytest.mark.parametrize("url", ["https://user:secret@host/", "https://sk-secret@host/v1", "https://@host/"])
def test_user_info_is_refused_without_repeating_it(url):
    """A secret in a URL must not reach a log."""
    with pytest.raises(ValueError, match="user-info") as error:
        parse_base_url(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("origin", "authority"),
    [
        (Origin("https", "h", 443), "h"),
        (Origin("https", "h", 80), "h:80"),
        (Origin("http", "::1", 80), "[::1]"),
        (Origin("http", "::1", 81), "[::1]:81"),
    ],
)
def test_the_authority_names_the_port_where_it_matters(origin, authority):
    """The Host header leaves out the scheme's own port."""
    assert origin.authority == authority
    assert str(origin) == f"{origin.scheme}://{authority}"
