"""What a head must be before anybody looks at the rest of a request."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Fault
from gateway.server.checks import MAX_URL_BYTES, Headers, check_headers, check_target, parsing_failed


def check(*headers: tuple[bytes, bytes], is_http_11: bool = True) -> Fault | None:
    """Check headers as the protocol does."""
    given_headers: Headers = list(headers)
    return check_headers(given_headers, dict(given_headers), is_http_11=is_http_11)


def status_of(fault: Fault | None) -> int:
    """The status that it is refused with, 0 where it is not."""
    return 0 if fault is None else fault.status


@pytest.mark.parametrize("url", [b"/", b"/v1/chat/completions", b"/v1/models/a%20b?x=1", b"//twice"])
def test_a_path_is_a_target(url: bytes) -> None:
    """Whatever follows the first slash is the router's to know."""
    assert check_target(url) is None


@pytest.mark.parametrize("url", [b"*", b"http://evil.example/", b"gateway:443", b"v1/models", b""])
def test_what_is_no_path_is_no_target(url: bytes) -> None:
    """Absolute addresses are for proxies, whose host would be read in two ways."""
    assert status_of(check_target(url)) == 400


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (httptools.HttpParserCallbackError("`on_url` callback error"), 500),
        (httptools.HttpParserInvalidMethodError("no"), 400),
        (httptools.HttpParserUpgrade(4), 400),
    ],
)
def test_a_fault_of_the_gateways_is_not_the_clients(
    error: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What went wrong in what the parser called is a 500, and the log has it."""
    error.__context__ = ValueError("what it was")
    assert parsing_failed(error).status == status
    assert ("what it was" in caplog.text) is (status == 500)


def test_a_target_may_be_as_long_as_the_limit() -> None:
    """One byte more is 414."""
    longest = b"/" * MAX_URL_BYTES
    assert (status_of(check_target(longest)), status_of(check_target(longest + b"/"))) == (0, 414)


@pytest.mark.parametrize(
    "host",
    [b"gateway", b"gateway:8080", b"127.0.0.1:1", b"[::1]", b"[::1]:65535", b"a-b_c.example.", b"x" * 253],
)
def test_a_host_is_a_name_or_an_address_and_a_port(host: bytes) -> None:
    """Every form that clients send."""
    assert check((b"host", host)) is None


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b" gateway",
        b"gateway/",
        b"me@evil",
        b"gateway:",
        b"gateway:port",
        b"gateway:65536",
        b"gateway:999999",
        b"a,b",
        b"::1",
        b"[::1",
        b"[gateway]",
        b"x" * 254,
        b"caf\xe9",
    ],
)
def test_what_could_be_read_as_another_host_is_refused(host: bytes) -> None:
    """It decides for whom a call is meant."""
    assert status_of(check((b"host", host))) == 400


def test_a_host_that_is_refused_is_shown_and_cut() -> None:
    """The client sees what it sent, not all of it."""
    fault = check((b"host", b"/" * 5_000))
    assert fault is not None
    assert "'////" in fault.message
    assert len(fault.message) < 300


def test_http_1_1_needs_a_host() -> None:
    """RFC 9112 section 3.2."""
    assert status_of(check()) == 400


def test_http_1_0_needs_none() -> None:
    """The header came with HTTP/1.1."""
    assert check(is_http_11=False) is None


@pytest.mark.parametrize("is_http_11", [True, False])
@pytest.mark.parametrize("second", [b"gateway", b"evil"])
def test_two_hosts_are_refused(second: bytes, is_http_11: bool) -> None:
    """Even where they agree; an old client has one as well."""
    assert status_of(check((b"host", b"gateway"), (b"host", second), is_http_11=is_http_11)) == 400


def test_other_headers_may_come_twice() -> None:
    """Only what frames and addresses a request must be single."""
    assert check((b"host", b"gateway"), (b"accept", b"a"), (b"accept", b"b")) is None


@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b" chunked "])
def test_chunked_is_known(coding: bytes) -> None:
    """In any case."""
    assert check((b"host", b"gateway"), (b"transfer-encoding", coding)) is None


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, chunked", b"identity", b"chunked, chunked", b""])
def test_another_coding_is_not(coding: bytes) -> None:
    """501, as RFC 9112 section 6.1 has it: a body that cannot be framed is not guessed at."""
    assert status_of(check((b"host", b"gateway"), (b"transfer-encoding", coding))) == 501


@given(st.binary(max_size=40))
def test_any_bytes_of_a_host_are_either_fine_or_refused(host: bytes) -> None:
    """Nothing that a client sends raises."""
    fault = check((b"host", host))
    assert status_of(fault) in (0, 400)
    assert fault is not None or not set(host) & set(b"/@, \t\r\n\0")
