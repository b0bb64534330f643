"""A call on its way out whose waits take no time."""

import pytest
from fakes import Clock, FakeBackend, FakeClient, make_call, make_inbound, make_route, make_services, make_target

from gateway.backends.interface import Client
from gateway.config.settings import Retries, Settings
from gateway.pipeline.flow import Target
from gateway.pipeline.send import send
from gateway.pipeline.services import Services
from gateway.pipeline.tries.journey import Journey, SendFailed, Upstream


class Sender:
    """One call's way out, with a clock that the waits move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.waits_ms: list[float] = []
        self.client = FakeClient()
        self.services: Services | None = None
        self.retries = Retries()
        monkeypatch.setattr("gateway.pipeline.send.pause", self._pause)

    async def _pause(self, _: Client, wait_ms: float) -> None:
        self.waits_ms.append(wait_ms)
        self.clock.pass_ms(wait_ms)

    async def send(self, *targets: Target | FakeBackend, stream: bool = False) -> Upstream:
        """Send a call through the targets in order."""
        route = make_route(*(target if isinstance(target, Target) else make_target(target) for target in targets))
        self.services = make_services(ticks_ns=self.clock, settings=Settings(retries=self.retries))
        journey = Journey(make_inbound(make_call(stream=stream)), self.client, self.services)
        return await send(journey, route)

    async def fail(self, *targets: Target | FakeBackend, stream: bool = False) -> SendFailed:
        """Send a call that nobody answers."""
        with pytest.raises(SendFailed) as failed:
            await self.send(*targets, stream=stream)
        return failed.value
