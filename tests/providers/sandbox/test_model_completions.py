"""Legacy completions of the sandbox: what only they can ask for."""

import json
from typing import Any

import pytest

from providers.sandbox.model import Sandbox
from providers.wire import Call

SANDBOX = Sandbox(lambda: 1_790_000_000_000_000_000)


def read(prompt: Any, *, n: int = 1, max_tokens: int | None = None, **body: Any) -> dict[str, Any]:
    """The reply to a completions call."""
    fields = json.dumps({"model": "m", "prompt": prompt, **body}).encode()
    call = Call(endpoint="completions", body=fields, model="m", n=n, max_tokens=max_tokens)
    return json.loads(SANDBOX.plan(call).body)


@pytest.mark.parametrize("most", [0, 5])
def test_a_completion_may_echo_its_prompts(most: int) -> None:
    """Before each choice of each prompt, with its logprobs where they are asked for; it is no token of the reply."""
    asked = {"n": 2, "max_tokens": most, "logprobs": 0, "echo": True}
    replied = read(["Hello", "Bye"], **asked)
    plain = read(["Hello", "Bye"], **asked | {"echo": False})
    pairs = zip(["Hello", "Hello", "Bye", "Bye"], plain["choices"], strict=True)
    assert [choice["text"] for choice in replied["choices"]] == [said + choice["text"] for said, choice in pairs]
    assert "".join(replied["choices"][0]["logprobs"]["tokens"]) == replied["choices"][0]["text"]
    assert replied["usage"] == plain["usage"]


def test_a_completion_without_a_prompt_is_answered() -> None:
    """null is what OpenAI's own client may send."""
    assert read(None)["choices"][0]["text"]
