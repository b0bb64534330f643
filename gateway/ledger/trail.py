"""The tries of a call that failed, as its usage row keeps them: compact, and empty for the ordinary call."""

import msgspec

# More tries than any settings allow; what comes after them is counted and not told.
MAX_TRIES = 32
MAX_NAME_CHARS = 128


class Try(msgspec.Struct, frozen=True, array_like=True):
    """One try at a provider."""

    provider: str
    # The name it was asked for.
    model: str
    # The public error code.
    outcome: str
    # How long the gateway waited for it.
    waited_ms: int


_decoder = msgspec.json.Decoder(Try)


def add_try(trail: str, tried: Try) -> str:
    """Write a try behind those that came before."""
    if trail.count("\n") >= MAX_TRIES:
        return trail
    short = msgspec.structs.replace(tried, model=tried.model[:MAX_NAME_CHARS])
    return f"{trail}{msgspec.json.encode(short).decode()}\n"


def read_trail(trail: str) -> list[Try]:
    """Read the tries in their order; raises msgspec.DecodeError for what ``add_try`` never wrote."""
    return [_decoder.decode(line) for line in trail.split("\n")[:-1]]
