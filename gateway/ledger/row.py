"""The usage row: the record of one call, written once and never changed; and how it keeps the tries that failed."""

import msgspec

# More tries than any settings allow; what comes after them is counted and not told.
MAX_TRIES = 32
MAX_NAME_CHARS = 128
# The ``cache_layer`` of a call that the gateway made by itself.
AUDIT = "audit"


class UsageRow(msgspec.Struct, frozen=True, array_like=True):
    """One answered or attempted call. It is the charge: ``cost_pusd`` is what the provider will bill for it.

    The raw counts and the price's id stay with the row so that it can be rated again under a corrected table.
    Fields are only ever added at the end and with a default: journals of an older version must stay readable.
    Not keyword-only: matching 38 keywords takes four times as long as making the row from values in this order, and
    that is done for each call (pipeline.record). Everybody else names the fields.
    """

    # 26 characters of base32: a UUIDv7, so rows sort by time.
    request_id: str
    # When the call arrived, ns since the epoch.
    created_ns: int
    project_id: str
    key_id: str
    # "chat/completions", "completions" or "embeddings".
    endpoint: str
    # The name that the caller used.
    model: str
    # Who answered, and the name it was asked for; empty when nothing was sent.
    provider: str = ""
    upstream_model: str = ""
    upstream_request_id: str = ""
    # complete | incomplete (upstream broke off) | cancelled (client left) | failed | refused
    # | in_doubt (what became of the call is not known; it costs the most that it may have)
    status: str = ""
    # What the client was answered, 499 when it left before an answer.
    http_status: int = 0
    # The public error code, empty on success.
    error_code: str = ""
    is_stream: bool = False
    is_cached: bool = False
    # Disjoint buckets, see providers.chat.Usage.
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    output_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    reasoning_tokens: int = 0
    # A tokenizer counted, because no usage was reported.
    is_estimated: bool = False
    # The provider's figures contradicted each other and were clamped, or tell of fees beside the tokens.
    is_anomalous: bool = False
    tokens_saved: int = 0
    cost_pusd: int = 0
    saved_pusd: int = 0
    # operator | reported | bundled | free | unpriced | none (nothing was produced) | bound (the most it may have cost)
    # | cache (the gateway answered)
    cost_basis: str = "none"
    price_id: str = ""
    # From the first byte of the request to the last of the answer.
    latency_ms: int = 0
    first_byte_ms: int = 0
    # The gateway's own share of the latency.
    overhead_us: int = 0
    attempts: int = 0
    service_tier: str = ""
    # The caller's x-watchllm-tags and x-watchllm-session.
    tags: str = ""
    session: str = ""
    # What earlier tries of the call may have cost, a part of ``cost_pusd``; the counts are those of the last try.
    lost_pusd: int = 0
    # The tries that failed, as ``add_try`` writes them; empty where none did.
    trail: str = ""
    # What was kept and answered the call; empty where the call was made.
    cache_entry: str = ""
    # Which layer of the cache found it: "exact" or "semantic"; "audit": a call made to check what the semantic layer
    # gave; empty where the call was made for its caller, and in rows of older versions.
    cache_layer: str = ""
    # What the provider's own prompt cache took off the price of the input.
    prompt_saved_pusd: int = 0

    @property
    def is_audit(self) -> bool:
        """Whether the gateway made the call by itself, to check an answer: nobody asked for it, and it is billed."""
        return self.cache_layer == AUDIT

    @property
    def total_tokens(self) -> int:
        """Every bucket, the ``tokens_used`` of the documents."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.cache_write_1h_tokens
            + self.audio_input_tokens
            + self.image_input_tokens
            + self.output_tokens
            + self.audio_output_tokens
            + self.image_output_tokens
        )


class Try(msgspec.Struct, frozen=True, array_like=True):
    """One try at a provider."""

    provider: str
    # The name it was asked for.
    model: str
    # The public error code.
    outcome: str
    # How long the gateway waited for it.
    waited_ms: int


_decoder = msgspec.json.Decoder(Try)


def add_try(trail: str, tried: Try) -> str:
    """Write a try behind those that came before."""
    if trail.count("\n") >= MAX_TRIES:
        return trail
    short = msgspec.structs.replace(tried, model=tried.model[:MAX_NAME_CHARS])
    return f"{trail}{msgspec.json.encode(short).decode()}\n"


def read_trail(trail: str) -> list[Try]:
    """Read the tries in their order; raises msgspec.DecodeError for what ``add_try`` never wrote."""
    return [_decoder.decode(line) for line in trail.split("\n")[:-1]]
