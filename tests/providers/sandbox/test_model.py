"""The deterministic model behind test keys."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import Unsupported
from providers.sandbox.magic import ERRORS, MAGIC_PROMPTS
from providers.sandbox.model import Sandbox, SandboxReply
from providers.wire import Call

NOW_NS = 1_700_000_000_999_999_999
SANDBOX = Sandbox(lambda: NOW_NS)
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
CLOCK = {"type": "function", "function": {"name": "get_time"}}


def chat(text: str = "Hello!", *, n: int = 1, max_tokens: int | None = None, stream: bool = False, **body) -> Call:
    """A chat call; further fields of the body by name."""
    fields = {"model": "gpt-4", "messages": [{"role": "user", "content": text}], **body}
    return Call(
        endpoint="chat/completions",
        body=json.dumps(fields).encode(),
        model="gpt-4",
        n=n,
        max_tokens=max_tokens,
        stream=stream,
    )


def complete(
    prompt: object = "Once", *, n: int = 1, max_tokens: int | None = None, stream: bool = False, **body
) -> Call:
    """A completions call."""
    fields = json.dumps({"model": "m", "prompt": prompt, **body}).encode()
    return Call(endpoint="completions", body=fields, model="m", n=n, max_tokens=max_tokens, stream=stream)


def embed(**body: object) -> Call:
    """An embeddings call."""
    return Call(endpoint="embeddings", body=json.dumps({"model": "m", **body}).encode(), model="m")


def read(call: Call) -> dict:
    """The JSON of a reply."""
    return json.loads(SANDBOX.plan(call).body)


def say(call: Call) -> dict:
    """The first choice of a reply."""
    return read(call)["choices"][0]


def assemble(reply: SandboxReply) -> tuple[dict[int, dict[str, object]], dict | None]:
    """What a client makes of a stream: per choice its parts and finish, and the usage."""
    assert reply.events is not None
    assert reply.events[-1] == b"data: [DONE]\n\n"
    choices: dict[int, dict] = {}
    usage = None
    for event in reply.events[:-1]:
        chunk = json.loads(event.removeprefix(b"data: "))
        usage = chunk.get("usage") or usage
        for part in chunk["choices"]:
            choice = choices.setdefault(part["index"], {"calls": [], "finish_reason": None})
            delta = part.get("delta", part)
            for name in ("content", "refusal", "reasoning_content", "text"):
                choice[name] = choice.get(name, "") + (delta.get(name) or "")
            for piece in delta.get("tool_calls", []):
                if "id" in piece:
                    choice["calls"].append([piece["id"], piece["function"]["name"], ""])
                choice["calls"][piece["index"]][2] += piece["function"]["arguments"]
            choice["finish_reason"] = part["finish_reason"] or choice["finish_reason"]
    return choices, usage


def unstreamed(reply: SandboxReply) -> tuple[dict[int, dict[str, object]], dict | None]:
    """The same of a whole reply."""
    body = json.loads(reply.body)
    choices = {}
    for part in body["choices"]:
        message = part.get("message", part)
        calls = message.get("tool_calls") or []
        choices[part["index"]] = {
            "calls": [[call["id"], call["function"]["name"], call["function"]["arguments"]] for call in calls],
            "finish_reason": part["finish_reason"],
            **{name: message.get(name) or "" for name in ("content", "refusal", "reasoning_content", "text")},
        }
    return choices, body.get("usage")


BROKEN = ("error:STATUS", "error:mid-stream", "truncate", "html", "invalid-json")
WHOLE = [prompt.example for prompt in MAGIC_PROMPTS if prompt.name not in BROKEN]
OPTIONS: st.SearchStrategy[Mapping] = st.fixed_dictionaries(
    {},
    optional={
        "n": st.integers(min_value=1, max_value=3),
        "max_tokens": st.integers(min_value=1, max_value=40),
        "stop": st.sampled_from([None, "sandbox", ["no", "."]]),
        "tools": st.sampled_from([[], [WEATHER], [WEATHER, CLOCK]]),
        "tool_choice": st.sampled_from(["auto", "none", "required"]),
        "response_format": st.sampled_from(
            [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "c", "schema": CITY}}]
        ),
        "logprobs": st.booleans(),
    },
)


@given(st.sampled_from(WHOLE) | st.text(alphabet="ab .\n", max_size=40), OPTIONS)
def test_a_stream_says_what_the_whole_reply_says(text: str, options: Mapping) -> None:
    """Texts, calls, reasons and usage are equal, streamed or not, whatever is asked for."""
    whole = SANDBOX.plan(chat(text, **options))
    stream = SANDBOX.plan(chat(text, stream=True, **options))
    assert whole.usage == stream.usage
    assert assemble(stream) == unstreamed(whole)


@given(st.sampled_from(WHOLE) | st.text(max_size=40), OPTIONS)
def test_usage_adds_up(text: str, options: Mapping) -> None:
    """The total is the sum, the meter's figures are the reply's, no choice passes max_tokens."""
    reply = SANDBOX.plan(chat(text, **options))
    usage = unstreamed(reply)[1]
    if usage is None or reply.usage is None:
        assert text.startswith("sandbox:usage:none")
        return
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"] == reply.usage.total_tokens
    assert reply.usage.reasoning_tokens <= usage["completion_tokens"]
    assert usage["completion_tokens"] <= options.get("max_tokens", 10_000) * options.get("n", 1)


@given(st.text(alphabet="ab .", max_size=40), st.integers(1, 3), st.integers(1, 40))
def test_a_streamed_completion_says_what_the_whole_says(prompt: str, n: int, most: int) -> None:
    """The legacy endpoint keeps the same law."""
    whole = SANDBOX.plan(complete(prompt, n=n, max_tokens=most))
    stream = SANDBOX.plan(complete(prompt, n=n, max_tokens=most, stream=True))
    assert unstreamed(whole) == assemble(stream)


def test_the_same_call_has_the_same_reply() -> None:
    """Deterministic to the byte, id included."""
    assert SANDBOX.plan(chat()) == SANDBOX.plan(chat())
    assert read(chat())["id"] != read(chat("Other"))["id"]


def test_a_chat_is_answered_with_its_words() -> None:
    """The last text of the user is repeated, dated by the clock, under the caller's name of the model."""
    reply = read(chat("What is two and two?"))
    assert 'You said: "What is two and two?".' in reply["choices"][0]["message"]["content"]
    assert (reply["created"], reply["model"]) == (1_700_000_000, "gpt-4")


def test_parts_are_read_for_their_text() -> None:
    """Pictures are passed over."""
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    message = {"role": "user", "content": [{"type": "text", "text": "Look"}, picture]}
    assert '"Look"' in say(chat(messages=[message]))["message"]["content"]


def test_choices_differ() -> None:
    """n: 3 is three texts."""
    texts = {choice["message"]["content"] for choice in read(chat(n=3))["choices"]}
    assert len(texts) == 3


def test_max_tokens_ends_a_reply() -> None:
    """Cut at exactly the limit, for the reason length."""
    reply = read(chat(max_tokens=3))
    assert (reply["choices"][0]["finish_reason"], reply["usage"]["completion_tokens"]) == ("length", 3)


def test_a_stop_sequence_ends_a_reply() -> None:
    """What follows it, and itself, is not said."""
    assert say(chat("Hello!", stop=["You", "Hello"]))["message"]["content"] == ""


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"tools": [WEATHER], "tool_choice": "auto"}, None),
        ({"tools": [WEATHER, CLOCK], "tool_choice": "required"}, ["get_weather"]),
        (
            {"tools": [WEATHER, CLOCK], "tool_choice": {"type": "function", "function": {"name": "get_time"}}},
            ["get_time"],
        ),
        ({"text": "sandbox:tool:get_weather Paris", "tools": [WEATHER]}, ["get_weather"]),
        ({"text": "sandbox:tool:unheard_of"}, ["unheard_of"]),
        ({"text": "sandbox:tools:3", "tools": [WEATHER, CLOCK]}, ["get_weather", "get_time", "get_weather"]),
        ({"text": "sandbox:tools:2"}, ["sandbox_tool"] * 2),
        ({"text": "sandbox:tools:3", "tools": [WEATHER], "parallel_tool_calls": False}, ["get_weather"]),
    ],
)
def test_tools_are_called_when_asked_for(body: dict, names: list[str] | None) -> None:
    """By tool_choice or by a magic prompt, in turn, and never otherwise."""
    choice = say(chat(**body))
    calls = choice["message"].get("tool_calls")
    assert (calls and [call["function"]["name"] for call in calls]) == names
    assert choice["finish_reason"] == ("tool_calls" if names else "stop")


def test_arguments_are_made_from_the_schema() -> None:
    """What is called has valid arguments, and an id of its own."""
    calls = say(chat("sandbox:tools:2", tools=[WEATHER, CLOCK]))["message"]["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [{"city": "city", "days": 1}, {}]
    assert len({call["id"] for call in calls}) == 2


@pytest.mark.parametrize("prompt", ["sandbox:tool:get_weather", "sandbox:tools:2"])
def test_an_agent_comes_to_an_end(prompt: str) -> None:
    """Once the tool has answered, a magic prompt calls no more and the result is repeated."""
    messages = [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"},
    ]
    choice = say(chat(messages=messages, tools=[WEATHER]))
    assert 'The tool answered: "18 degrees".' in choice["message"]["content"]


def test_a_tool_that_is_not_there_cannot_be_chosen() -> None:
    """tool_choice must name a tool, as at OpenAI."""
    choice = {"type": "function", "function": {"name": "nothing"}}
    reply = SANDBOX.plan(chat(tools=[WEATHER], tool_choice=choice))
    assert (reply.status, json.loads(reply.body)["error"]["param"]) == (400, "tool_choice")


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": CITY}}},
            {"city": "city", "days": 1},
        ),
        ({"text": "sandbox:json", "response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, None),
    ],
)
def test_a_format_is_kept(body: dict, value: dict | None) -> None:
    """JSON where JSON is asked for, of the schema where there is one."""
    content = json.loads(say(chat(**body))["message"]["content"])
    assert content == value if value else set(content) == {"reply"}


@pytest.mark.parametrize("tokens", [0, 1, 7, 500, 99_999])
def test_exactly_so_many_tokens_are_said(tokens: int) -> None:
    """tokens:N, up to the cap, with reasoning too."""
    for prompt in (f"sandbox:tokens:{tokens}", f"sandbox:reasoning sandbox:tokens:{tokens}"):
        assert read(chat(prompt))["usage"]["completion_tokens"] == min(tokens, 10_000)


@pytest.mark.parametrize("status", ERRORS)
def test_an_error_is_shown_as_asked(status: int) -> None:
    """Every class of error, in OpenAI's envelope, streamed or not."""
    for stream in (False, True):
        reply = SANDBOX.plan(chat(f"sandbox:error:{status}", stream=stream))
        assert (reply.status, reply.events, reply.usage) == (status, None, None)
        assert set(json.loads(reply.body)["error"]) == {"message", "type", "param", "code"}
        assert ("retry-after" in dict(reply.headers)) == (status in (429, 503))


def test_a_stream_breaks_with_an_error() -> None:
    """The role and some tokens, then an error event, then nothing; a whole reply has no middle and is a 500."""
    reply = SANDBOX.plan(chat("sandbox:error:mid-stream", stream=True))
    assert reply.events is not None
    assert b'"role":"assistant"' in reply.events[0]
    assert json.loads(reply.events[-1].removeprefix(b"data: "))["error"]["code"] == "server_error"
    assert SANDBOX.plan(chat("sandbox:error:mid-stream")).status == 500


def test_a_truncated_stream_ends_before_its_end() -> None:
    """The events are whole, but only some go out."""
    reply = SANDBOX.plan(chat("sandbox:truncate", stream=True))
    assert reply.events is not None
    assert reply.cut_after is not None
    assert 2 <= reply.cut_after < len(reply.events) - 3


@pytest.mark.parametrize("word", ["truncate", "invalid-json", "html"])
def test_a_broken_reply_is_no_json(word: str) -> None:
    """What the gateway must turn into its own error."""
    reply = SANDBOX.plan(chat(f"sandbox:{word}"))
    assert reply.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.body)


def test_a_page_is_told_by_its_type() -> None:
    """HTML instead of a stream too."""
    reply = SANDBOX.plan(chat("sandbox:html", stream=True))
    assert (dict(reply.headers)["content-type"], reply.events) == ("text/html; charset=utf-8", None)


def test_one_event_of_a_stream_is_broken() -> None:
    """The rest is whole, [DONE] included."""
    events = SANDBOX.plan(chat("sandbox:invalid-json", stream=True)).events
    broken = [event for event in events or () if not event.endswith(b"}\n\n")]
    assert [event[:10] for event in broken] == [b'data: {"id', b"data: [DON"]


@pytest.mark.parametrize(
    ("prompt", "part", "finish"),
    [
        ("refusal", "refusal", "stop"),
        ("length", "content", "length"),
        ("content_filter", "content", "content_filter"),
        ("reasoning", "reasoning_content", "stop"),
    ],
)
def test_a_reply_has_its_part_and_its_reason(prompt: str, part: str, finish: str) -> None:
    """Refusals, cuts and reasoning look as at the providers."""
    choice = say(chat(f"sandbox:{prompt} Hello"))
    assert choice["message"][part]
    assert choice["finish_reason"] == finish


def test_an_empty_reply_has_no_tokens() -> None:
    """An empty content, not null."""
    reply = read(chat("sandbox:empty"))
    assert (reply["choices"][0]["message"]["content"], reply["usage"]["completion_tokens"]) == ("", 0)


def test_pauses_are_passed_on() -> None:
    """Waiting is the gateway's work; the plan says how long, for errors too."""
    reply = SANDBOX.plan(chat("sandbox:delay:20 sandbox:gap:5 Hello", stream=True))
    assert (reply.delay_ms, reply.gap_ms) == (20, 5)
    assert SANDBOX.plan(chat("sandbox:delay:20 sandbox:error:500")).delay_ms == 20


@pytest.mark.parametrize(
    ("call", "param"),
    [
        (chat("sandbox:nonsense"), "messages"),
        (complete("sandbox:nonsense"), "prompt"),
        (embed(input="sandbox:nonsense"), "input"),
        (chat(tools=7), "tools"),
        (chat(tools=[{"function": {"parameters": {}}}]), "tools"),
        (chat(messages=[{"role": "user", "content": 7}]), "messages"),
        (chat(stop=[1]), "stop"),
        (chat(n=129), "n"),
        (complete(["a"] * 129), "n"),
        (complete({"a": 1}), "prompt"),
        (embed(), "input"),
        (embed(input=[-1, 5]), "input"),
        (embed(input="a", dimensions="x"), "dimensions"),
    ],
)
def test_a_request_that_is_not_valid_is_a_400(call: Call, param: str) -> None:
    """As a provider would answer, naming the field."""
    reply = SANDBOX.plan(call)
    assert (reply.status, json.loads(reply.body)["error"]["param"]) == (400, param)


def test_a_reply_is_bounded() -> None:
    """All choices together say at most 20,000 tokens."""
    assert len(SANDBOX.plan(chat("sandbox:tokens:10000", n=100, stream=True)).events or ()) < 21_000


@pytest.mark.parametrize(
    ("prompt", "choices", "prompt_tokens"),
    [("Once upon", 1, 3), (["a", "b"], 2, 2), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3), ([], 1, 0)],
)
def test_a_prompt_is_text_or_tokens(prompt: object, choices: int, prompt_tokens: int) -> None:
    """Each prompt has its choice; token ids are counted."""
    reply = read(complete(prompt))
    assert (len(reply["choices"]), reply["usage"]["prompt_tokens"]) == (choices, prompt_tokens)


def test_embeddings_are_answered() -> None:
    """1,536 numbers unless other dimensions are asked for, and usage for the meter."""
    reply = SANDBOX.plan(embed(input=["one", "two"]))
    assert [len(datum["embedding"]) for datum in json.loads(reply.body)["data"]] == [1_536, 1_536]
    assert reply.usage is not None
    assert reply.usage.total_input_tokens == 2
    assert len(read(embed(input="one", dimensions=8))["data"][0]["embedding"]) == 8


def test_magic_prompts_hold_for_embeddings() -> None:
    """An error of the embeddings endpoint can be asked for as well."""
    assert SANDBOX.plan(embed(input="sandbox:error:429")).status == 429


def test_another_endpoint_is_not_there() -> None:
    """The sandbox answers three."""
    with pytest.raises(Unsupported, match="images"):
        SANDBOX.plan(Call(endpoint="images", body=b"{}", model="m"))


@given(st.binary(max_size=30) | st.sampled_from([b"[]", b"{}", b"7", b'{"messages":[]}', b'{"messages":[{}]}']))
def test_any_body_is_answered(body: bytes) -> None:
    """Nothing that a client sends raises."""
    for endpoint in ("chat/completions", "completions", "embeddings"):
        assert SANDBOX.plan(Call(endpoint=endpoint, body=body, model="m")).status in (200, 400)
