"""The bus inside one process: a handler runs in its asker's task, under the server's capacity."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from inspect import isawaitable
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import anyio
from anyio.abc import TaskGroup, TaskStatus
from anyio.lowlevel import checkpoint_if_cancelled

from ..concurrency import unwrapped
from ..errors import AskTimeout, BusError, CycleRefused, NoServer, ServerClosed
from .message import Event, Header, Request, reply_type
from .observer import BufferedObserver

R = TypeVar("R")
Q = TypeVar("Q", bound=Request[Any])
E = TypeVar("E", bound=Event)
V = TypeVar("V")
Route = tuple[str, str]

DRAIN_SECONDS = 5.0
"""How long subscribers may take to read what is buffered when the bus closes."""

_header: ContextVar[Header | None] = ContextVar("transfer_prompting_header", default=None)


def current_header() -> Header | None:
    """The header of the request being handled here; None outside a handler."""
    return _header.get()


class _Server:
    """One served route: its handler, its free workers, and the table of its unanswered asks."""

    def __init__(self, handler: Callable[[Any], Awaitable[object]], workers: int) -> None:
        self.handler = handler
        self.workers = anyio.Semaphore(workers, fast_acquire=True)
        self.unanswered: set[anyio.CancelScope] = set()
        self.closed = False
        self._empty = anyio.Event()

    def left(self, scope: anyio.CancelScope) -> None:
        self.unanswered.discard(scope)
        if not self.unanswered:
            self._empty.set()

    async def close(self) -> None:
        """Cancel every unanswered ask and wait until their handlers have ended."""
        self.closed = True
        for scope in self.unanswered:
            scope.cancel()
        if self.unanswered:
            self._empty = anyio.Event()
            await self._empty.wait()


class InProcessBus:
    """A `Bus` for agents in one event loop. Enter it before use; leaving it ends its subscriptions.

    A handler runs in the task of its asker. So cancellation, deadlines and errors need no transport, and
    an ask costs no task switch; what isolates agents is that messages are frozen values.
    """

    def __init__(self) -> None:
        self._servers: dict[Route, _Server] = {}
        self._observers: set[BufferedObserver] = set()
        self._ids = count(1)
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._tasks is not None
        for observer in self._observers:
            observer.close()
        self._tasks.cancel_scope.deadline = anyio.current_time() + DRAIN_SECONDS
        try:
            return await self._tasks.__aexit__(kind, error, trace)
        finally:
            self._tasks = None

    async def ask(self, request: Request[R], *, timeout: float | None = None) -> R:
        route = (type(request).__name__, request.route_key)
        server = self._servers.get(route)
        if server is None:
            # When everything is being cancelled, servers may end first: that is not the asker's error.
            await checkpoint_if_cancelled()
            raise NoServer(f"nobody serves {_name(route)}")
        header = self._head(route, timeout)
        scope = anyio.CancelScope() if timeout is None else anyio.move_on_after(timeout)
        server.unanswered.add(scope)
        try:
            with scope:
                async with server.workers:
                    return await self._handle(server, header, request)
        except BaseExceptionGroup as group:
            raise unwrapped(group) from None
        finally:
            server.left(scope)
        await checkpoint_if_cancelled()
        if server.closed:
            raise ServerClosed(f"the server of {_name(route)} stopped before it answered")
        raise AskTimeout(f"{_name(route)} was not answered within {timeout:g} s")

    async def serve(
        self,
        kind: type[Q],
        handler: Callable[[Q], Awaitable[object]],
        *,
        key: str = "",
        workers: int = 1,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        route = (kind.__name__, key)
        if route in self._servers:
            raise BusError(f"{_name(route)} is served already")
        server = self._servers[route] = _Server(handler, workers)
        try:
            task_status.started()
            await anyio.sleep_forever()
        finally:
            del self._servers[route]
            with anyio.CancelScope(shield=True):
                await server.close()

    async def publish(self, event: Event) -> None:
        carried = self._carried(event, type(event))
        for observer in self._observers:
            observer.put(carried)

    @asynccontextmanager
    async def events(self, *kinds: type[Event], buffer: int = 1024) -> AsyncGenerator[BufferedObserver]:
        observer = BufferedObserver(kinds, buffer)
        self._observers.add(observer)
        try:
            yield observer
        finally:
            self._observers.discard(observer)

    def subscribe(self, kind: type[E], callback: Callable[[E], object], *, buffer: int = 1024) -> None:
        if self._tasks is None:
            raise BusError("enter the bus (async with) before subscribing")
        observer = BufferedObserver((kind,), buffer)
        self._observers.add(observer)
        self._tasks.start_soon(self._pump, observer, cast("Callable[[Event], object]", callback))

    async def _pump(self, observer: BufferedObserver, callback: Callable[[Event], object]) -> None:
        try:
            async for event in observer:
                result = callback(event)
                if isawaitable(result):
                    await result
        finally:
            self._observers.discard(observer)

    def _head(self, route: Route, timeout: float | None) -> Header:
        above = _header.get()
        chain = above.chain if above else ()
        if route in chain:
            path = " -> ".join(_name(step) for step in (*chain, route))
            raise CycleRefused(f"asks must not come back to a route that waits for them: {path}")
        ends = [] if timeout is None else [anyio.current_time() + timeout]
        if above and above.deadline is not None:
            ends.append(above.deadline)
        return Header(next(self._ids), (*chain, route), min(ends, default=None))

    async def _handle(self, server: _Server, header: Header, request: Request[R]) -> R:
        token = _header.set(header)
        try:
            reply = await server.handler(self._carried(request, type(request)))
        finally:
            _header.reset(token)
        return self._carried(cast("R", reply), reply_type(type(request)))

    def _carried(self, value: V, kind: type[V]) -> V:
        """What arrives when `value` is sent: here, the value itself, for it is frozen."""
        del kind
        return value


def _name(route: Route) -> str:
    kind, key = route
    return f"{kind} for {key}" if key else kind
