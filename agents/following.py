"""Following a run: every event of it, from when one began to listen until it has ended."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar, cast

import anyio

from ..runtime.bus import Bus, Event
from ..runtime.bus.observer import BufferedObserver
from .messages import RunEnded

E = TypeVar("E", bound=Event)

BUFFER = 8192
"""Events that all who follow may together be behind."""


class Following:
    """Hands every event on to callbacks, and to streams that end with the run.

    `over` is set when all have been told that the run has ended.
    """

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Event], object]] = []
        self._streams: list[BufferedObserver] = []
        self.over = anyio.Event()

    def call(self, callback: Callable[[Event], object]) -> None:
        """Call back for every event; nothing is awaited."""
        self._callbacks.append(callback)

    def stream(self, kinds: tuple[type[E], ...], buffer: int) -> AsyncIterator[E]:
        """The events of these kinds from now on, the newest `buffer` of those not yet read."""
        stream = BufferedObserver(kinds, buffer)
        if self.over.is_set():
            stream.close()
        else:
            self._streams.append(stream)
        return cast("AsyncIterator[E]", aiter(stream))

    @asynccontextmanager
    async def of(self, bus: Bus) -> AsyncGenerator[None]:
        """Follow what is published on a bus inside this scope, to the last event of a run that fails or is
        cancelled."""

        async def follow() -> None:
            with anyio.CancelScope(shield=True):
                await observer.each(self._tell)

        try:
            async with bus.events(buffer=BUFFER) as observer, anyio.create_task_group() as tasks:
                tasks.start_soon(follow)
                try:
                    yield
                finally:
                    observer.close()
        finally:
            self._end()

    def _tell(self, event: Event) -> None:
        for callback in self._callbacks:
            callback(event)
        for stream in self._streams:
            stream.put(event)
        if isinstance(event, RunEnded):
            self._end()

    def _end(self) -> None:
        self.over.set()
        for stream in self._streams:
            stream.close()
