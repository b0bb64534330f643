"""A provider's whole answer, read by its dialect.

Failure behavior: what is an error, or cannot be read, raises ProviderError; an error keeps the provider's headers.
"""

from gateway.backends.interface import Exchange, WholeReply
from providers.chat import Answer
from providers.errors import InvalidAnswer, ProviderError
from providers.openai.misframed import fold_stream, is_stream
from providers.wire import Call, Dialect

HTTP_OK, HTTP_REDIRECTION = 200, 300


def read_answer(dialect: Dialect, call: Call, reply: WholeReply | Exchange, body: bytes) -> Answer:
    """Read a whole answer, also one that came as a stream; raises ProviderError, with headers that clients may want."""
    if is_success(reply.status):
        try:
            # Only errors have headers that a dialect reads.
            return dialect.decode(call, HTTP_OK, (), body)
        except InvalidAnswer:
            if call.endpoint == "embeddings" or not is_stream(body):
                raise
        return fold_stream(dialect, call, body)
    headers = reply.headers
    try:
        return dialect.decode(call, reply.status, headers, body)
    except ProviderError as error:
        error.headers = headers
        # What came is an error, though nobody can read it.
        error.has_begun = False
        raise


def is_success(status: int) -> bool:
    """Whether a status tells of an answer."""
    return HTTP_OK <= status < HTTP_REDIRECTION
