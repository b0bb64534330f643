"""The tags of a call, as its usage row keeps them: the words of ``x-watchllm-tags``, with commas between them."""

TAG_SEPARATOR = ","


def split_tags(text: str) -> list[str]:
    """List the tags of a call, each once; empty ones are none."""
    return list(dict.fromkeys(tag for part in text.split(TAG_SEPARATOR) if (tag := part.strip())))


def join_tags(tags: tuple[str, ...], text: str) -> str:
    """Put a key's tags before a call's own, each once; the text stays as it is where there is nothing to add."""
    return TAG_SEPARATOR.join(dict.fromkeys((*tags, *split_tags(text)))) if tags else text
