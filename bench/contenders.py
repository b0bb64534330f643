"""Who is measured: the upstream itself, nginx, the gateway, its bare pass-through, and peers from a file."""

import re
import shlex
import sys
from pathlib import Path

import msgspec

BENCH = Path(__file__).parent
UPSTREAM_PORT = 9100
KEY_LINE = re.compile(r"^api_key (lgw_proj_\S+)", re.MULTILINE)


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """One process that answers on a port; ``command`` is empty where it runs already."""

    name: str
    port: int
    command: tuple[str, ...] = ()
    # "name: value"; a gateway that prints its key at the first start gets it put in for {key}, and what a step wants of
    # the cache for {cache}.
    headers: tuple[str, ...] = ()
    ready_path: str = "/health"
    ready_s: float = 20
    # What POSTs go to, in front of chat/completions and embeddings.
    prefix: str = "/v1/"


class Peer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of a peers file: another gateway whose upstream is 127.0.0.1:9100 with the key sk-upstream."""

    name: str
    port: int
    command: str
    headers: tuple[str, ...] = ()
    ready_path: str = "/"
    ready_s: float = 60
    prefix: str = "/v1/"


def list_contenders(data_dir: Path, peers_file: Path | None) -> list[Contender]:
    """List everyone in the order of the table; the first is the bare upstream."""
    python = sys.executable
    gateway = (str(Path(python).with_name("watchllm")), "serve", "--config", str(BENCH / "gateway.toml"))
    contenders = [
        Contender(name="direct", port=UPSTREAM_PORT, headers=("Authorization: Bearer sk-upstream",), ready_path="/"),
        Contender(
            name="nginx",
            port=9101,
            command=("nginx", "-p", f"{BENCH}/", "-c", "nginx.conf", "-e", "stderr"),
            headers=("Authorization: Bearer bench",),
            ready_path="/",
        ),
        Contender(
            name="watchllm",
            port=9102,
            command=(*gateway, "--data-dir", str(data_dir)),
            # The load repeats one request: its answer is kept each time, key and all, and given in steps of hits alone.
            headers=("Authorization: Bearer {key}", "x-watchllm-cache: {cache}"),
        ),
    ]
    if (BENCH / "passthrough.py").exists():
        contenders.append(
            Contender(
                name="passthrough",
                port=9103,
                command=(python, "-m", "bench.passthrough", "--port", "9103"),
                headers=("Authorization: Bearer bench",),
                ready_path="/",
            )
        )
    return [*contenders, *read_peers(peers_file)]


def read_peers(peers_file: Path | None) -> list[Contender]:
    """Read the peers of a file such as bench/peers.example.json."""
    if peers_file is None:
        return []
    return [
        Contender(
            name=peer.name,
            port=peer.port,
            command=tuple(shlex.split(peer.command)),
            headers=peer.headers,
            ready_path=peer.ready_path,
            ready_s=peer.ready_s,
            prefix=peer.prefix,
        )
        for peer in msgspec.json.decode(peers_file.read_bytes(), type=list[Peer])
    ]
