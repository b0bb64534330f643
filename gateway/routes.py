"""Every route that is not on the short way, mounted on the framework with what its handlers ask for.

Part of the composition root: gateway.app calls it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar import Litestar, Request
from litestar.datastructures import State
from litestar.di import Provide
from litestar.plugins.base import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin

from gateway.accounts.credentials import Credentials
from gateway.accounts.keyring.project_keys import ProjectKeys
from gateway.accounts.keyring.projects import Projects
from gateway.accounts.tenancy.account import Accounts
from gateway.accounts.tenancy.members import Members
from gateway.db import Database
from gateway.errors import Fault
from gateway.pipeline.services import Services
from gateway.surfaces import faults
from gateway.surfaces.access import note_lost
from gateway.surfaces.api.auth import AUTH_ROUTES
from gateway.surfaces.api.budgets import BUDGET_ROUTES
from gateway.surfaces.api.cache import CACHE_ROUTES
from gateway.surfaces.api.credentials import CREDENTIAL_ROUTES
from gateway.surfaces.api.guardrails import GUARDRAIL_ROUTES
from gateway.surfaces.api.keys import KEY_ROUTES
from gateway.surfaces.api.people import PEOPLE_ROUTES
from gateway.surfaces.api.projects import PROJECT_ROUTES
from gateway.surfaces.api.prompts import PROMPT_ROUTES
from gateway.surfaces.api.semantic import SEMANTIC_ROUTES
from gateway.surfaces.api.team import TEAM_ROUTES
from gateway.surfaces.api.trial import try_provider
from gateway.surfaces.guards import Identity
from gateway.surfaces.headers import answer_heads, guard_answers, tell_methods
from gateway.surfaces.limits import answer_fault, count_request, show_limits
from gateway.surfaces.media import check_length, check_media, check_types
from gateway.surfaces.ops import OPS_ROUTES, OpsParts, build_ops_router, parse_networks
from gateway.surfaces.pages import PAGE_ROUTES, build_pages_router
from gateway.surfaces.parameters import check_address
from gateway.surfaces.proxy.openai import PATHS, OpenAiDoor, list_models, proxied_routes, show_model
from gateway.surfaces.proxy.quote import quote_chat
from gateway.surfaces.schemas import ClosedStructs
from gateway.surfaces.views.cache_report import show_report
from gateway.surfaces.views.catalogue import CATALOGUE_ROUTES
from gateway.surfaces.views.health import show_health
from gateway.surfaces.views.listeners import Listeners
from gateway.surfaces.views.live import follow_requests
from gateway.surfaces.views.log import LOG_ROUTES
from gateway.surfaces.views.overview import OVERVIEW_ROUTES
from gateway.surfaces.views.prompt_cache import show_prompt_cache
from gateway.surfaces.views.requests import show_request
from gateway.surfaces.views.statistics import STATISTICS_ROUTES
from gateway.surfaces.views.usage import export_usage, show_usage
from gateway.web.document import build_openapi_config, compose_document, load_proxy_document

Checks = dict[str, Callable[[], Awaitable[None]]]


class Estate(msgspec.Struct, frozen=True, kw_only=True):
    """What routes ask for by these names besides the services."""

    database: Database
    project_keys: ProjectKeys
    projects: Projects
    credentials: Credentials
    members: Members
    accounts: Accounts
    listeners: Listeners


class _Framework(Litestar):
    """The framework without its plugins for models of other kinds than ours.

    It would load pydantic wherever that is installed, a tenth of an idle gateway's memory.
    """

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


# What needs nothing to be made: the rest is bound to its parts as the application is built.
HANDLERS = (
    list_models,
    show_model,
    show_usage,
    export_usage,
    show_prompt_cache,
    *LOG_ROUTES,
    follow_requests,
    show_request,
    *STATISTICS_ROUTES,
    *OVERVIEW_ROUTES,
    *CATALOGUE_ROUTES,
    *AUTH_ROUTES,
    *PEOPLE_ROUTES,
    *TEAM_ROUTES,
    *PROJECT_ROUTES,
    *KEY_ROUTES,
    *CREDENTIAL_ROUTES,
    try_provider,
    show_health,
    *BUDGET_ROUTES,
    *GUARDRAIL_ROUTES,
    *CACHE_ROUTES,
    show_report,
    *SEMANTIC_ROUTES,
    *PROMPT_ROUTES,
    quote_chat,
)


def describe_api(version: str) -> dict[str, Any]:
    """Make the OpenAPI document that a running gateway serves, without one."""
    app = _Framework(
        route_handlers=[*HANDLERS, *OPS_ROUTES, *PAGE_ROUTES],
        dependencies={name: _provide(None) for name in ("services", "ops", "pages", *Estate.__struct_fields__)},
        openapi_config=build_openapi_config(version=version),
        plugins=[ClosedStructs()],
        logging_config=None,
    )
    return compose_document(app.openapi_schema.to_schema(), load_proxy_document(), app.routes)


def build_app(services: Services, door: OpenAiDoor, estate: Estate, checks: Checks, identity: Identity) -> Litestar:
    """Everything that is not on the short way."""
    provided = {"services": services, **{name: getattr(estate, name) for name in estate.__struct_fields__}}

    ops = OpsParts(
        metrics=services.metrics,
        checks=checks,
        allow=parse_networks(services.settings.ops.allow),
        now_ns=services.now_ns,
        ticks_ns=services.ticks_ns,
    )
    app = _Framework(
        route_handlers=[
            *HANDLERS,
            *proxied_routes(door, services),
            build_ops_router(ops),
            build_pages_router(
                version=services.metrics.version,
                public_url=services.settings.server.public_url,
                now_ns=services.now_ns,
            ),
        ],
        dependencies={name: _provide(part) for name, part in provided.items()},
        before_request=_let_in,
        after_request=faults.name_answer,
        before_send=[
            note_lost,
            show_limits,
            tell_methods,
            guard_answers(services.settings.server.public_url, frozenset(map(bytes.decode, PATHS))),
        ],
        state=State(
            {
                "services": services,
                "identity": identity,
                "database": estate.database,
                "project_keys": estate.project_keys,
            }
        ),
        exception_handlers={**faults.HANDLERS, Fault: answer_fault},
        openapi_config=build_openapi_config(version=services.metrics.version),
        request_max_body_size=services.settings.server.max_body_bytes,
        plugins=[ClosedStructs()],
        logging_config=None,
    )
    # Before a route is chosen, which no middleware of the framework is.
    app.asgi_handler = answer_heads(app.asgi_handler)
    return app


async def _let_in(request: Request[Any, Any, Any]) -> None:
    """What happens once the guard has let a request in: it counts, whatever is wrong with the rest of it."""
    await count_request(request)
    check_length(request)
    check_address(request)
    check_media(request)
    await check_types(request)


def _provide(part: Any) -> Provide:
    def give() -> Any:
        return part

    return Provide(give, sync_to_thread=False)
