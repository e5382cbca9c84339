"""The bus: what it promises, its messages, and the header that travels with a request."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, cast, get_args

import anyio
import msgspec
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from ..errors import BusError, CycleRefused

R = TypeVar("R")


class Request(msgspec.Struct, Generic[R], frozen=True, tag=True, forbid_unknown_fields=True):
    """A pure value that asks for one `R`. Its type is its route, with `route_key` beside it."""

    @property
    def route_key(self) -> str:
        """Key among servers of one kind (the model a target hosts); '' where there is one server."""
        return ""


class Event(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """A pure value that states what has happened, named in the past tense."""


Route = tuple[str, str]
"""The name of a request's type, and its `route_key`."""


class Header(msgspec.Struct, frozen=True):
    """Metadata sent with a request: its id, the routes that wait for it (outermost first), its deadline.

    `deadline` is on the bus's clock (`anyio.current_time()`), None where nobody set one. `run` names the run
    it is a part of, '' outside one. `trace` is the W3C trace context (`traceparent`, `tracestate`) of who
    asked, empty where nothing is traced.
    """

    id: int
    chain: tuple[Route, ...] = ()
    deadline: float | None = None
    run: str = ""
    trace: dict[str, str] = {}


def route(request: Request[R]) -> Route:
    """The destination of a request."""
    return (type(request).__name__, request.route_key)


def route_name(to: Route) -> str:
    """`Answer for small`."""
    kind, key = to
    return f"{kind} for {key}" if key else kind


def reply_type(kind: type[Request[R]]) -> type[R]:
    """The type a kind of request is answered with."""
    for base in cast("tuple[object, ...]", getattr(kind, "__orig_bases__", ())):
        arguments = get_args(base)
        if arguments:
            return cast("type[R]", arguments[0])
    raise TypeError(f"{kind.__name__} does not say what answers it: derive it from Request[Reply]")


_header: ContextVar[Header | None] = ContextVar("transfer_prompting_header", default=None)


def current_header() -> Header | None:
    """The header of the request being made or handled here; in the callback of an observer, the one under
    which the event was published. None outside a run."""
    return _header.get()


@contextmanager
def headed(header: Header | None) -> Generator[None]:
    """Attribute everything inside the context to the request (or the run) of this header."""
    token = _header.set(header)
    try:
        yield
    finally:
        _header.reset(token)


def header_of_ask(id: int, to: Route, timeout: float | None) -> Header:
    """The header of an ask that is made here: what waits for it is known from the request handled here.

    `timeout` is in seconds. Raises CycleRefused.
    """
    above = current_header() or Header(0)
    if to in above.chain:
        path = " -> ".join(route_name(step) for step in (*above.chain, to))
        raise CycleRefused(f"asks must not come back to a route that waits for them: {path}")
    ends = [] if timeout is None else [anyio.current_time() + timeout]
    if above.deadline is not None:
        ends.append(above.deadline)
    return Header(id, (*above.chain, to), min(ends, default=None), above.run, above.trace)


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

    def around(self, request: Request[Any], deliver: Proceed) -> Awaitable[object]:
        """The reply to a request, through all interceptors.

        Raises BusError when one of them goes on with a request of another kind or key.
        """
        if not self._hooks:
            return deliver(request)
        return _step(self._hooks, deliver, request, request)


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


Q = TypeVar("Q", bound=Request[Any])
E = TypeVar("E", bound=Event)


class Observer(Protocol):
    """A bounded view of the events, in the order of publication; iterate over it."""

    @property
    def dropped(self) -> int:
        """Events this observer lost because it lagged by more than its buffer."""
        ...

    def __aiter__(self) -> AsyncIterator[Event]: ...

    async def each(self, callback: Callable[[Event], object]) -> None:
        """Call back for every event, under the header it was published under; an awaitable result is
        awaited."""
        ...

    def close(self) -> None:
        """End the iteration once what is buffered has been read."""
        ...


class Bus(Protocol):
    """Carries requests to their one server and events to observers.

    - A request's type is its route, with its `route_key` beside it. No server: `NoServer`.
    - Nothing is buffered: `ask` waits for a free worker, first come first served.
    - Every error of a handler reaches its one asker with its type and cause, a group of one unwrapped;
      the server lives on.
    - A server that stops fails its askers with `ServerClosed`, after their handlers have ended.
    - An asker that is cancelled, or whose `timeout` passes (`AskTimeout`), cancels the work done for it.
    - Asks form a DAG: one that would come back to a route of its own chain raises `CycleRefused`.
    - Observers may lag and lose events (counted); they never slow a publisher.
    - Interceptors stand around every ask made here, the first one added outermost.
    """

    async def ask(self, request: Request[R], *, timeout: float | None = None) -> R:
        """The answer to `request`. `timeout` is in seconds and includes the wait for a free worker."""
        ...

    async def serve(
        self,
        kind: type[Q],
        handler: Callable[[Q], Awaitable[object]],
        *,
        key: str = "",
        workers: int = 1,
        task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
    ) -> None:
        """Answer requests of one kind (and key), at most `workers` at once, until cancelled.

        Start it with `await task_group.start(...)`: requests are accepted from then on. BusError when the
        route is served already.
        """
        ...

    async def publish(self, event: Event) -> None:
        """Notify every observer; never waits for one."""
        ...

    def events(self, *kinds: type[Event], buffer: int = 1024) -> AbstractAsyncContextManager[Observer]:
        """Observe events of these kinds (all, when none is named) from now on."""
        ...

    def subscribe(self, kind: type[E], callback: Callable[[E], object], *, buffer: int = 1024) -> None:
        """Call back for every event of one kind; an awaitable result is awaited.

        A callback that raises is logged with its exception (logger `transfer_prompting`) and not called
        again; it never ends a run.
        """
        ...

    def intercept(self, hook: Interceptor) -> None:
        """Let `hook` see, change or refuse every request asked here from now on, and its reply."""
        ...
