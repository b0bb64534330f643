"""The semantic layer as the gateway holds it: absent until a project wants it, since numpy and FAISS cost a start.

Failure behavior: a layer that cannot be opened is as if absent, every call a miss; the log says why.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.caching.answers import Purge
from gateway.caching.semantic.interface import Layer

MakeLayer = Callable[[], Awaitable[Layer]]
_log = logging.getLogger(__name__)


class Semantics:
    """One a process; ``want`` opens the layer."""

    def __init__(self, make: MakeLayer) -> None:
        self._make = make
        self._opening: asyncio.Task[None] | None = None
        self.layer: Layer | None = None

    @property
    def is_ready(self) -> bool:
        """Whether all that is stored can be found: also where nobody wants it."""
        return self._opening is None or (self.layer is not None and self.layer.is_whole)

    def want(self) -> Layer | None:
        """The layer; None while it is being opened, which the first to want it begins."""
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())
        return self.layer

    def count_indexed(self) -> int:
        """How many questions can be found."""
        return 0 if self.layer is None else len(self.layer)

    def count_beside(self) -> int:
        """How many stored answers are not in this process's memory."""
        return 0 if self.layer is None else self.layer.count_beside()

    def purge(self, purge: Purge) -> set[str]:
        """Forget what a purge covers; returns the ids of the entries."""
        return set() if self.layer is None else self.layer.purge(purge)

    def forget_project(self, project_id: str) -> None:
        """Forget what a project that was deleted and purged had taught."""
        if self.layer is not None:
            self.layer.forget_project(project_id)

    async def opened(self) -> Layer | None:
        """The layer once it is whole; None where nobody wanted it or it could not be opened."""
        if self._opening is not None:
            await asyncio.wait((self._opening,))
        return self.layer

    async def close(self) -> None:
        """Write what is not written yet, and stop."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        if self.layer is not None:
            await self.layer.close()

    async def _open(self) -> None:
        try:
            self.layer = await self._make()
            await self.layer.open()
        except Exception:
            # A library that is missing or broken: the gateway works without the layer.
            _log.exception("the semantic layer could not be opened; only exact repeats are found")
