"""Hooks around asks: what sees, changes or refuses a request before it is handled, and its reply."""

from collections.abc import Awaitable
from functools import partial
from typing import Any, Protocol

from ..errors import BusError
from .message import Request, route, route_name


class Proceed(Protocol):
    """Has a request handled, and gives the reply or raises what the asker would get."""

    def __call__(self, request: Request[Any], /) -> Awaitable[object]: ...


class Interceptor(Protocol):
    """Stands around every ask that is made on a bus.

        async def only_short(request: Request[Any], proceed: Proceed) -> object:
            if isinstance(request, Score) and len(request.prompt.text) > 500:
                raise TooLong(request.prompt.id)        # vetoed: the asker gets this error
            return await proceed(request)               # or another request of the same kind and key

    It runs in the asker's task, within the ask's timeout, before a worker is waited for; `current_header()`
    is the header of the ask. It may call `proceed` several times, or not at all and reply itself.
    """

    def __call__(self, request: Request[Any], proceed: Proceed, /) -> Awaitable[object]: ...


class Interception:
    """The interceptors of one bus; the first that was added stands outermost."""

    def __init__(self) -> None:
        self._hooks: tuple[Interceptor, ...] = ()

    def add(self, hook: Interceptor) -> None:
        self._hooks = (*self._hooks, hook)

    async def around(self, request: Request[Any], deliver: Proceed) -> object:
        """The reply to a request, through all interceptors.

        Raises BusError when one of them goes on with a request of another kind or key.
        """
        if not self._hooks:
            return await deliver(request)
        return await _step(self._hooks, deliver, request, request)


async def _step(
    hooks: tuple[Interceptor, ...], deliver: Proceed, asked: Request[Any], request: Request[Any]
) -> object:
    if route(request) != route(asked):
        raise BusError(
            f"an interceptor put {route_name(route(request))} in the place of {route_name(route(asked))}; "
            "it must keep the kind of the request and its key"
        )
    if not hooks:
        return await deliver(request)
    return await hooks[0](request, partial(_step, hooks[1:], deliver, asked))
