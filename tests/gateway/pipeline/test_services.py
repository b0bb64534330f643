"""What the rooms need: all of it is handed in, none of it is made up."""

import msgspec
import pytest
from fakes import make_services

from gateway.pipeline.services import Services


def test_every_part_must_be_given() -> None:
    """A part with a default would be a part that somebody forgot to build."""
    assert [field.name for field in msgspec.structs.fields(Services) if not field.required] == []


async def test_a_part_cannot_be_exchanged_while_the_gateway_runs() -> None:
    """The rooms of one call all see the same parts."""
    services = make_services()
    with pytest.raises(AttributeError):
        services.settings = services.settings  # type: ignore[misc]
