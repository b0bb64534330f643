"""What a provider's failure is to the caller: status, code, words, and no credential."""

import json
from collections.abc import Callable

import pytest
import recordings
from fakes import FakeBackend, make_call, plain_dialect
from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.failure import as_fault, as_stream_fault, clean, describe, is_callers, is_well
from gateway.envelope import envelope
from gateway.errors import KINDS, Fault
from providers.errors import (
    InvalidAnswer,
    PoolExhausted,
    ProviderError,
    Refused,
    TimedOut,
    Truncated,
    Unreachable,
    Unsupported,
)

SANDBOX = FakeBackend(name="sandbox", is_free=True)


def fault_of(status: int, **more: object) -> Fault:
    """The fault that a refusal by "openai" is."""
    return as_fault(Refused("its words", upstream_status=status, **more), FakeBackend())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "shown", "code"),
    [
        (200, 502, "provider_error"),
        (400, 400, "invalid_request"),
        (401, 502, "upstream_auth"),
        (402, 502, "upstream_quota"),
        (403, 502, "upstream_auth"),
        (404, 404, "not_found"),
        (405, 405, "invalid_request"),
        (408, 504, "upstream_timeout"),
        (409, 409, "invalid_request"),
        (413, 413, "invalid_request"),
        (415, 415, "invalid_request"),
        (418, 502, "provider_error"),
        (422, 422, "invalid_request"),
        (429, 429, "rate_limit_exceeded"),
        (431, 431, "invalid_request"),
        (451, 451, "invalid_request"),
        (500, 502, "provider_error"),
        (501, 502, "provider_error"),
        (503, 502, "provider_error"),
        (504, 504, "upstream_timeout"),
        (524, 504, "upstream_timeout"),
        (529, 502, "provider_error"),
        (599, 502, "provider_error"),
    ],
)
def test_each_status_of_a_provider_has_its_meaning(status: int, shown: int, code: str) -> None:
    """The caller's mistakes pass as they are; the provider's trouble and our account's are 502 or 504."""
    fault = fault_of(status)
    assert (fault.status, fault.code) == (shown, code)


@pytest.mark.parametrize("metadata", [{"reasons": ["violence"]}, {"flagged_input": "how to"}])
def test_words_that_moderation_flagged_are_the_callers(metadata: dict[str, object]) -> None:
    """OpenRouter's 403 for a prompt says nothing of the gateway's account, and no operator can mend it."""
    error = Refused("flagged", upstream_status=403, upstream_code="403", extras={"metadata": metadata})
    fault = as_fault(error, FakeBackend())
    assert (fault.status, fault.message, fault.extras) == (403, "flagged", {"metadata": metadata})
    assert (is_callers(error), is_well(error)) == (True, True)


@pytest.mark.parametrize("extras", [{}, {"metadata": "flagged_input"}, {"metadata": {"provider_name": "x"}}])
def test_another_403_is_the_gateways_own(extras: dict[str, object]) -> None:
    """A key without the permission."""
    error = Refused("no", upstream_status=403, extras=extras)
    assert (as_fault(error, FakeBackend()).code, is_callers(error), is_well(error)) == ("upstream_auth", False, False)


@pytest.mark.parametrize(
    ("statuses", "well"),
    [((400, 404, 405, 409, 413, 415, 418, 422, 424, 425, 451, 499), True),
     ((200, 401, 402, 403, 408, 429, 500, 503, 529), False)],
)  # fmt: skip
def test_a_refusal_of_one_request_says_nothing_against_the_target(statuses: tuple[int, ...], well: bool) -> None:
    """Else one caller could have it spared for all."""
    assert {is_well(Refused("x", upstream_status=status)) for status in statuses} == {well}


@pytest.mark.parametrize("status", [200, 429])
def test_an_account_without_credit_is_not_a_rate_limit(status: int) -> None:
    """Also where it comes as a stream's first event: no wait helps, and the operator has to pay."""
    fault = fault_of(status, type="insufficient_quota", upstream_code="insufficient_quota")
    assert (fault.status, fault.code, fault.should_retry, fault.retry_after_ms) == (502, "upstream_quota", False, None)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unreachable("x", sent=False), 502, "upstream_unreachable"),
        (TimedOut("x", phase="first_byte"), 504, "upstream_timeout"),
        (Truncated("x"), 502, "upstream_truncated"),
        (InvalidAnswer("x"), 502, "upstream_invalid"),
        (PoolExhausted("x"), 503, "upstream_busy"),
        (Unsupported("x", param="seed"), 400, "unsupported_parameter"),
        (ProviderError("x"), 502, "provider_error"),
    ],
)
def test_each_failure_has_its_code(error: ProviderError, status: int, code: str) -> None:
    """As interface.md names them."""
    fault = as_fault(error, FakeBackend())
    assert (fault.status, fault.code) == (status, code)


def test_a_code_that_nobody_knows_is_a_providers_error() -> None:
    """A new class of failure is not a bug of the mapping."""

    class Novel(ProviderError):
        """A failure with a code of its own."""

        code = "brand_new"

    assert as_fault(Novel("x"), FakeBackend()).code == "provider_error"


def test_the_callers_mistake_keeps_the_providers_words() -> None:
    """message, type, param and code are what the official client would have shown."""
    fault = fault_of(400, type="invalid_request_error", upstream_code="context_length_exceeded", param="messages")
    assert (fault.message, fault.type, fault.code, fault.param) == (
        "its words",
        "invalid_request_error",
        "context_length_exceeded",
        "messages",
    )


def test_what_a_dialect_cannot_say_names_the_parameter() -> None:
    """The caller can change it."""
    assert as_fault(Unsupported("x", param="seed"), FakeBackend()).param == "seed"


@pytest.mark.parametrize("status", [401, 402, 403])
def test_trouble_with_our_own_account_is_not_shown_as_the_callers(status: int) -> None:
    """Not its words, not its status; the operator is named."""
    fault = fault_of(status)
    assert "its words" not in fault.message
    assert "operator" in fault.message


def test_a_rate_limit_passes_with_its_wait() -> None:
    """Retry-After is the client's to honour now."""
    fault = fault_of(429, retry_after_ms=7_000)
    assert (fault.retry_after_ms, fault.should_retry) == (7_000, False)


def test_a_rate_limit_keeps_the_providers_own_word_on_retrying() -> None:
    """x-should-retry: true is an invitation."""
    assert fault_of(429, should_retry=True).should_retry is True


@pytest.mark.parametrize("status", [200, 401, 402, 403, 408, 500, 503, 504])
def test_used_up_tries_are_not_multiplied(status: int) -> None:
    """The official clients retry 5xx by themselves: x-should-retry: false stops them."""
    assert fault_of(status).should_retry is False


@pytest.mark.parametrize("error", [PoolExhausted("x")])
def test_what_was_not_tried_may_be_tried_soon(error: ProviderError) -> None:
    """Nothing was sent, so nothing is multiplied."""
    fault = as_fault(error, FakeBackend())
    assert (fault.retry_after_ms, fault.should_retry) == (1_000, None)


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503, 529])
def test_the_sandbox_answers_with_the_very_error_that_was_asked_for(status: int) -> None:
    """Its purpose is to show what an error looks like."""
    error = Refused("its words", upstream_status=status, type="t", upstream_code="c", retry_after_ms=1_000)
    fault = as_fault(error, SANDBOX)
    assert (fault.status, fault.type, fault.code, fault.message, fault.retry_after_ms) == (
        status,
        "t",
        "c",
        "its words",
        1_000,
    )


CREDENTIALS = [
    "sk-c4n4ryAbCdEfGh123456",
    "sk-proj-c4n4ry_AbC-123456",
    "sk-ant-api03-c4n4ry-AbC",
    "sk-or-v1-c4n4ry123456",
    "gsk_c4n4ryAbCdEf",
    "lgw_proj_c4n4ryAbCdEf",
    "xai-c4n4ryAbCdEf",
    "sk_live_c4n4ry123456",
    "AIzaSyC4n4ryAbCdEfGhIjKlMnOpQrStUvWxYz",
    "Bearer c4n4ry.jwt.token",
    "sk-c4n4***********3456",
    "c4n4************ry12",
]


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_no_credential_in_a_providers_words_is_shown(credential: str) -> None:
    """Providers quote keys in their errors, masked or not."""
    assert "c4n4" not in clean(f"Incorrect API key provided: {credential}. See https://example.com.").lower()


@pytest.mark.parametrize("field", ["type", "upstream_code", "param"])
def test_no_credential_in_any_field_is_shown(field: str) -> None:
    """Not only the message is the provider's text."""
    fault = fault_of(400, **{field: "sk-c4n4ryAbCdEfGh123456"})
    assert b"c4n4ry" not in envelope(fault)


@pytest.mark.parametrize("as_any", [as_fault, as_stream_fault])
@pytest.mark.parametrize("error", [Refused("", upstream_status=400), Truncated(""), Unsupported("", param="seed")])
def test_a_backends_own_credentials_are_masked_whatever_they_look_like(
    error: ProviderError, as_any: Callable[[ProviderError, FakeBackend], Fault]
) -> None:
    """An operator's header may hold any word; a provider that quotes it must not show it to callers or the log."""
    error.message = "not allowed for c4n4ry/one=, c4n4ry two"
    error.headers = ((b"x-request-id", b"c4n4ry two"), (b"retry-after", b"1"))
    fault = as_any(error, FakeBackend(secrets=("c4n4ry/one=", "c4n4ry two")))
    assert ("c4n4ry" in fault.message, "c4n4ry" in error.message) == (False, False)
    assert "not allowed for ***, ***" in fault.message
    assert error.headers == ((b"x-request-id", b"***"), (b"retry-after", b"1"))


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_an_error_event_within_a_stream_has_one_code(status: int) -> None:
    """The answer had begun: whatever status the provider would have given, its words say what happened."""
    fault = as_stream_fault(Refused("its words", upstream_status=status), FakeBackend())
    assert (fault.code, fault.type, fault.message) == ("upstream_error", "provider_error", "openai: its words")


def test_an_error_event_shows_no_credential() -> None:
    """Streams are no way around the masking."""
    fault = as_stream_fault(Refused("bad key sk-c4n4ryAbCdEfGh", upstream_status=200), FakeBackend())
    assert "c4n4ry" not in fault.message


@pytest.mark.parametrize("error", [Truncated("x"), InvalidAnswer("x"), TimedOut("x", phase="idle")], ids=repr)
def test_a_stream_that_broke_off_says_how(error: ProviderError) -> None:
    """As a whole answer's failure is told."""
    assert as_stream_fault(error, FakeBackend()).code == as_fault(error, FakeBackend()).code == error.code


def test_the_sandboxs_error_event_is_the_one_that_was_asked_for() -> None:
    """Its code and type included."""
    error = Refused("its words", upstream_status=429, type="t", upstream_code="c")
    fault = as_stream_fault(error, SANDBOX)
    assert (fault.code, fault.type, fault.message) == ("c", "t", "its words")


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_key_is_masked_wherever_it_stands(before: str, after: str) -> None:
    """Between any other words."""
    assert "c4n4ry" not in clean(f"{before} sk-c4n4ryAbCdEfGh {after}")


def test_a_providers_text_is_bounded() -> None:
    """A page of HTML is no message."""
    assert len(clean("x" * 100_000)) == 1_000


@pytest.mark.parametrize("text", ["The model gpt-4o does not exist", "task-specific", "max_tokens is too large: 5000"])
def test_ordinary_words_stay(text: str) -> None:
    """A message that hides what it is about helps nobody."""
    assert clean(text) == text


@given(st.integers(100, 999), st.none() | st.integers(0, 10**6), st.none() | st.booleans())
def test_every_refusal_is_a_fault_with_an_error_status(
    status: int, retry_after_ms: int | None, should_retry: bool | None
) -> None:
    """Whatever a provider answers, the caller never gets it as a success, nor as a 401 of its own."""
    fault = fault_of(status, retry_after_ms=retry_after_ms, should_retry=should_retry)
    assert 400 <= fault.status < 600
    assert fault.status != 401
    assert fault.kind.code in KINDS


EXTRAS = {"failed_generation": "f(x)", "metadata": {"raw": ["busy", 7, None]}}


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 200])
def test_a_providers_further_members_go_where_its_message_goes(status: int) -> None:
    """Beside OpenAI's own, which they never take the place of."""
    body = json.loads(envelope(fault_of(status, extras={**EXTRAS, "code": "theirs"})))["error"]
    assert {name: body[name] for name in EXTRAS} == EXTRAS
    assert (body["code"] == "theirs", set(body)) == (False, {"message", "type", "param", "code", "details", *EXTRAS})


@pytest.mark.parametrize("status", [401, 402, 403, 408, 504])
def test_what_concerns_our_own_account_shows_none_of_them(status: int) -> None:
    """Its message is not shown either."""
    assert fault_of(status, extras=EXTRAS).extras == {}


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("as_any", [as_fault, as_stream_fault])
def test_no_credential_in_any_further_member_is_shown(
    credential: str, as_any: Callable[[ProviderError, FakeBackend], Fault]
) -> None:
    """However deep it stands, in a name too, whether it looks like one or is the backend's own."""
    deep: object = f"bad {credential}"
    for _ in range(20):
        deep = [deep]
    metadata = {"raw": f"bad {credential} our-c4n4-word", f"for {credential}": [{"x": credential}], "deep": deep,
                "our-c4n4-word": 1}  # fmt: skip
    error = Refused("No.", upstream_status=400, extras={"metadata": metadata, "failed_generation": credential})
    written = envelope(as_any(error, FakeBackend(secrets=("our-c4n4-word",))))
    assert b"c4n4" not in written.lower()
    assert b'"metadata"' in written


def read_recorded(folder: str, request_id: str) -> ProviderError:
    """The error of a real answer."""
    [path] = [path for path in recordings.recordings(folder) if path.stem == request_id]
    item = recordings.load(path)
    dialect, call, body = plain_dialect(), make_call(), recordings.body_of(item)
    if recordings.is_stream(item):
        reader = dialect.open_stream(call)
        reader.feed(body)
        assert reader.failure is not None
        return reader.failure
    with pytest.raises(ProviderError) as caught:
        dialect.decode(call, item["response"]["status"], (), body)
    return caught.value


# The recordings lie beside the project only where it is worked on.
if recordings.CASSETTES.is_dir():

    @pytest.mark.parametrize(
        ("folder", "request_id", "name", "value"),
        [
            ("groq/chat", "groq-chat-6eff2b4cb5b6", "failed_generation", "maybe"),
            ("groq/chat", "groq-chat-ce2ae3365864", "failed_generation",
             '{"name": "get_something_by_name", "arguments": {\n  "foo": "bar"\n}}'),
            ("groq/chat", "groq-chat-25e988586b4d", "failed_generation",
             '{"name": "get_something_by_name", "arguments": {\n  "invalid_param": "value"\n}}'),
            ("openrouter/chat", "openrouter-chat-5b2d4aabe641", "metadata", {
                "provider_name": "Google",
                "raw": "google/gemini-2.0-flash-exp:free is temporarily rate-limited upstream. Please retry shortly, "
                "or add your own key to accumulate your rate limits: https://openrouter.ai/settings/integrations"}),
        ],
    )  # fmt: skip
    def test_recorded_errors_keep_what_their_providers_document(
        folder: str, request_id: str, name: str, value: object
    ) -> None:
        """Whole and in streams, byte for byte as JSON says it."""
        error = read_recorded(folder, request_id)
        for as_any in (as_fault, as_stream_fault):
            assert json.loads(envelope(as_any(error, FakeBackend())))["error"][name] == value


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unreachable("10.0.0.1: refused", sent=False), "No connection could be made."),
        (Unreachable("reset", sent=True), "The connection broke before an answer."),
        (TimedOut("x", phase="first_byte"), "No answer began in time."),
        (TimedOut("x", phase="moon"), "A time limit passed."),
        (Truncated("x"), "The answer stopped before its end."),
        (InvalidAnswer("<html>"), "What came was not an answer."),
        (ProviderError("x"), "The try failed."),
        (Refused("x", upstream_status=503), "Status 503."),
        (Refused("x", upstream_status=429, upstream_code="rate_limit"), "Status 429 (rate_limit)."),
        (Refused("x", upstream_status=200, upstream_code="overloaded"), "An error came inside a success (overloaded)."),
        (Refused("x", upstream_status=500, upstream_code="My name is Ann"), "Status 500."),
        (Refused("x", upstream_status=401, upstream_code="sk-abcdefgh12"), "Status 401."),
    ],
)
def test_a_failure_is_described_to_everybody(error: ProviderError, words: str) -> None:
    """In the gateway's own words."""
    assert describe(error, FakeBackend()) == words


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_description_quotes_no_prose(message: str, code: str) -> None:
    """At most a short code in lower case, whatever a provider says."""
    described = describe(Refused(message, upstream_status=500, upstream_code=code), FakeBackend())
    assert described in {"Status 500.", f"Status 500 ({code})."}
    assert len(described) <= 64
    assert described.isascii()
