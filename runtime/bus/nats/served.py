"""One route as this bus serves it: requests come in, are worked on, and are answered once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup

from ...concurrency import unwrapped
from ...errors import BusError
from ..fault import fault_of
from ..protocol import Header, Request, headed
from .answers import Answers
from .wire import (
    About,
    Asked,
    Claimed,
    Closed,
    Drop,
    Ended,
    Raised,
    Reply,
    Value,
    bus_of,
    decode_asked,
    encode,
)

_DROPPED = 256
"""Asks dropped before they arrived that are remembered."""


class Work:
    """A request in hand; `begun` when a task has it."""

    __slots__ = ("ask", "begun", "data", "scope")

    def __init__(self, ask: str, data: bytes) -> None:
        self.ask = ask
        self.data = data
        self.begun = False
        self.scope = anyio.CancelScope()


class Served:
    """A handler and what it has in hand. At most `workers` requests are worked on at once, the others wait.

    A request that arrives twice is worked on once: the second time it finds the first in hand, or its
    answer. Its tasks are started in the group that `asked` is given; whoever cancels that calls `close`
    afterwards.
    """

    def __init__(
        self,
        kind: type[Request[Any]],
        handler: Callable[[Any], Awaitable[object]],
        *,
        bus: str,
        workers: int,
        send: Callable[[str, bytes], Awaitable[None]],
        store: Callable[[bytes], Awaitable[Value]],
        fetch: Callable[[Asked], Awaitable[bytes | msgspec.Raw]],
    ) -> None:
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._handler = handler
        self._bus = bus
        self._free = workers
        self._send = send
        self._store = store
        self._fetch = fetch
        self._waiting: deque[Work] = deque()
        # Tasks that rest between two requests: starting one anew for each would cost more than the rest.
        self._resting: deque[asyncio.Future[Work]] = deque()
        self._dropped: deque[str] = deque(maxlen=_DROPPED)
        self._answers = Answers()
        self._idle = anyio.Event()
        self.in_hand: dict[str, Work] = {}
        self.closing = False

    async def asked(self, tasks: TaskGroup, ask: str, data: bytes) -> None:
        """A request has arrived."""
        if ask in self.in_hand:
            return
        answer = self._answers.get(ask)
        if answer is not None:
            await self._send(ask, answer)
        elif self.closing:
            await self._reply(ask, Closed(begun=False))
        elif ask in self._dropped:
            await self._reply(ask, Ended())
        else:
            self.in_hand[ask] = work = Work(ask, data)
            self._take_up(tasks, work)

    async def about(self, message: About) -> None:
        """Somebody speaks about asks that we may have."""
        if isinstance(message, Drop):
            await self._drop(message.ask)
            return
        for ask in message.asks:
            answer = self._answers.get(ask)
            if ask in self.in_hand:
                await self._reply(ask, Claimed(self._bus))
            elif answer is not None:
                await self._send(ask, answer)

    async def abandon(self, bus: str) -> None:
        """A bus is gone: nobody waits for what it asked."""
        for ask in [ask for ask in self.in_hand if bus_of(ask) == bus]:
            await self._drop(ask)

    async def drained(self) -> None:
        """Give back what has not begun, and return when all else is answered."""
        self.closing = True
        while self._waiting:
            work = self._waiting.popleft()
            del self.in_hand[work.ask]
            await self._reply(work.ask, Closed(begun=False))
        while self.in_hand:
            self._idle = anyio.Event()
            await self._idle.wait()

    async def close(self) -> None:
        """Tell the askers of what is still in hand, its handlers having ended, that it stays unanswered."""
        self.closing = True
        for ask, work in list(self.in_hand.items()):
            await self._reply(ask, Closed(work.begun))
        self.in_hand.clear()

    def _take_up(self, tasks: TaskGroup, work: Work) -> None:
        while self._resting:
            called = self._resting.popleft()
            if not called.done():
                work.begun = True
                called.set_result(work)
                return
        if self._free:
            self._free -= 1
            work.begun = True
            tasks.start_soon(self._work, work)
        else:
            self._waiting.append(work)

    async def _drop(self, ask: str) -> None:
        work = self.in_hand.get(ask)
        if work is None:
            self._dropped.append(ask)
        elif work.begun:
            work.scope.cancel()
        else:
            self._waiting.remove(work)
            del self.in_hand[ask]
            await self._reply(ask, Ended())

    async def _work(self, work: Work) -> None:
        while True:
            await self._do(work)
            if self._waiting:
                work = self._waiting.popleft()
                work.begun = True
            else:
                called = asyncio.get_running_loop().create_future()
                self._resting.append(called)
                work = await called

    async def _do(self, work: Work) -> None:
        reply: Reply = Ended()
        with work.scope:
            reply = await self._answered(work.data)
        del self.in_hand[work.ask]
        answer = encode(reply)
        if not isinstance(reply, Ended):
            self._answers.keep(work.ask, answer)
        if not self.in_hand:
            self._idle.set()
        await self._send(work.ask, answer)

    async def _answered(self, data: bytes) -> Reply:
        try:
            header, request = await self._request(data)
            with headed(header):
                answer = await self._handler(request)
            return await self._store(encode(answer))
        except Exception as error:  # noqa: BLE001 - every error of a handler goes to its asker
            return Raised(fault_of(unwrapped(error)))

    async def _request(self, data: bytes) -> tuple[Header, Request[Any]]:
        try:
            asked = decode_asked(data)
            return _here(asked.header), self._decode(await self._fetch(asked))
        except msgspec.DecodeError as error:
            raise BusError(f"a request arrived that is not what it says it is: {error}") from error

    async def _reply(self, ask: str, reply: Reply) -> None:
        await self._send(ask, encode(reply))


def _here(header: Header) -> Header:
    """The header with its deadline on this machine's clock."""
    if header.deadline is None:
        return header
    return msgspec.structs.replace(header, deadline=anyio.current_time() + header.deadline)
