"""Which document's envelope a request's errors get."""

import pytest

from gateway.surfaces.paths import surface_of

# Row C1.
PATHS = {
    "/v1/chat/completions": "W",
    "/v1/models": "W",
    "/v1/nowhere": "W",
    "/api/projects/x/usage": "W",
    "/api/dashboard/stats": "W",
    "/": "W",
    "/v1/inference/dep_1": "E",
    "/v1/deployments": "E",
    "/v1/deploymentsx": "W",
    "/v1/usage": "E",
    "/api/v1/auth/me": "S",
    "/api/v1/deployments/dep-1": "S",
    "/api/v1/metrics/dep-1": "S",
    "/api/v1/auth/login": "A",
    "/api/v1/auth/apikey": "A",
    "/api/v1/gpu/instances": "A",
    "/api/v1/models/x": "A",
    "/api/v1/datasets": "S",
}


@pytest.mark.parametrize(("path", "surface"), PATHS.items())
def test_a_path_belongs_to_one_document(path: str, surface: str) -> None:
    """Whoever asks."""
    assert surface_of(path, {}) == surface


@pytest.mark.parametrize(
    ("headers", "surface"),
    [
        ({"host": "api.serveml.com"}, "S"),
        ({"host": "API.ServeML.com:443"}, "S"),
        ({"x-api-surface": "S"}, "S"),
        ({"x-api-surface": " w "}, "W"),
        ({"x-api-surface": "nobody"}, "A"),
        ({"host": "api.serveml.com", "x-api-surface": "A"}, "S"),
        ({"host": "gateway.test"}, "A"),
    ],
)
def test_a_path_of_two_documents_is_told_apart_by_the_caller(headers: dict[str, str], surface: str) -> None:
    """The host first, then the header, then A."""
    assert surface_of("/api/v1/auth/login", headers) == surface


def test_the_header_changes_nothing_on_other_paths() -> None:
    """A document's own path has that document's errors."""
    assert surface_of("/api/v1/auth/me", {"x-api-surface": "A"}) == "S"
