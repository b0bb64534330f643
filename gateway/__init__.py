"""The gateway: an OpenAI-compatible proxy that authenticates, routes, meters and records every call."""

import gc

# Calls leave almost no cycles behind, so the collector may run once in thousands of them. Set before anything else is
# imported: what an import makes stays for good, and looking through it again and again is an eighth of the start.
gc.set_threshold(50_000)
