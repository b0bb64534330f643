"""An application that stands as long as the process: to build one takes longer than most of what tests ask it."""

from functools import cached_property
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from gateway.surfaces import faults


class StandingApp:
    """Routes that are built once; whoever asks gives first what their handlers and guards are to get."""

    def __init__(self, *routes: Any, handed: tuple[str, ...]) -> None:
        """``handed`` names what the handlers get as arguments; all that is given is in the application's state."""
        self._routes = routes
        self._handed = handed
        self._given: dict[str, Any] = {}

    def give(self, **given: Any) -> Litestar:
        """The application; what it is asked from now on is answered with these."""
        self._given = given
        self._app.state.clear()
        self._app.state.update(given)
        return self._app

    @cached_property
    def _app(self) -> Litestar:
        return Litestar(
            list(self._routes),
            dependencies={name: Provide(self._hand(name), sync_to_thread=False) for name in self._handed},
            after_request=faults.name_answer,
            exception_handlers=faults.HANDLERS,
            state=State(),
            openapi_config=None,
            logging_config=None,
        )

    def _hand(self, name: str) -> Any:
        return lambda: self._given[name]
