"""The credentials that a request carries, wherever clients put them."""

from gateway.pipeline.auth import Credentials
from providers.wire import Headers


def read_credentials(headers: Headers, single: dict[bytes, bytes]) -> Credentials:
    """The credentials among a request's headers, each one that is there."""
    if len(single) == len(headers) and b"x-api-key" not in single and b"api-key" not in single:
        authorization = single.get(b"authorization")
        return Credentials(() if authorization is None else (authorization,))
    return Credentials(
        tuple(value for name, value in headers if name == b"authorization"),
        tuple(value for name, value in headers if name in (b"x-api-key", b"api-key")),
    )
