"""The settings as frozen values: each field is one row with its type, its bounds, its default and its help.

Everything that lists settings (the loader, config.example.toml, README's table) is made from these rows.
"""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.config.secret import Secret

# A day's worth of milliseconds: no timeout of a gateway is meant to be longer.
_DAY_MS = 86_400_000

Ms = Annotated[int, Meta(ge=1, le=_DAY_MS)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Size = Annotated[int, Meta(ge=1_024, le=1 << 40)]
Text = Annotated[str, Meta(min_length=1)]
# USD with up to six decimals: per million tokens that is a whole number of picodollars per token.
UsdPerMtok = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$")]
# USD with up to twelve decimals: a whole number of picodollars.
Usd = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,12})?$")]
Rate = Annotated[float, Meta(gt=0, lt=1)]
CacheMode = Literal["off", "exact", "shadow", "semantic"]
CacheScope = Literal["project", "key"]
MAX_TTL_S = 31_536_000


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """``[server]``: the listening side and its bounds."""

    host: Annotated[Text, Meta(description="Address to listen on; 0.0.0.0 for every interface.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")] = 8080
    workers: Annotated[
        int, Meta(ge=1, le=256, description="Processes; above 1 needs REDIS_URL and a PostgreSQL DATABASE_URL.")
    ] = 1
    public_url: Annotated[
        str, Meta(description="Address that clients use, shown on the start page; empty: from the Host header.")
    ] = ""
    max_body_bytes: Annotated[Size, Meta(description="Largest request body; more is answered 413.")] = 10_485_760
    max_reply_bytes: Annotated[Size, Meta(description="Largest reply that is not a stream; more becomes 502.")] = (
        33_554_432
    )
    max_connections: Annotated[Count, Meta(description="Open client connections; one more is refused.")] = 10_000
    header_timeout_ms: Annotated[Ms, Meta(description="Time for a request's headers to arrive.")] = 30_000
    body_timeout_ms: Annotated[Ms, Meta(description="Time since the last byte of a request's body.")] = 60_000
    drain_timeout_ms: Annotated[Ms, Meta(description="Time that running calls get after SIGTERM.")] = 30_000
    keepalive_ms: Annotated[Ms, Meta(description="Time that an idle client connection stays open.")] = 75_000
    stream_comment_ms: Annotated[Ms, Meta(description="Silence on a stream after which a comment keeps it alive.")] = (
        15_000
    )


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[providers.NAME]``: one upstream. A built-in name inherits what it leaves out."""

    dialect: Annotated[Literal["openai", "anthropic", "local", "sandbox"], Meta(description="Protocol that it speaks.")]
    base_url: Annotated[str, Meta(description="Address in front of chat/completions or messages.")] = ""
    api_key: Annotated[
        Secret | None, Meta(description='Its credential: env:NAME, file:PATH or a literal; "" sends none.')
    ] = None
    models: Annotated[
        tuple[Text, ...], Meta(description='Model names that it serves besides the bundled ones; ["*"]: any name.')
    ] = ()
    headers: Annotated[
        dict[str, Secret], Meta(description="Headers added to every request; values as for api_key.")
    ] = msgspec.field(default_factory=dict[str, Secret])
    max_connections: Annotated[Count, Meta(description="Open connections to it.")] = 1_024
    cancel_stops_billing: Annotated[
        bool | None,
        Meta(description="Closing the connection ends the billing; false: a left stream is read to its end."),
    ] = None
    cancel_stops_whole_calls: Annotated[
        bool | None,
        Meta(description="Closing it stops the work on a call that is no stream; false: such a call is awaited."),
    ] = None
    stream_usage: Annotated[
        bool, Meta(description="Ask for stream_options.include_usage; false where it is refused.")
    ] = True


class TargetSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a route: a provider and the name that it knows the model by."""

    provider: Annotated[Text, Meta(description="Name of a configured provider.")]
    model: Annotated[Text, Meta(description="The model's name there.")]


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[[models]]``: a name that callers use, and who answers it."""

    name: Annotated[Text, Meta(description="Name that callers use.")]
    targets: Annotated[
        tuple[TargetSettings, ...],
        Meta(description="Tried in order, each before its first byte."),
    ]


class PriceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[[prices]]``: a price from a day on, UTC; wins over the bundled one and over a cost that upstream reports."""

    provider: Annotated[Text, Meta(description="Name of a provider.")]
    model: Annotated[Text, Meta(description="The model's name there.")]
    effective_from: Annotated[date, Meta(description="First day, UTC.")]
    input: Annotated[UsdPerMtok, Meta(description="USD per 1,000,000 tokens, as are all but per_request.")]
    output: UsdPerMtok | None = None
    cached_input: UsdPerMtok | None = None
    cache_write: UsdPerMtok | None = None
    cache_write_1h: UsdPerMtok | None = None
    audio_input: UsdPerMtok | None = None
    audio_output: UsdPerMtok | None = None
    image_input: UsdPerMtok | None = None
    image_output: UsdPerMtok | None = None
    per_request: Annotated[Usd | None, Meta(description="USD per call.")] = None


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """``[cache]``: whose answers are kept, how long and how many. A project may set what stands here of its own."""

    mode: Annotated[
        CacheMode,
        Meta(description="off, exact, shadow (looks up and reports) or semantic; each includes those before it."),
    ] = "exact"
    ttl_s: Annotated[int, Meta(ge=1, le=MAX_TTL_S, description="Life of an entry.")] = 86_400
    scope: Annotated[CacheScope, Meta(description="Who shares entries.")] = "project"
    max_wrong_hit_rate: Annotated[
        Rate | None, Meta(description="Bound that semantic mode keeps: wrong answers per semantic hit.")
    ] = 0.01
    max_wrong_rate: Annotated[
        Rate | None,
        Meta(description="The same per request. One of the two named: it alone holds; both named: both hold."),
    ] = None
    tool_calls: Annotated[bool, Meta(description="Keep answers that call tools as well.")] = False
    prompts: Annotated[
        bool, Meta(description="The hit inspector and the export show questions and answers, not only their figures.")
    ] = False
    semantic_max_temperature: Annotated[
        float, Meta(ge=0, le=2, description="A request with a higher one is answered by the exact layer only.")
    ] = 1.0
    semantic_max_wait_ms: Annotated[
        int,
        Meta(ge=1, le=10_000, description="The longest that a call waits for the semantic layer; then it is a miss."),
    ] = 150
    semantic_max_entries: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Questions in each process's index; 24 MB hold 10,000.")
    ] = 100_000
    semantic_audit_usd: Annotated[
        Usd, Meta(description="What checking served answers in the background may cost a project a day; 0: no checks.")
    ] = "1"
    semantic_judge_model: Annotated[
        str,
        Meta(description="Model asked in checks whether two answers say the same, where in doubt; empty: none."),
    ] = ""
    max_mb: Annotated[int, Meta(ge=1, le=1_048_576, description="Memory for answers, in each process.")] = 256
    max_project_mb: Annotated[int, Meta(ge=1, le=1_048_576, description="What one project may fill of it.")] = 64
    max_answer_kb: Annotated[int, Meta(ge=1, le=32_768, description="A longer answer is not kept.")] = 1_024
    shared_max_mb: Annotated[
        int, Meta(ge=0, le=1_048_576, description="Room in Redis for answers that all processes share; 0: none.")
    ] = 256
    shared_max_wait_ms: Annotated[
        int, Meta(ge=20, le=10_000, description="The longest that a call waits for Redis; then it is a miss.")
    ] = 30


class Budgets(msgspec.Struct, frozen=True, kw_only=True):
    """``[budgets]``."""

    unpriced: Annotated[
        Literal["refuse", "allow"], Meta(description="A model without a price, where a budget governs the call.")
    ] = "refuse"
    default_max_tokens: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000_000,
            description="max_tokens where a budget governs, the caller sets none and the model's own is unknown.",
        ),
    ] = 16_384


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """``[accounts]``."""

    open_sign_up: Annotated[
        bool, Meta(description="Anybody may register; if not, an invitation or the claim link is needed.")
    ] = True
    credit_grant_usd: Annotated[
        Usd, Meta(description="Credit of a new account, which then spends no more than its credits; 0: no credits.")
    ] = "0"
    audit_retention_days: Annotated[
        int, Meta(ge=0, le=36_500, description="Age at which entries of the audit log are deleted; 0: never.")
    ] = 0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """``[limits]``."""

    enforce: Annotated[bool, Meta(description="Keep the plans' rate limits and quotas; a sidecar runs without.")] = (
        False
    )
    auth_per_minute: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Failed attempts to sign in or register, by address and e-mail; enforced: all; 0: no limit.",
        ),
    ] = 10


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """``[timeouts]``: of one call to a provider."""

    connect_ms: Annotated[Ms, Meta(description="Until the connection stands, TLS included.")] = 5_000
    first_byte_ms: Annotated[Ms, Meta(description="From the request sent to the answer's first byte.")] = 60_000
    idle_ms: Annotated[Ms, Meta(description="Between two events of a stream; comments do not count.")] = 30_000
    total_ms: Annotated[Ms, Meta(description="The whole call, all tries included.")] = 600_000


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """``[retries]``: before the first byte only."""

    max_tries: Annotated[int, Meta(ge=1, le=20, description="Tries of one call over all its targets.")] = 3
    budget_ms: Annotated[Ms, Meta(description="Time after which no new try starts.")] = 20_000
    base_backoff_ms: Annotated[Ms, Meta(description="Longest first wait; doubles with each try, jittered.")] = 250
    max_backoff_ms: Annotated[Ms, Meta(description="Longest wait between two tries.")] = 4_000
    max_retry_after_ms: Annotated[
        Ms, Meta(description="Longest Retry-After that is waited for; a longer one goes to the caller.")
    ] = 10_000


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """``[breaker]``: one per target."""

    failures: Annotated[int, Meta(ge=1, le=1_000, description="Failures in a row that open it.")] = 5
    cooldown_ms: Annotated[Ms, Meta(description="Time until one probe may pass.")] = 10_000


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """``[ledger]``: how usage rows become durable."""

    sync: Annotated[
        Literal["interval", "strict"],
        Meta(description="interval: a power loss may take sync_interval_ms; strict: nothing, and slower."),
    ] = "interval"
    sync_interval_ms: Annotated[Ms, Meta(description="Between two syncs of the journal to the disk.")] = 200
    fold_interval_ms: Annotated[Ms, Meta(description="Between two batches from the journal into the database.")] = 250


class Ops(msgspec.Struct, frozen=True, kw_only=True):
    """``[ops]``."""

    allow: Annotated[
        tuple[str, ...], Meta(description="Networks whose own address may read /metrics; X-Forwarded-For is not asked.")
    ] = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one process; nothing reads the environment after these are made."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level that is logged.")
    ] = "info"
    data_dir: Annotated[Path, Meta(description="Folder of the database, the journal and the master key.")] = Path(
        "data"
    )
    database_url: Annotated[
        Secret | None, Meta(description="sqlite or postgresql address; none: SQLite in the data directory.")
    ] = None
    redis_url: Annotated[
        Secret | None, Meta(description="redis, rediss or unix address; none: counters in the process.")
    ] = None
    master_key: Annotated[
        Secret | None, Meta(description="32 bytes in base64; none: made once as a file in the data directory.")
    ] = None
    previous_master_keys: Annotated[
        tuple[Secret, ...],
        Meta(description="Earlier ones, which still decrypt stored secrets; with commas between them."),
    ] = ()
    otel_endpoint: Annotated[
        str, Meta(description="Address of an OTLP collector (HTTP, JSON); empty: none is told anything.")
    ] = ""
    server: Server = Server()
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    breaker: Breaker = Breaker()
    ledger: Ledger = Ledger()
    ops: Ops = Ops()
    cache: Cache = Cache()
    budgets: Budgets = Budgets()
    limits: Limits = Limits()
    accounts: Accounts = Accounts()
    providers: dict[str, ProviderSettings] = msgspec.field(default_factory=dict[str, ProviderSettings])
    models: tuple[ModelSettings, ...] = ()
    prices: tuple[PriceSettings, ...] = ()


# Environment variables that stand for a setting; they win over the file, and an empty one counts as unset.
ENVIRONMENT: dict[str, str] = {
    "WATCHLLM_DATA_DIR": "data_dir",
    "WATCHLLM_MASTER_KEY": "master_key",
    "WATCHLLM_PREVIOUS_MASTER_KEYS": "previous_master_keys",
    "DATABASE_URL": "database_url",
    "REDIS_URL": "redis_url",
    "PORT": "server.port",
    "LOG_LEVEL": "log_level",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "otel_endpoint",
}


class ConfigError(Exception):
    """The configuration cannot be used; each of ``problems`` is one line that begins with the key's full path."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
