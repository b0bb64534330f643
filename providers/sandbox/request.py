"""What the sandbox reads of a request's body."""

import msgspec


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a message's content."""

    text: str = ""


class CalledFunction(msgspec.Struct, frozen=True, kw_only=True):
    """What an earlier reply called."""

    name: str = ""
    arguments: str = ""


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """A call of an earlier reply."""

    function: CalledFunction = CalledFunction()


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message."""

    role: str = ""
    content: str | list[Part] | None = None
    tool_calls: list[Called] | None = None

    def text(self) -> str:
        """Return the content without its pictures."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.text)
        return self.content or ""


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function that may be called."""

    name: str
    parameters: dict[str, object] | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool; other kinds than functions are passed over."""

    function: Function | None = None


class NamedFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function's name."""

    name: str = ""


class NamedTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that has to be called."""

    function: NamedFunction = NamedFunction()


class JsonSchema(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply has to look like."""

    schema: object = None


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """The form of a reply."""

    type: str = "text"
    json_schema: JsonSchema | None = None


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """A chat."""

    messages: list[Message]
    stop: str | list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    # The older names of the three: one call at most, and no id.
    functions: list[Function] | None = None
    function_call: str | NamedFunction | None = None
    response_format: Format | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A completion."""

    prompt: str | list[str | int | list[int]] | None = ""
    echo: bool | None = None
    stop: str | list[str] | None = None
    logprobs: int | None = None


def renew(chat: Chat) -> Chat:
    """Say by the newer names what a chat says by the older ones, where it says it by these alone."""
    if chat.tools is not None or not chat.functions:
        return msgspec.structs.replace(chat, functions=None)
    wanted = chat.function_call
    return msgspec.structs.replace(
        chat,
        tools=[Tool(function=function) for function in chat.functions],
        tool_choice=NamedTool(function=wanted) if isinstance(wanted, NamedFunction) else wanted,
        parallel_tool_calls=False,
    )
