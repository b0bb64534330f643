"""What becomes of a wait when the client leaves for whom it is: it is ended, or goes on for its outcome.

Failure behavior: a wait that is ended raises CancelledError inside the call, which pipeline.run settles.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial

from gateway.backends.interface import Client


def stop_on_leaving(client: Client, loop: asyncio.AbstractEventLoop) -> None:
    """From now on the running call ends when its client leaves; at once where that was before."""
    task = asyncio.current_task(loop)
    assert task is not None, "a call runs as a task"  # noqa: S101 - for the type checkers
    stop_by(client, partial(_cancel, task))


def stop_by(client: Client, on_gone: Callable[[], None]) -> None:
    """From now on ``on_gone`` is called when the client leaves; at once where that was before."""
    client.watch(on_gone, _ignore_pressure)


def ignore_leaving(client: Client) -> None:
    """From now on nobody acts on a client that leaves; whoever comes next sees that it is gone."""
    client.watch(_ignore_leaving, _ignore_pressure)


async def pause(client: Client, wait_ms: float) -> None:
    """Wait for so long, but no longer than the client waits."""
    gone = asyncio.Event()
    client.watch(gone.set, _ignore_pressure)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_ms / 1000):
            await gone.wait()
    ignore_leaving(client)


def _cancel(task: "asyncio.Task[object]") -> None:
    task.cancel()


def _ignore_leaving() -> None:
    """It is gone, and that is all."""


def _ignore_pressure(is_slow: bool) -> None:
    """Nothing has been written to the client yet."""
