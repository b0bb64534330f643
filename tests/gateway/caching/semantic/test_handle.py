"""The layer is opened by the first who wants it, and its absence is a miss for everybody."""

import asyncio
import logging
from typing import Any, cast

import pytest

from gateway.caching.answers import Purge
from gateway.caching.semantic.handle import Semantics
from gateway.caching.semantic.interface import Layer


class FakeLayer:
    """A layer with one question, that is whole when it is told."""

    def __init__(self) -> None:
        self.is_whole = False
        self.loaded = asyncio.Event()
        self.closed = False
        self.forgotten: list[str] = []

    def __len__(self) -> int:
        return 1

    async def open(self) -> None:
        await self.loaded.wait()
        self.is_whole = True

    async def close(self) -> None:
        self.closed = True

    def count_beside(self) -> int:
        return 1

    def purge(self, purge: Purge) -> set[str]:
        return {"ce_1"}

    def forget_project(self, project_id: str) -> None:
        self.forgotten.append(project_id)


def holding(layer: Any) -> tuple[Semantics, list[int]]:
    """A handle that makes this layer, and how often it did."""
    made: list[int] = []

    async def make() -> Layer:
        made.append(1)
        if isinstance(layer, Exception):
            raise layer
        return cast("Layer", layer)

    return Semantics(make), made


async def test_nobody_wants_it() -> None:
    """Then there is nothing to wait for, to count or to purge."""
    semantics, made = holding(FakeLayer())
    assert semantics.is_ready
    assert (semantics.count_indexed(), semantics.count_beside(), semantics.purge(Purge(project_id="p"))) == (
        0,
        0,
        set(),
    )
    semantics.forget_project("p")
    assert await semantics.opened() is None
    await semantics.close()
    assert made == []


async def test_the_first_to_want_it_opens_it() -> None:
    """It is at hand while it loads, and ready when all is there."""
    layer = FakeLayer()
    semantics, made = holding(layer)
    assert semantics.want() is None
    assert not semantics.is_ready
    await asyncio.sleep(0)
    assert semantics.want() is cast("Layer", layer)
    assert not semantics.is_ready
    layer.loaded.set()
    assert await semantics.opened() is cast("Layer", layer)
    assert semantics.is_ready
    assert (semantics.count_indexed(), semantics.count_beside(), semantics.purge(Purge(project_id="p"))) == (
        1, 1, {"ce_1"},
    )  # fmt: skip
    semantics.forget_project("p")
    assert layer.forgotten == ["p"]
    await semantics.close()
    assert layer.closed
    assert made == [1]


async def test_one_that_cannot_be_opened_is_absent(caplog: pytest.LogCaptureFixture) -> None:
    """The log says why, and nobody tries again at each call."""
    semantics, made = holding(ImportError("no faiss"))
    assert semantics.want() is None
    with caplog.at_level(logging.ERROR):
        assert await semantics.opened() is None
    assert semantics.want() is None
    assert "only exact repeats are found" in caplog.text
    assert made == [1]
    await semantics.close()
