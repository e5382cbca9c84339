"""A bounded buffer between the publisher and one observer."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from inspect import isawaitable
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import anyio
import msgspec
from anyio.abc import TaskGroup, TaskStatus
from anyio.lowlevel import checkpoint_if_cancelled

from ..concurrency import refuse_own_cancellation, unwrapped
from ..errors import AskTimeout, BusError, NoServer, ServerClosed
from .protocol import (
    Event,
    Header,
    Interception,
    Interceptor,
    Request,
    Route,
    current_header,
    headed,
    header_of_ask,
    reply_type,
    route,
    route_name,
)


class BufferedObserver:
    """Keeps the newest `buffer` events of some kinds; the oldest are dropped and counted."""

    def __init__(self, kinds: tuple[type[Event], ...], buffer: int) -> None:
        self._kinds = kinds
        self._events: deque[tuple[Event, Header | None]] = deque(maxlen=buffer)
        self._news = anyio.Event()
        self._closed = False
        self.dropped = 0

    def put(self, event: Event) -> None:
        """Take in an event, published under the header that is current here."""
        if self._kinds and not isinstance(event, self._kinds):
            return
        if len(self._events) == self._events.maxlen:
            self.dropped += 1
        self._events.append((event, current_header()))
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for event, _ in self._pairs():
            yield event

    async def each(self, callback: Callable[[Event], object]) -> None:
        async for event, header in self._pairs():
            with headed(header):
                result = callback(event)
                if isawaitable(result):
                    await result

    async def _pairs(self) -> AsyncIterator[tuple[Event, Header | None]]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self._closed:
                return
            self._news = anyio.Event()
            await self._news.wait()


R = TypeVar("R")
Q = TypeVar("Q", bound=Request[Any])
E = TypeVar("E", bound=Event)
V = TypeVar("V")

_log = logging.getLogger("transfer_prompting")

DRAIN_SECONDS = 5.0
"""Seconds subscribers may take to read buffered events when the bus closes."""


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
        self._interception = Interception()
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
        header = header_of_ask(next(self._ids), route(request), timeout)
        if timeout is None:
            return await self._asked(header, request)
        with anyio.move_on_after(timeout):
            return await self._asked(header, request)
        await checkpoint_if_cancelled()
        raise AskTimeout(f"{route_name(route(request))} was not answered within {timeout:g} s")

    async def _asked(self, header: Header, request: Request[R]) -> R:
        with headed(header):
            try:
                return cast("R", await self._interception.around(request, self._deliver))
            except BaseExceptionGroup as group:
                raise unwrapped(group) from None
            except asyncio.CancelledError as error:
                await refuse_own_cancellation(error, f"the handler of {route_name(route(request))}")
                raise

    async def _deliver(self, request: Request[Any]) -> object:
        to = route(request)
        server = self._servers.get(to)
        if server is None:
            # When everything is being cancelled, servers may end first: that is not the asker's error.
            await checkpoint_if_cancelled()
            raise NoServer(f"nobody serves {route_name(to)}")
        with anyio.CancelScope() as scope:
            server.unanswered.add(scope)
            try:
                async with server.workers:
                    reply = await server.handler(self._carried(request, type(request)))
                return self._carried(reply, reply_type(type(request)))
            except BaseExceptionGroup as group:
                raise unwrapped(group) from None
            finally:
                server.left(scope)
        await checkpoint_if_cancelled()
        raise ServerClosed(f"the server of {route_name(to)} stopped before it answered")

    async def serve(
        self,
        kind: type[Q],
        handler: Callable[[Q], Awaitable[object]],
        *,
        key: str = "",
        workers: int = 1,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        to = (kind.__name__, key)
        if to in self._servers:
            raise BusError(f"{route_name(to)} is served already")
        server = self._servers[to] = _Server(handler, workers)
        try:
            task_status.started()
            await anyio.sleep_forever()
        finally:
            del self._servers[to]
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

    def intercept(self, hook: Interceptor) -> None:
        self._interception.add(hook)

    async def _pump(self, observer: BufferedObserver, callback: Callable[[Event], object]) -> None:
        try:
            await observer.each(callback)
        except Exception:  # noqa: BLE001 - of any kind, and none of them is the publisher's
            _log.exception("a subscriber raised an error and is not called again: %r", callback)
        finally:
            self._observers.discard(observer)

    def _carried(self, value: V, kind: type[V]) -> V:
        """The value that arrives when `value` of this kind is sent: here, the same frozen object."""
        del kind
        return value


class EncodingBus(InProcessBus):
    """An `InProcessBus` that delivers only values which could have crossed a network."""

    def _carried(self, value: V, kind: type[V]) -> V:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind)
