"""What the sandbox model says, in tokens of its own: at most six characters, with the white space before them."""

import re
from collections.abc import Sequence
from itertools import cycle, islice

import msgspec

_TOKEN = re.compile(r"\s*\S{1,6}|\s+")
_FILLER = ("token", "after", "token", "as", "many", "as", "asked", "for")
QUOTED_CHARS = 200
REFUSAL = "I'm sorry, but I can't help with that."
REASONING = "The user wrote to the sandbox. I will repeat what was said, so that the caller can check it."
_SENTENCES = (
    "{said} This is the sandbox: no provider was called and nothing was spent.",
    "{said} This is another reply of the sandbox, the same at every call.",
    "{said} The sandbox has nothing to add.",
)


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool; ``arguments`` are the tokens of its JSON."""

    id: str
    name: str
    arguments: tuple[str, ...]


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """One choice of a reply, every part in tokens; a reply has a content, a refusal or calls."""

    reasoning: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    refusal: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    # The one call is told by OpenAI's older name, function_call.
    is_older: bool = False
    finish_reason: str = "stop"


def tokenize(text: str) -> tuple[str, ...]:
    """Cut a text into tokens that, joined, are the text."""
    return tuple(_TOKEN.findall(text))


def count_speech(speech: Speech) -> int:
    """Return the completion tokens of a choice; a tool's name is tokens too."""
    calls = sum(len(tokenize(call.name)) + len(call.arguments) for call in speech.calls)
    return len(speech.reasoning) + len(speech.content) + len(speech.refusal) + calls


def estimate_prompt(texts: Sequence[str]) -> int:
    """Return the prompt tokens of texts: one for four characters, begun ones included."""
    return sum(-(-len(text) // 4) for text in texts)


def phrase(text: str, index: int, *, answering_tool: bool = False) -> str:
    """Say the sentence that repeats a text; every choice of a reply has another one."""
    quoted = " ".join(text[: QUOTED_CHARS * 4].split())
    if len(quoted) > QUOTED_CHARS or len(text) > QUOTED_CHARS * 4:
        quoted = quoted[:QUOTED_CHARS] + "…"
    speaker = "The tool answered" if answering_tool else "You said"
    said = f'{speaker}: "{quoted}".' if quoted else f"{speaker} nothing."
    return _SENTENCES[index % len(_SENTENCES)].format_map({"said": said})


def fill(tokens: int) -> tuple[str, ...]:
    """Say exactly so many tokens, none where that is negative."""
    return tokenize(" ".join(islice(cycle(_FILLER), max(tokens, 0))))


def echo(speech: Speech, prompt: str) -> Speech:
    """Say the prompt before the rest; it is no token of the completion."""
    return msgspec.structs.replace(speech, content=(*tokenize(prompt), *speech.content))


def stop_at(speech: Speech, stops: Sequence[str]) -> Speech:
    """End the content before the first of the stop sequences."""
    text = "".join(speech.content)
    ends = [end for end in (text.find(stop) for stop in stops if stop) if end >= 0]
    return msgspec.structs.replace(speech, content=tokenize(text[: min(ends)])) if ends else speech


def halve(speech: Speech, finish_reason: str) -> Speech:
    """Keep the first half, for the given reason."""
    return limit(speech, count_speech(speech) // 2, finish_reason)


def limit(speech: Speech, most: int, finish_reason: str = "length") -> Speech:
    """Keep at most so many tokens, in the order in which they are said; nothing changes where there are no more."""
    if count_speech(speech) <= most:
        return speech
    reasoning = speech.reasoning[:most]
    left = most - len(reasoning)
    content = speech.content[:left]
    left -= len(content)
    refusal = speech.refusal[:left]
    left -= len(refusal)
    calls: list[ToolCall] = []
    for call in speech.calls:
        left -= len(tokenize(call.name))
        if left < 0:
            break
        calls.append(msgspec.structs.replace(call, arguments=call.arguments[:left]))
        left -= len(calls[-1].arguments)
    return Speech(
        reasoning=reasoning, content=content, refusal=refusal, calls=tuple(calls), finish_reason=finish_reason
    )
