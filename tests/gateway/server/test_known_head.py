"""A head that repeats is not read again: whatever a client sends, it is answered as if every head were read."""

from contextlib import closing
from typing import Any

import pytest
from fakes import CALLER, NOW_NS, FakeBackend, FakeDirectory, chat_body, make_services, whole
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from talks import AFTER_A_WAIT, AT_ONCE, BOUNDS, CHAT, CHUNKED, HEADS, HOST, IN_PARTS, PLAIN, Talk, ask

from gateway.accounts.directory import KeyFault
from gateway.surfaces.proxy.openai import OpenAiDoor

ODD_HEADS = [
    PLAIN.replace(old, new)
    for old, new in [
        (b"POST", b"GET"), (b"/v1/", b"/v2/"), (b"good", b"bad"), (b"HTTP/1.1", b"HTTP/1.0"), (HOST, b""),
        (CHAT, b"\r\n" + CHAT), (HOST, HOST + b"Connection: close\r\n"), (HOST, HOST + b"expect: 100-continue\r\n"),
        (HOST, HOST + b"expect: more\r\n"), (HOST, HOST + b"connection: upgrade\r\nupgrade: h2c\r\n"),
        (HOST, HOST + b"upgrade: h2c\r\n"), (HOST, HOST + b"content-length: 1\r\n"),
        (HOST, HOST + b" content-length: 1\r\n"), (b"1.1\r\n", b"1.0\r\nConnection: keep-alive\r\n"),
        *[(b"{}", form) for form in (b"{} ", b"+{}", b"-{}", b"0x{}", b"{},1", b"{}\x00")],
        *[(b"{}", b"0" * zeros + b"{}") for zeros in (1, 9, 10, 30)],
    ]
]  # fmt: skip
BODIES = st.binary(max_size=12) | st.sampled_from([b"\x01" * 150, b"\r\n\r\n", PLAIN, ask(b"\x01"), b"\x03", b"\x04"])
OTHERS = st.one_of(
    st.builds(ask, BODIES, st.sampled_from(HEADS + ODD_HEADS)),
    st.builds(ask, BODIES, st.just(PLAIN), st.sampled_from([b"", b"13", b"150", b"9999999999"])),
    BODIES.map(lambda body: CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"),
    BODIES.map(lambda body: ask(body) + b"}"),
    BODIES.map(lambda body: ask(body + b"x" * BOUNDS.max_body_bytes)),
    st.just(b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n"),
)
ACTS = st.sampled_from(["release", "release", "revise", "bar", "press", "drain", "lose", 0.0, 0.9, 1.1, 3.1, 5.1])


def cut(data: bytes, at: int) -> list[Any]:
    """Two reads."""
    return [part for part in (data[: at % len(data)], data[at % len(data) :]) if part]


@st.composite
def scripts(draw: st.DrawFn) -> list[Any]:
    """What one client does, mostly with the same head again and again; at last time passes, and it leaves."""
    head = draw(st.sampled_from(HEADS))
    same = st.builds(ask, BODIES, st.just(head))
    parts = st.one_of(
        st.tuples(same | OTHERS),
        st.tuples(same, st.just("release")),
        st.lists(BODIES.filter(bool), min_size=2, max_size=3).map(
            lambda bodies: (b"".join(ask(body, head) for body in bodies),)
        ),
        st.builds(cut, same | OTHERS, st.integers(0)),
        st.tuples(ACTS),
    )
    steps = [step for part in draw(st.lists(parts, min_size=1, max_size=6)) for step in part]
    return [draw(same), "release", *steps, 0.5, 1.0, 1.0, 1.0, 2.0, 60.0, "lose", "release"]


@given(scripts())
def test_a_connection_behaves_as_if_every_head_were_read(script: list[Any]) -> None:
    """Same bytes out, same calls, same times, after every step, whatever came before and however it was cut."""
    with closing(Talk()) as talk, closing(Talk(reads_all=True)) as measure:
        for step in script:
            assert talk.step(step) == measure.step(step)


@given(st.sampled_from(HEADS), st.lists(BODIES, min_size=2, max_size=4))
def test_a_repeated_request_is_answered_as_on_a_connection_of_its_own(head: bytes, bodies: list[bytes]) -> None:
    """The ones before leave nothing behind, and their head was read once."""
    with closing(Talk()) as repeated:
        for body in bodies:
            with closing(Talk()) as fresh:
                answers = [talk.hear(ask(body, head)) + talk.release() for talk in (repeated, fresh)]
                assert answers[0] == answers[1] != []
        assert (repeated.lobby.knocks, [body for _, body in repeated.lobby.events]) == (1, bodies)


@pytest.mark.parametrize("odd", ODD_HEADS, ids=range(len(ODD_HEADS)))
@pytest.mark.parametrize("first", ["plain", "odd"])
def test_an_odd_head_is_answered_as_if_it_were_read(first: str, odd: bytes) -> None:
    """Behind a head that is known, and behind itself."""
    with closing(Talk()) as talk, closing(Talk(reads_all=True)) as measure:
        for head in (PLAIN if first == "plain" else odd, odd, odd, PLAIN):
            for step in (ask(AT_ONCE, head), ask(IN_PARTS, head), "release"):
                assert talk.step(step) == measure.step(step)


@pytest.mark.parametrize("fault", [KeyFault.REVOKED, KeyFault.EXPIRED])
def test_a_key_that_ended_between_two_requests_is_refused(fault: KeyFault) -> None:
    """Revoked: the directory has another revision. Expired: only the time is another."""
    clock = [NOW_NS]
    keys: dict[bytes, Any] = {b"good": replace(CALLER, expires_ns=NOW_NS + 10), b"goods": CALLER}
    directory = FakeDirectory(keys)
    parts: dict[str, Any] = {"directory": directory, "now_ns": lambda: clock[0]}
    with closing(Talk()) as talk:
        talk.do(lambda: talk.connect(OpenAiDoor(make_services(FakeBackend(whole()), **parts))))
        answers = talk.hear(ask(chat_body()), ask(chat_body()))
        keys[b"good"] = fault
        if fault is KeyFault.EXPIRED:
            clock[0] += 10
        else:
            directory.revision += 1
        answers += talk.hear(*(ask(chat_body(), head) for head in (PLAIN, PLAIN, HEADS[-1], HEADS[-1], PLAIN)))
    assert [answer[9:12] for answer in answers] == [b"200", b"200", b"401", b"401", b"200", b"200", b"401"]


def repeat(talk: Talk, body: bytes) -> list[bytes]:
    """Send a request whose head is known, after having been idle for almost too long."""
    talk.hear(ask(AT_ONCE))
    assert talk.wait_s(4.9) == []
    written = talk.hear(ask(body))
    assert talk.lobby.knocks == 1
    return written


def test_a_connection_idles_as_long_after_a_repeated_request() -> None:
    """keepalive_ms from the answer on."""
    with closing(Talk()) as talk:
        repeat(talk, AT_ONCE)
        assert (talk.wait_s(4.9), talk.wait_s(0.2)) == ([], [b"<closed>"])


@pytest.mark.parametrize(("at", "within_s"), [(30, 1.0), (-2, 3.0)], ids=["head", "body"])
def test_a_head_that_repeats_in_part_must_arrive_in_time(at: int, within_s: float) -> None:
    """header_timeout_ms and body_timeout_ms hold for what is not here at once."""
    with closing(Talk()) as talk:
        repeat(talk, AT_ONCE)
        talk.hear(ask(AT_ONCE)[:at])
        assert talk.wait_s(within_s - 0.1) == []
        assert talk.wait_s(0.2)[0].startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("body", [AFTER_A_WAIT, IN_PARTS], ids=["whole", "stream"])
def test_a_repeated_request_that_is_answered_has_no_deadline(body: bytes) -> None:
    """Neither that of the idle time before it nor one of its own."""
    with closing(Talk()) as talk:
        repeat(talk, body)
        assert talk.wait_s(1_000.0) == []
        assert body in talk.release()[-1]


@pytest.mark.parametrize("body", [AT_ONCE, AFTER_A_WAIT, IN_PARTS], ids=["answered", "whole", "stream"])
def test_a_drain_lets_a_repeated_request_end(body: bytes) -> None:
    """The answer that is under way comes, if one is, and then the connection ends."""
    with closing(Talk()) as talk:
        repeat(talk, body)
        *answers, end = talk.drain() + talk.release()
        assert ([body in answer for answer in answers], end) == ([True] * (body != AT_ONCE), b"<closed>")


@pytest.mark.parametrize("body", [AFTER_A_WAIT, IN_PARTS], ids=["whole", "stream"])
def test_a_client_that_leaves_during_a_repeated_request_is_noticed(body: bytes) -> None:
    """The call is told, ends, and writes nothing more."""
    with closing(Talk()) as talk:
        repeat(talk, body)
        talk.lose()
        assert talk.lobby.events[-1] == "gone"
        assert (talk.release(), talk.state.tasks) == ([], set())
