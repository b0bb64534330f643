"""Calls that the gateway makes by itself, as a caller of its own would: they take the same path and have their rows.

Failure behavior: a call that fails or takes too long is told by its status, as a client would be.
"""

import asyncio
import re

import msgspec

from gateway.accounts.directory import KeyRecord
from gateway.caching.auditing.audits import SilentClient
from gateway.caching.auditing.judge import Reply
from gateway.caching.semantic.interface import Case
from gateway.pipeline import meter, run
from gateway.pipeline.flow import Inbound
from gateway.pipeline.services import Services
from gateway.surfaces.access import Caller
from gateway.surfaces.proxy import bodies

CHAT = "chat/completions"
# A judge says a word; one that takes longer tells nothing.
JUDGE_S = 20.0
TIMED_OUT = 504
HEADER = re.compile(rb"^(x-watchllm-[a-z-]+): ([^\r\n]*)", re.MULTILINE)


class Listener(SilentClient):
    """Whoever waits for the whole answer of such a call."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""

    def send(self, status: int, head: bytes, *body: bytes | memoryview) -> None:
        """Keep a whole answer."""
        self.status, self.body = status, b"".join(body)
        self.headers = dict(HEADER.findall(head))


async def call(inbound: Inbound, services: Services, longest_s: float) -> Listener:
    """Make a call; one that took too long has status 504 and nothing else."""
    listener = Listener()
    try:
        async with asyncio.timeout(longest_s) as limit:
            await run.run(inbound, listener, services)
        is_late = limit.expired()
    except TimeoutError:
        is_late = True
    if is_late:
        listener = Listener()
        listener.status = TIMED_OUT
    return listener


def stand_in(caller: Caller, project_id: str) -> KeyRecord:
    """A project, as if a key of it called; the row names who it was."""
    return KeyRecord(
        key_id=caller.actor("").actor_id or "",
        project_id=project_id,
        kind="live",
        account_id=caller.account_id,
        scopes=frozenset({"proxy"}),
    )


class OwnCalls:
    """How the judge's calls are made; one a process."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def estimate_pusd(self, case: Case, body: bytes) -> int | None:
        """What a call may cost, by the dearest of its targets; None: nobody answers for its model."""
        made, services = bodies.decode(CHAT, body), self._services
        route = services.routes_of(case.asker.caller).find(made.model)
        if route is None:
            return None
        # Of what has no price, such as a server of one's own, the ledger counts nothing either.
        return max(meter.estimate_pusd(made, target, services) or 0 for target in route.targets)

    async def make(self, case: Case, body: bytes) -> Reply:
        """Ask the judge, past the cache and the key's own limits, on the budgets of the key that asked."""
        services, asker = self._services, case.asker
        now_ns = services.now_ns()
        inbound = Inbound(
            request_id=services.ids.new(now_ns),
            call=bodies.decode(CHAT, body),
            # The models that a key may name are not about what its project has judged.
            caller=msgspec.structs.replace(asker.caller, allowed_models=None),
            created_ns=now_ns,
            started_ns=services.ticks_ns(),
            cache="off",
            tags=asker.tags,
            session=asker.session,
            check=case.check,
        )
        heard = await call(inbound, services, JUDGE_S)
        return Reply(heard.status, heard.body)
