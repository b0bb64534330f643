"""The gateway: an OpenAI-compatible proxy that authenticates, routes, meters and records every call."""

import gc
import os

# The semantic cache multiplies small matrices. Threads that OpenBLAS starts for these spin while they wait for each
# other: a lesson takes four times as long, on two cores instead of one. It reads this as numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # noqa: TID251 - it is the setting of a library, not of ours

# Calls leave almost no cycles behind, so the collector may run once in thousands of them. Set before anything else is
# imported: what an import makes stays for good, and looking through it again and again is an eighth of the start.
gc.set_threshold(50_000)
