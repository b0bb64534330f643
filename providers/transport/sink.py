"""The two neighbours of an exchange: the sink that takes its body, and the connection that carries it."""

from typing import Protocol

from providers.errors import ProviderError


class Sink(Protocol):
    """Takes a body as it comes; called from within the event loop's read, so it must be quick and must not raise."""

    def piece(self, data: bytes) -> None:
        """Take the next decoded bytes, all that one read brought."""
        ...

    def ended(self, error: ProviderError | None) -> None:
        """The body is over; None: by its framing it is whole. Called once, never after release() or abort()."""
        ...


class Nobody:
    """The sink of a body that is not wanted."""

    def piece(self, data: bytes) -> None:
        """Throw it away."""

    def ended(self, error: ProviderError | None) -> None:
        """Do nothing."""


NOBODY = Nobody()


class Link(Protocol):
    """What an exchange may do with the connection that carries it."""

    def pause(self) -> None:
        """Stop reading from the socket."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def drop(self) -> None:
        """Close the socket and free its place."""
        ...
