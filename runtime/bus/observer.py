"""A bounded buffer between the publisher and one observer."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from inspect import isawaitable

import anyio

from .context import current_header, headed
from .message import Event, Header


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
