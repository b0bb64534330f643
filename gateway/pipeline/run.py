"""The path of a call, top to bottom. README repeats this order, and a test compares the two.

Failure behavior: whatever happens, the hold is released once and a call that may have reached a provider leaves
exactly one usage row, written before the client sees the end of its answer.
"""

import asyncio
import logging

from gateway.accounts.directory import KeyRecord
from gateway.backends.failure import as_fault
from gateway.backends.interface import Client
from gateway.errors import Fault
from gateway.pipeline import auth, limits, lookup, meter, record, reply, route, send
from gateway.pipeline.auth import Credentials
from gateway.pipeline.flow import Inbound, Outcome, Target
from gateway.pipeline.meter import Produced
from gateway.pipeline.send import SendFailed, Upstream
from gateway.pipeline.services import Services
from providers.chat import Usage
from providers.errors import Unsupported

CLIENT_GONE = 499
OK, SERVER_ERROR = 200, 500
log = logging.getLogger("gateway.pipeline")


def admit(credentials: Credentials, services: Services) -> KeyRecord:
    """Know the caller before anything else of a request is read; raises Fault."""
    return auth.authenticate(credentials, services.directory, services.now_ns())


async def run(inbound: Inbound, client: Client, services: Services) -> None:
    """Answer one call."""
    journey = _Journey(inbound, client, services)
    hold: limits.Hold | None = None
    try:
        hold = limits.admit(services.recorder, services.metrics)
        lookup.find(inbound)
        path = route.choose(services.routes, inbound.call.model, inbound.caller)
        upstream = await send.send(inbound, path, client, services)
        journey.upstream = upstream
        await reply.flow(inbound, upstream, client, services)
        outcome = await _outcome(inbound, upstream, client, services)
        row = record.compose(inbound, outcome, services)
        await record.write(row, services)
        journey.is_recorded = True
        reply.finish(inbound, upstream, client, row)
    except Fault as fault:
        reply.refuse(inbound.request_id, client, fault)
    except SendFailed as failed:
        await journey.fail(failed)
    except asyncio.CancelledError:
        await journey.stop()
    except Exception:
        log.exception("call failed", extra={"request_id": inbound.request_id})
        await journey.stop()
        reply.refuse(inbound.request_id, client, Fault("server_error", "The gateway failed; its log has the reason."))
    finally:
        if hold is not None:
            hold.release()


async def _outcome(inbound: Inbound, upstream: Upstream, client: Client, services: Services) -> Outcome:
    """How the answer ended, with its usage counted."""
    call, model = inbound.call, upstream.target.model
    if upstream.answer is not None:
        whole = Produced(reported=upstream.answer.usage, text=upstream.answer.text)
        usage = await meter.measure(call, model, whole, services)
        return _end(upstream, usage, client, error_code="")
    relay = upstream.relay
    assert relay is not None, "an answer is whole or flows"  # noqa: S101 - for the type checkers
    reader = relay.reader
    is_partial = relay.is_abandoned or reader.failure is not None
    produced = Produced(reported=reader.usage, text=reader.delivered_text(), is_partial=is_partial)
    usage = await meter.measure(call, model, produced, services)
    error_code = "" if reader.failure is None else as_fault(reader.failure, upstream.target.backend).code
    is_left = relay.is_abandoned and not reader.finished
    return _end(upstream, usage, client, error_code=error_code, is_left=is_left)


def _end(upstream: Upstream, usage: Usage, client: Client, *, error_code: str, is_left: bool = False) -> Outcome:
    is_left = is_left or client.is_gone
    return Outcome(
        status="cancelled" if is_left else "incomplete" if error_code else "complete",
        http_status=CLIENT_GONE if is_left else OK,
        error_code=error_code,
        target=upstream.target,
        usage=usage,
        attempts=upstream.attempts,
        upstream_request_id=_upstream_request_id(upstream),
        first_byte_ns=upstream.first_byte_ns,
        waited_ns=upstream.waited_ns,
    )


def _upstream_request_id(upstream: Upstream) -> str:
    for name, value in upstream.headers:
        if name in (b"x-request-id", b"request-id", b"x-generation-id"):
            return value.decode("latin-1")[:128]
    return ""


class _Journey:
    """What is known of a call so far, for the endings that are not the ordinary one."""

    __slots__ = ("client", "inbound", "is_recorded", "services", "upstream")

    def __init__(self, inbound: Inbound, client: Client, services: Services) -> None:
        self.inbound = inbound
        self.client = client
        self.services = services
        self.upstream: Upstream | None = None
        self.is_recorded = False

    async def fail(self, failed: SendFailed) -> None:
        """No target answered: the row says so, and what may have been produced unseen is not charged as known."""
        fault = as_fault(failed.error, failed.target.backend)
        if fault.status >= SERVER_ERROR:
            provider = failed.target.backend.name
            log.warning("%s failed for request %s: %s", provider, self.inbound.request_id, failed.error.message)
        if failed.attempts and not isinstance(failed.error, Unsupported):
            is_left = self.client.is_gone
            await self._record(
                Outcome(
                    status="cancelled" if is_left else "failed",
                    http_status=CLIENT_GONE if is_left else fault.status,
                    error_code=fault.code,
                    target=failed.target,
                    attempts=failed.attempts,
                    waited_ns=failed.waited_ns,
                )
            )
        reply.refuse(self.inbound.request_id, self.client, fault, failed.target, failed.error.headers)

    async def stop(self) -> None:
        """The client left before the answer began, or the process ends: whatever was produced is a guess."""
        if self.is_recorded:
            return
        target: Target | None = None
        text = ""
        if self.upstream is not None:
            target = self.upstream.target
            if self.upstream.relay is not None:
                text = self.upstream.relay.reader.delivered_text()
        else:
            target = self._first_target()
        call = self.inbound.call
        usage = meter.guess(call, text)
        if self.client.is_gone and target is not None:
            usage = await meter.measure(call, target.model, Produced(reported=None, text=text), self.services)
        await self._record(
            Outcome(
                status="cancelled",
                http_status=CLIENT_GONE,
                target=target,
                usage=usage,
                attempts=1 if self.upstream is None else self.upstream.attempts,
            )
        )

    def _first_target(self) -> Target | None:
        try:
            return route.choose(self.services.routes, self.inbound.call.model, self.inbound.caller).targets[0]
        except Fault:
            return None

    async def _record(self, outcome: Outcome) -> None:
        self.is_recorded = True
        await record.write(record.compose(self.inbound, outcome, self.services), self.services)
