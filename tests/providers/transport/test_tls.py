"""HTTPS: verified, asked for by name, and never silently plain."""

import ssl

import pytest

from providers.errors import TimedOut, Unreachable
from providers.transport.origin import Origin
from providers.transport.pool import Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\nok"


def server_context(path) -> ssl.SSLContext:
    """A TLS server with a certificate file."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


async def test_https_works_with_a_trusted_certificate(lab, certificates):
    """Over TLS everything is as without, keep-alive included."""
    path = certificates("127.0.0.1")
    lab.use(Transport(ssl_context=ssl.create_default_context(cafile=path)))
    upstream = await lab.serve([OK], tls=server_context(path))
    assert await lab.fetch(upstream) == (200, b"ok")
    assert await lab.fetch(upstream) == (200, b"ok")
    assert upstream.connections == 1


async def test_the_server_is_asked_for_by_name(lab, certificates):
    """SNI carries the host, and the certificate is checked against it."""
    path = certificates("localhost")
    names = []
    context = server_context(path)
    context.sni_callback = lambda connection, name, original: names.append(name)
    lab.use(Transport(ssl_context=ssl.create_default_context(cafile=path)))
    upstream = await lab.serve([OK], tls=context)
    origin = Origin("https", "localhost", upstream.origin.port)
    assert await lab.fetch_from(origin) == (200, b"ok")
    assert names == ["localhost"]


async def test_a_certificate_for_another_host_is_refused(lab, certificates):
    """A trusted authority does not excuse a wrong name."""
    path = certificates("other.example")
    lab.use(Transport(ssl_context=ssl.create_default_context(cafile=path)))
    upstream = await lab.serve([OK], tls=server_context(path))
    with pytest.raises(Unreachable) as error:
        await lab.fetch(upstream)
    assert not error.value.sent
    assert upstream.requests == []


async def test_a_self_signed_certificate_is_refused(lab, certificates):
    """The default context verifies."""
    upstream = await lab.serve([OK], tls=server_context(certificates("127.0.0.1")))
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED") as error:
        await lab.fetch(upstream)
    assert not error.value.sent
    assert upstream.requests == []


async def test_a_plain_server_is_no_tls_server(lab):
    """TLS that fails is Unreachable and unsent."""
    upstream = await lab.serve([OK])
    origin = Origin("https", "127.0.0.1", upstream.origin.port)
    with pytest.raises((Unreachable, TimedOut)) as error:
        await lab.fetch_from(origin, connect_ms=100)
    assert not error.value.sent
