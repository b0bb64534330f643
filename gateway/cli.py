"""The command line: ``watchllm`` and its verbs.

Failure behavior: what the operator can put right is told on stderr, a line a problem and never a traceback; the exit
code is 2 for a wrong command line or configuration and 1 where the database or the data directory refuses.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from gateway.analytics import moments
from gateway.commands.arguments import (
    read_count,
    read_duration_ns,
    read_end,
    read_limit,
    read_moment,
    read_name,
    read_names,
    read_note,
)
from gateway.config.loading import load_settings
from gateway.config.settings import ConfigError, Settings
from gateway.logs import configure_logging

Environ = Mapping[str, str]
USAGE_ERROR = 2
FAILURE = 1
# As a shell tells of SIGINT.
INTERRUPTED = 130


class CommandError(Exception):
    """A command cannot be carried out; ``code`` is the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class _Parser(argparse.ArgumentParser):
    """Says what was wrong in one line; argparse's own way prints the usage as well."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    environ = dict(os.environ)  # noqa: TID251 - read here, once; everything below gets what it needs as an argument
    arguments = build_parser().parse_args(argv)
    run: Callable[[argparse.Namespace, Environ], int] = arguments.run
    try:
        return run(arguments, environ)
    except ConfigError as error:
        return _fail(error.problems, USAGE_ERROR)
    except CommandError as error:
        return _fail((str(error),), error.code)
    except BrokenPipeError:
        # The reader of a pipe has left; closing stdout at exit would fail a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE


def _fail(problems: Sequence[str], code: int) -> int:
    for problem in problems:
        print(f"watchllm: {problem}", file=sys.stderr)
    return code


def build_parser() -> argparse.ArgumentParser:
    """Describe every command; ``run`` of the parsed arguments is the function that carries it out."""
    parser = _Parser(prog="watchllm", description="An OpenAI-compatible gateway that meters every call.")
    parser.add_argument("--version", action="version", version=f"watchllm {version('watchllm-gateway')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", help="run the gateway until SIGTERM or SIGINT")
    _add_sources(serve)
    serve.add_argument("--host", metavar="H", help="address to listen on")
    serve.add_argument("--port", metavar="P", type=int, help="port to listen on")
    serve.add_argument("--workers", metavar="N", type=int, help="processes; above 1 needs Redis and PostgreSQL")
    serve.set_defaults(run=run_serve)

    _add_keys(commands.add_parser("keys", help="make, list and revoke API keys"))

    _add_credentials(commands.add_parser("credentials", help="store, list and remove the operator's provider keys"))

    _add_vault(commands.add_parser("vault", help="the encryption of stored secrets"))

    _add_accounts(commands.add_parser("accounts", help="list accounts and change their plans"))
    _add_admin(commands.add_parser("admin", help="who runs the installation"))

    _add_ledger(commands.add_parser("ledger", help="the usage and its sums"))

    _add_demo(commands.add_parser("demo", help="fill a new installation with a year of made-up traffic"))

    check = commands.add_parser("check", help="validate a configuration")
    check.add_argument("--config", metavar="FILE", type=Path, help="configuration file (TOML)")
    check.set_defaults(run=run_check)

    openapi = commands.add_parser("openapi", help="print the API's OpenAPI document")
    openapi.set_defaults(run=run_openapi)

    importer = commands.add_parser("import", help="translate another gateway's configuration")
    sources = importer.add_subparsers(title="sources", metavar="SOURCE", required=True)
    litellm = sources.add_parser("litellm", help="print the TOML for a LiteLLM config.yaml")
    litellm.add_argument("file", metavar="FILE", type=Path)
    litellm.set_defaults(run=run_import)
    return parser


def _add_keys(keys: argparse.ArgumentParser) -> None:
    verbs = keys.add_subparsers(title="verbs", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="make a key, and the project when it is missing")
    create.add_argument("--project", metavar="NAME", type=read_name, required=True, help="the key's project")
    create.add_argument("--test", action="store_true", help="a key that the sandbox answers, free")
    create.add_argument("--issuer", choices=("lgw", "efg"), default="lgw", help="whose form: lgw_proj_ or EFG_sk_live_")
    create.add_argument(
        "--scopes", metavar="A,B", type=read_names, help="what it may; default: the issuer's usual scopes"
    )
    create.add_argument("--manage", action="store_true", help="may also change its project's cache settings")
    create.add_argument("--name", type=read_note, default="", help="a note on what the key is for")
    create.add_argument("--expires-in", metavar="30d", type=read_duration_ns, help="s, m, h, d or w; default: never")
    create.add_argument("--allowed-models", metavar="A,B", type=read_names, help="default: every model")
    listing = verbs.add_parser("list", help="list all keys, revoked ones included")
    revoke = verbs.add_parser("revoke", help="revoke a key everywhere within a second")
    revoke.add_argument("key_id", metavar="ID", help="as keys list shows it: key_…")
    for name, verb in (("create", create), ("list", listing), ("revoke", revoke)):
        _add_sources(verb)
        verb.add_argument("--json", action="store_true", help="print JSON")
        verb.set_defaults(run=run_keys, verb=name)


def _add_credentials(credentials: argparse.ArgumentParser) -> None:
    verbs = credentials.add_subparsers(title="verbs", metavar="VERB", required=True)
    put = verbs.add_parser("set", help="store the key that comes on stdin, in the place of the one there is")
    listing = verbs.add_parser("list", help="list the providers that have one, never the keys")
    remove = verbs.add_parser("remove", help="delete a provider's key everywhere within a second")
    for verb in (put, remove):
        verb.add_argument("provider", metavar="PROVIDER", help="a built-in or configured provider, such as openai")
    for name, verb in (("set", put), ("list", listing), ("remove", remove)):
        _add_sources(verb)
        verb.add_argument("--json", action="store_true", help="print JSON")
        verb.set_defaults(run=run_credentials, verb=name)


def _add_vault(vault: argparse.ArgumentParser) -> None:
    verbs = vault.add_subparsers(title="verbs", metavar="VERB", required=True)
    rotate = verbs.add_parser("rotate", help="bring every stored secret under the newest key, while the gateway runs")
    rotate.add_argument("--new-version", action="store_true", help="make a newer key from the master key first")
    rotate.add_argument("--discard-lost", action="store_true", help="delete credentials that no given key decrypts")
    status = verbs.add_parser("status", help="count the stored secrets by key")
    for name, verb in (("rotate", rotate), ("status", status)):
        _add_sources(verb)
        verb.add_argument("--json", action="store_true", help="print JSON")
        verb.set_defaults(run=run_vault, verb=name)


def _add_accounts(accounts: argparse.ArgumentParser) -> None:
    verbs = accounts.add_subparsers(title="verbs", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="list all accounts with their plans")
    plan = verbs.add_parser("plan", help="put an account on a plan, everywhere within a second")
    plan.add_argument("account_id", metavar="ACCOUNT", help="as accounts list shows it: acct_…")
    plan.add_argument("plan", metavar="PLAN", help="free, starter, pro, agency or enterprise")
    plan.add_argument(
        "--limit",
        metavar="NAME=N",
        type=read_limit,
        action="append",
        help="a figure of its own; replaces all earlier ones",
    )
    for name, verb in (("list", listing), ("plan", plan)):
        _add_sources(verb)
        verb.add_argument("--json", action="store_true", help="print JSON")
        verb.set_defaults(run=run_accounts, verb=name)


def _add_admin(admin: argparse.ArgumentParser) -> None:
    verbs = admin.add_subparsers(title="verbs", metavar="VERB", required=True)
    link = verbs.add_parser("link", help="print a link that makes one person an operator; earlier links end")
    link.add_argument("--url", metavar="URL", help="where browsers find the gateway; default: [server] public_url")
    _add_sources(link)
    link.add_argument("--json", action="store_true", help="print JSON")
    link.set_defaults(run=run_accounts, verb="link")


def _add_ledger(ledger: argparse.ArgumentParser) -> None:
    verbs = ledger.add_subparsers(title="verbs", metavar="VERB", required=True)
    verify = verbs.add_parser("verify", help="prove that sums of usage, and budgets, are those of the rows")
    rerate = verbs.add_parser("rerate", help="book what calls cost by the prices in force now beyond their charge")
    rerate.add_argument("--from", dest="from_ns", metavar="DATE", type=read_moment, required=True, help="UTC, included")
    rerate.add_argument("--to", dest="to_ns", metavar="DATE", type=read_end, help="UTC, included; default: now")
    rerate.add_argument("--dry-run", action="store_true", help="tell who owes what, and book nothing")
    for name, verb in (("verify", verify), ("rerate", rerate)):
        _add_sources(verb)
        verb.add_argument("--json", action="store_true", help="print JSON")
        verb.set_defaults(run=run_ledger, verb=name)


def _add_demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--calls", metavar="N", type=read_count, default=200_000, help="how many; default: 200000")
    demo.add_argument("--seed", metavar="N", type=int, default=1, help="another seed tells another year; default: 1")
    demo.add_argument("--email", metavar="EMAIL", default="demo@example.com", help="whom to sign in as")
    demo.add_argument("--password", metavar="PASSWORD", help="default: one that is drawn and printed")
    demo.add_argument("--yes", action="store_true", help="also where there are calls already")
    _add_sources(demo)
    demo.add_argument("--json", action="store_true", help="print JSON")
    demo.set_defaults(run=run_demo)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", type=Path, help="configuration file (TOML)")
    parser.add_argument("--data-dir", metavar="DIR", help="folder of database, journal and master key")


def _load(arguments: argparse.Namespace, environ: Environ, *, storage_only: bool = False) -> Settings:
    options = {"host": "server.host", "port": "server.port", "workers": "server.workers", "data_dir": "data_dir"}
    given = {path: getattr(arguments, name, None) for name, path in options.items()}
    overrides = {path: value for path, value in given.items() if value is not None}
    return load_settings(arguments.config, environ, overrides, storage_only=storage_only)


def run_serve(arguments: argparse.Namespace, environ: Environ) -> int:
    """Run the gateway."""
    settings = _load(arguments, environ)
    configure_logging(settings.log_level, sys.stderr)
    # The whole gateway takes half a second to import, which the other commands must not pay.
    from gateway.app import serve  # noqa: PLC0415
    from gateway.commands.keys import REFUSALS  # noqa: PLC0415

    try:
        return serve(settings)
    except REFUSALS as error:
        raise CommandError(str(error), FAILURE) from None
    except (FileExistsError, NotADirectoryError):
        raise CommandError(f"data_dir is {str(settings.data_dir)!r}, where a file is; name a folder", FAILURE) from None
    except OSError as error:
        raise CommandError(f"cannot start: {error}", FAILURE) from None


def run_check(arguments: argparse.Namespace, environ: Environ) -> int:
    """Validate a configuration and say in a line what it has."""
    settings = load_settings(arguments.config, environ)
    print(
        f"ok: providers {', '.join(settings.providers)}; "
        f"{len(settings.models)} of your own models, {len(settings.prices)} of your own prices"
    )
    return 0


def run_openapi(arguments: argparse.Namespace, environ: Environ) -> int:
    """Print the OpenAPI document that a running gateway serves."""
    # As for serve: only this command needs every route.
    from gateway.routes import describe_api  # noqa: PLC0415

    print(json.dumps(describe_api(version("watchllm-gateway")), separators=(",", ":")))
    return 0


def run_import(arguments: argparse.Namespace, environ: Environ) -> int:
    """Print the TOML for a LiteLLM configuration."""
    # It brings a YAML reader, that a start need not wait for.
    from gateway.config.litellm import LiteLLMError, convert_litellm  # noqa: PLC0415

    try:
        print(convert_litellm(arguments.file.read_text(encoding="utf-8")), end="")
    except OSError as error:
        raise CommandError(f"{arguments.file}: cannot be read: {error.strerror}", USAGE_ERROR) from None
    except (LiteLLMError, UnicodeDecodeError) as error:
        raise CommandError(f"{arguments.file}: {error}", USAGE_ERROR) from None
    return 0


def run_keys(arguments: argparse.Namespace, environ: Environ) -> int:
    """Make, list or revoke keys."""
    settings = _load(arguments, environ, storage_only=True)
    # SQLAlchemy takes longer to import than check and import take to run.
    from gateway.commands import keys  # noqa: PLC0415

    try:
        print(asyncio.run(keys.VERBS[arguments.verb](settings, arguments, time.time_ns())))
    except keys.REFUSALS as error:
        raise CommandError(str(error), FAILURE) from None
    return 0


def run_accounts(arguments: argparse.Namespace, environ: Environ) -> int:
    """List accounts, change the plan of one, or make a link for who is to be an operator."""
    settings = _load(arguments, environ, storage_only=True)
    # As for keys.
    from gateway.commands import accounts  # noqa: PLC0415

    try:
        print(asyncio.run(accounts.VERBS[arguments.verb](settings, arguments, time.time_ns())))
    except accounts.REFUSALS as error:
        raise CommandError(str(error), FAILURE) from None
    return 0


def run_credentials(arguments: argparse.Namespace, environ: Environ) -> int:
    """Store, list or remove the operator's keys at providers."""
    settings = _load(arguments, environ)
    # As for keys.
    from gateway.commands import vault  # noqa: PLC0415

    try:
        verb = vault.CREDENTIAL_VERBS[arguments.verb]
        print(asyncio.run(verb(settings, arguments, time.time_ns())))
    except vault.REFUSALS as error:
        raise CommandError(str(error), FAILURE) from None
    return 0


def run_vault(arguments: argparse.Namespace, environ: Environ) -> int:
    """Rotate the keys of stored secrets, or tell what is encrypted under which."""
    settings = _load(arguments, environ, storage_only=True)
    # As for keys.
    from gateway.commands import vault  # noqa: PLC0415

    try:
        print(asyncio.run(vault.VERBS[arguments.verb](settings, arguments, time.time_ns())))
    except vault.REFUSALS as error:
        raise CommandError(str(error), FAILURE) from None
    return 0


def run_ledger(arguments: argparse.Namespace, environ: Environ) -> int:
    """Prove the sums of the usage, or re-rate calls."""
    now_ns = time.time_ns()
    if arguments.verb == "rerate" and arguments.from_ns >= (arguments.to_ns or now_ns):
        end = "now" if arguments.to_ns is None else "--to"
        begin = moments.moment_text(arguments.from_ns)
        raise CommandError(f"--from is {begin}, which is not before {end}: nothing lies between them", USAGE_ERROR)
    settings = _load(arguments, environ, storage_only=arguments.verb == "verify")
    # As for keys.
    from gateway.commands import ledger  # noqa: PLC0415

    try:
        print(asyncio.run(ledger.VERBS[arguments.verb](settings, arguments, now_ns)))
    except ledger.REFUSALS as error:
        raise CommandError(str(error), FAILURE) from None
    except KeyboardInterrupt:
        raise CommandError("stopped; what was booked stays, and running it again goes on", INTERRUPTED) from None
    return 0


def run_demo(arguments: argparse.Namespace, environ: Environ) -> int:
    """Fill an installation with the demo."""
    settings = _load(arguments, environ)
    # As for keys.
    from gateway.commands.demo import command  # noqa: PLC0415

    try:
        print(asyncio.run(command.run_demo(settings, arguments, time.time_ns())))
    except command.REFUSALS as error:
        raise CommandError(str(error), FAILURE) from None
    except KeyboardInterrupt:
        raise CommandError("stopped; what was made stays", INTERRUPTED) from None
    return 0
