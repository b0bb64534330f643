"""Everything that limits callers, in one hand."""

import msgspec

from gateway.limits.attempts import Attempts
from gateway.limits.gate import Gate
from gateway.limits.strangers import Strangers


class Limiting(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway limits callers with."""

    gate: Gate
    # None: strangers are not counted, since no plan is kept.
    strangers: Strangers | None = None
    # None: attempts to sign in are not limited.
    attempts: Attempts | None = None
