"""The credentials of a request."""

import pytest

from gateway.pipeline.auth import Credentials
from gateway.surfaces.credentials import read_credentials


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Credentials()),
        ([(b"authorization", b"a")], Credentials((b"a",))),
        ([(b"x-api-key", b"k")], Credentials((), (b"k",))),
        ([(b"api-key", b"k")], Credentials((), (b"k",))),
        ([(b"authorization", b"a"), (b"authorization", b"b")], Credentials((b"a", b"b"))),
        ([(b"authorization", b"a"), (b"api-key", b"k")], Credentials((b"a",), (b"k",))),
        ([(b"accept", b"x"), (b"accept", b"y"), (b"authorization", b"a")], Credentials((b"a",))),
    ],
)
def test_every_credential_of_a_request_is_found(headers: list[tuple[bytes, bytes]], expected: Credentials) -> None:
    """A second one is not overlooked."""
    assert read_credentials(headers, dict(headers)) == expected
