"""Which document's envelope a request's errors get."""

import pytest

from gateway.surfaces.paths import group_of, surface_of

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


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("/v1/models", "models"),
        ("/v1/usage", "inference"),
        ("/v1/inference/dep_1", "inference"),
        ("/api/projects/proj_1", "api"),
        ("/api/dashboard/stats", "api"),
        ("/api/webhooks/stripe", None),
        ("/api/v1/gpu/available", "machines"),
        ("/api/v1/auth/login", None),
        ("/api/v1/auth/me", "general"),
        ("/api/v1/deploy", "deployments"),
        ("/api/v1/deployments/dep-1", "deployments"),
        ("/api/v1/predict/dep-1", "predictions"),
        ("/api/v1/metrics/dep-1", "metrics"),
        ("/api/v1/models/1", "machines"),
        ("/api/v1/models/upload", "uploads"),
        ("/api/v1/datasets", "data"),
        ("/health", None),
        ("/", None),
    ],
)
def test_a_request_counts_in_its_documents_limit(path: str, group: str | None) -> None:
    """Rows C7."""
    assert group_of(path, {}) == group


@pytest.mark.parametrize("headers", [{"host": "api.dataforge.ai:443"}, {"x-api-surface": "D"}])
def test_models_count_for_d_where_d_is_asked(headers: dict[str, str]) -> None:
    """Two documents have them."""
    assert [group_of(path, headers) for path in ("/api/v1/models/1", "/api/v1/gpu")] == ["data", "machines"]
