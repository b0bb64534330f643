"""Only the public Internet: at the moment of saving and at each connection, whatever a name stands for by then."""

import asyncio
import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import Unreachable
from providers.transport import address_guard
from providers.transport.address_guard import AddressGuard, AddressRefused, is_public, resolve_name
from providers.transport.origin import Origin, Timeouts, parse_base_url
from providers.transport.pool import Transport

CLOSED = (
    "0.0.0.1", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254",
    "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.10", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0",
    "fec0::1", "ff02::1", "2606:4700::1%eth0", "localhost", "127.1", "2130706433", "0x7f000001", "017700000001", "",
)  # fmt: skip
OPEN = ("8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.3.1", "223.255.255.255", "2606:4700:4700::1111")
TIMEOUTS = Timeouts(connect_ms=1_000, first_byte_ms=1_000, idle_ms=1_000, total_ms=1_000)


@pytest.mark.parametrize("address", CLOSED)
def test_what_is_not_public_is_known(address: str) -> None:
    """Loopback, private, shared, link-local, documentation, multicast, tunnels, translations; and what is none."""
    assert not is_public(address)


@pytest.mark.parametrize("address", OPEN)
def test_what_is_public_is_let_through(address: str) -> None:
    """Beside the ranges that are not."""
    assert is_public(address)


@given(st.ip_addresses())
def test_nothing_is_public_that_python_takes_for_closed(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """The lists are stricter than the standard library's in each case."""
    if is_public(str(address)):
        assert address.is_global
        assert not (address.is_private or address.is_loopback or address.is_multicast or address.is_link_local)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:{}", "64:ff9b::{}", "::{}", "2002:{:02x}{:02x}:{:02x}{:02x}::"]))
def test_no_ipv6_spelling_of_an_ipv4_address_is_public(address: ipaddress.IPv4Address, form: str) -> None:
    """A translated or tunnelled address leads where nobody looked."""
    spelled = form.format(*address.packed) if form.startswith("2002") else form.format(address)
    assert not is_public(spelled)


def resolving(*answers: Sequence[str]) -> tuple[AddressGuard, list[str]]:
    """A guard whose resolver gives these answers in turn, and what it was asked."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return AddressGuard(resolve), asked


async def test_every_address_of_a_name_must_be_public() -> None:
    """One that is not refuses the name; IPv4 comes first, since not everybody has IPv6."""
    guard, _ = resolving(["2606:4700::1", "8.8.8.8"])
    assert await guard.find(Origin("https", "h.test", 443)) == ["8.8.8.8", "2606:4700::1"]
    guard, _ = resolving(["8.8.8.8", "10.0.0.1"])
    with pytest.raises(AddressRefused, match="is no address of the public Internet"):
        await guard.find(Origin("https", "h.test", 443))
    guard, _ = resolving([])
    with pytest.raises(AddressRefused):
        await guard.find(Origin("https", "h.test", 443))


async def test_plain_http_is_refused_before_anything_is_resolved() -> None:
    """The key would be read on the way."""
    guard, asked = resolving(["8.8.8.8"])
    with pytest.raises(AddressRefused, match="is not https"):
        await guard.find(Origin("http", "h.test", 80))
    assert asked == []


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long"), TimeoutError()])
async def test_a_name_that_cannot_be_resolved_is_refused(error: Exception) -> None:
    """Whatever the resolver says."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        raise error

    with pytest.raises(AddressRefused, match="cannot be resolved"):
        await AddressGuard(resolve).find(Origin("https", "h.test", 443))


async def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's name holds a request up."""
    monkeypatch.setattr(address_guard, "RESOLVE_TIMEOUT_S", 0.01)

    async def resolve(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(5)
        return []

    with pytest.raises(AddressRefused, match="cannot be resolved"):
        await AddressGuard(resolve).find(Origin("https", "h.test", 443))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "0", "localhost."])
async def test_the_systems_resolver_is_not_fooled(host: str) -> None:
    """What it takes for loopback is refused in each of its spellings."""
    origin, _ = parse_base_url(f"https://{host}")
    with pytest.raises(AddressRefused):
        await AddressGuard().find(origin)
    assert not any(map(is_public, await resolve_name("127.0.0.1", 443)))


async def test_a_name_that_changes_its_address_gains_nothing() -> None:
    """Rebinding: public when it was stored, loopback when it is called; no socket is opened there."""
    connections: list[object] = []

    async def trap(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.close()

    server = await asyncio.start_server(trap, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    guard, asked = resolving(["8.8.8.8"], ["127.0.0.1"])
    origin = Origin("https", "rebinding.test", port)
    assert await guard.find(origin) == ["8.8.8.8"]
    transport = Transport(guard=guard)
    with pytest.raises(Unreachable, match="no address of the public Internet") as caught:
        await transport.fetch(origin, b"POST / HTTP/1.1\r\n", b"{}", TIMEOUTS, limit_bytes=10)
    assert (caught.value.sent, len(asked), connections) == (False, 2, [])
    await transport.close()
    server.close()


async def test_the_connection_goes_to_the_address_that_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not to the name, which would be resolved anew; TLS still asks for the name."""
    loop = asyncio.get_running_loop()
    dialled: list[tuple[object, object]] = []

    async def create_connection(_: object, host: object, port: object, **more: object) -> None:
        dialled.append((host, more["server_hostname"]))
        raise OSError("far enough")

    monkeypatch.setattr(loop, "create_connection", create_connection)
    guard, _ = resolving(["8.8.8.8"])
    transport = Transport(guard=guard)
    with pytest.raises(Unreachable):
        await transport.fetch(Origin("https", "h.test", 443), b"POST / HTTP/1.1\r\n", b"", TIMEOUTS, limit_bytes=10)
    assert dialled == [("8.8.8.8", "h.test")]
    await transport.close()
