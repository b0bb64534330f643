"""An answer that is in memory, given within the read that brought its request."""

from gateway.backends.interface import Client
from gateway.errors import Fault
from gateway.pipeline import budget, lookup, record, reply, route
from gateway.pipeline.flow import Inbound
from gateway.pipeline.services import Services


def give_at_once(inbound: Inbound, client: Client, services: Services) -> bool:
    """Give an answer that is in memory, where no room has anything to wait for; False: the path has to be run."""
    is_free = inbound.passage is None and not budget.may_govern(inbound, services)
    if not (is_free and services.recorder.is_accepting) or services.settings.ledger.sync == "strict":
        return False
    try:
        path = route.choose(services.routes_of(inbound.caller), inbound.call.model, inbound.caller)
    except Fault:
        return False
    found = lookup.find_kept(inbound, inbound.call.body, path, services)
    if found.given is None:
        return False
    row = record.give_at_once(inbound, found.given, services)
    reply.give(inbound, found.given, found.lines, client, row)
    return True
