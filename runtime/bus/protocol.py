"""What a bus promises."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from .interception import Interceptor
from .message import Event, Request

R = TypeVar("R")
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
    """Carries requests to their one server and events to whoever observes.

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
        """Tell every observer; never waits for one."""
        ...

    def events(self, *kinds: type[Event], buffer: int = 1024) -> AbstractAsyncContextManager[Observer]:
        """Observe events of these kinds (all, when none is named) from now on."""
        ...

    def subscribe(self, kind: type[E], callback: Callable[[E], object], *, buffer: int = 1024) -> None:
        """Call back for every event of one kind; an awaitable result is awaited.

        A callback that raises ends the bus's scope with its exception.
        """
        ...

    def intercept(self, hook: Interceptor) -> None:
        """Let `hook` see, change or refuse every request asked here from now on, and its reply."""
        ...
