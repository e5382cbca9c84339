"""How requests of one route come in: two subscriptions, and the scope of the work."""

from types import TracebackType
from typing import Self

import anyio
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ..protocol import Route
from .served import Served
from .wire import QUEUE, Subjects, decode_about

_SECONDS = 5.0


class Intake:
    """Requests come in while it is `open`. Leaving it cancels what is in hand; then its askers are told."""

    def __init__(self, client: Client, subjects: Subjects, to: Route, served: Served) -> None:
        self.served = served
        self._client = client
        self._ask, self._about = subjects.ask(to), subjects.about(to)
        self._asks: Subscription | None = None
        self._talk: Subscription | None = None
        self._tasks = anyio.create_task_group()

    @property
    def open(self) -> bool:
        return self._asks is not None

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._talk = await self._client.subscribe(self._about, cb=self._on_talk)
        self._asks = await self._client.subscribe(self._ask, queue=QUEUE, cb=self._on_ask)
        await self._client.flush()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        with anyio.CancelScope(shield=True):
            await self.shut()
        try:
            self._tasks.cancel_scope.cancel()
            return await self._tasks.__aexit__(kind, error, trace)
        finally:
            with anyio.CancelScope(shield=True):
                await self.served.close()
                await self._hush()

    async def shut(self) -> None:
        """Be sent no more requests; return when those under way to us have arrived."""
        self.served.closing = True
        asks, self._asks = self._asks, None
        if asks is not None and self._client.is_connected:
            with anyio.move_on_after(_SECONDS):
                await asks.drain()

    async def _hush(self) -> None:
        if self._talk is not None and not self._client.is_closed:
            await self._talk.unsubscribe()

    async def _on_ask(self, message: Msg) -> None:
        await self.served.asked(self._tasks, message.reply, message.data)

    async def _on_talk(self, message: Msg) -> None:
        await self.served.about(decode_about(message.data))
