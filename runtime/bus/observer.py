"""A bounded buffer between the publisher and one observer."""

from collections import deque
from collections.abc import AsyncIterator

import anyio

from .message import Event


class BufferedObserver:
    """Keeps the newest `buffer` events of some kinds; the oldest are dropped and counted."""

    def __init__(self, kinds: tuple[type[Event], ...], buffer: int) -> None:
        self._kinds = kinds
        self._events: deque[Event] = deque(maxlen=buffer)
        self._news = anyio.Event()
        self._closed = False
        self.dropped = 0

    def put(self, event: Event) -> None:
        if self._kinds and not isinstance(event, self._kinds):
            return
        if len(self._events) == self._events.maxlen:
            self.dropped += 1
        self._events.append(event)
        self._news.set()

    def close(self) -> None:
        """End the iteration once what is buffered has been read."""
        self._closed = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self._closed:
                return
            self._news = anyio.Event()
            await self._news.wait()
