"""The limit on a reply in the bytes of a call: OpenAI's older member and its newer one."""

import msgspec

from providers import splice
from providers.wire import Call

_TOKEN_LIMITS = ("max_completion_tokens", "max_tokens")
_NEWER_LIMIT, _OLDER_LIMIT = b'"max_completion_tokens"', b'"max_tokens"'


def has_both_limits(call: Call) -> bool:
    """Whether a call may name two limits on its reply, of which a provider believes either."""
    return call.max_tokens is not None and call.body.find(_NEWER_LIMIT) >= 0 and call.body.find(_OLDER_LIMIT) >= 0


def limit_reply(call: Call, max_tokens: int) -> Call:
    """Splice a limit on the reply into the body: into the caller's own members where there are any.

    A member that is null says nothing and stays so beside one that does: OpenAI refuses two.
    """
    body, value = call.body, str(max_tokens).encode()
    named = [name for name in _TOKEN_LIMITS if b'"%s"' % name.encode() in body and splice.find(body, name) is not None]
    for name in [name for name in named if not _is_null(body, name)] or named[:1]:
        body = splice.replace(body, name, value)
    if not named:
        body = splice.append(body, b'"max_tokens":' + value)
    return msgspec.structs.replace(call, body=body, max_tokens=max_tokens)


def _is_null(body: bytes, name: str) -> bool:
    member = splice.find(body, name)
    return member is not None and body[member.value_start : member.value_end] == b"null"
