"""An answer to the usual call in a gateway's memory."""

from caches import make_answer
from fakes import NOW_NS, answer_body, make_inbound

from gateway.pipeline import route
from gateway.pipeline.lookup import find_kept
from gateway.pipeline.services import Services


def keep_usual(services: Services) -> None:
    """Keep it, as a call before would have."""
    inbound = make_inbound()
    path = route.choose(services.routes_of(inbound.caller), inbound.call.model, inbound.caller)
    key = find_kept(inbound, inbound.call.body, path, services).key
    assert key is not None
    services.caching.answers.keep(key, make_answer(body=answer_body(), created_ns=NOW_NS), ttl_s=60, saved_pusd=1)
