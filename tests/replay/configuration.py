"""How a gateway is set up to replay recordings: one name for each, behind its own provider."""

from typing import Any

# The gateway's endpoint for a folder of recordings.
ENDPOINTS = {
    "chat": "chat/completions",
    "messages": "chat/completions",
    "completions": "completions",
    "embeddings": "embeddings",
}
Item = dict[str, Any]


def alias(item: Item) -> str:
    """The name that the client uses, unlike the recording's id so that the gateway has to replace it."""
    return f"replay:{item['id']}"


def config(replay_url: str, provider: str, items: list[Item]) -> str:
    """A configuration whose provider is the replaying upstream, with a name for every recording."""
    lines = [f'[providers.{provider}]\nbase_url = "{replay_url}/v1"\napi_key = "sk-replayed"\n']
    for item in items:
        target = f'{{ provider = "{provider}", model = "{item["id"]}" }}'
        lines.append(f'[[models]]\nname = "{alias(item)}"\ntargets = [{target}]\n')
    # One try, so that a recorded error is asked for once, and no recording's errors hinder the next.
    return "\n".join(lines) + "\n[retries]\nmax_tries = 1\n[breaker]\nfailures = 1000\n"
