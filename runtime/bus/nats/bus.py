"""The bus over a nats-server: servers and askers may be in any process of a session."""

import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from secrets import token_hex
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
from anyio.abc import TaskStatus
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from ...concurrency import unwrapped
from ...errors import BusError
from ..in_process import InProcessBus
from ..protocol import Event, Request, Route, headed, route_name
from .asker import Asker
from .asks import Asks, NoResponder
from .events import event_of, told_of
from .intake import Intake
from .meeting import Hello, Welcome, lead
from .presence import Presence
from .served import Served
from .server import NatsServer, connected
from .stores import Stores
from .wire import Beat, Subjects, Whereabouts, decode_beat, decode_reply, decode_told, encode, token

Q = TypeVar("Q", bound=Request[Any])

BEAT = 1.0
"""Seconds between two signs of life."""


class NatsBus(InProcessBus):
    """A `Bus` among all processes that enter one session over one nats-server (with JetStream).

    Several buses may serve one route: each request goes to one of them (NATS queue group). What was asked
    stays with its asker until it is answered: when the bus that has it in hand closes, is gone or is silent
    for twenty beats, or when it never arrived, it is asked again, of another server where there is one. A
    request that cost three servers in a row is poison: it is set aside in the stream `TPROMPT_POISON`, and
    its asker gets PoisonRequest. Requests that are not `repeatable` raise ServerClosed at the first loss.

    An ask for a route that nobody serves waits `patience` seconds for somebody who does; then it raises
    NoServer, or ServerClosed where there was a server before. Events reach observers on every bus in the
    order in which each bus published them. A lost connection comes back by itself, and what was under way
    goes on; a server that turns us away for good ends the scope with BusError. `beat` is in seconds.

    Raises BusError on entering when the nats-server cannot be reached or has no JetStream.
    """

    def __init__(
        self, server: NatsServer, *, session: str = "", patience: float = 0.0, beat: float = BEAT
    ) -> None:
        super().__init__()
        self.id = token(f"{socket.gethostname()}-{os.getpid()}-{token_hex(3)}")
        self.session = session or token_hex(8)
        self.presence = Presence(beat)
        self._server = server
        self._patience = patience
        self._beat = beat
        self._intakes: dict[Route, Intake] = {}
        self._over = anyio.Event()
        self._leaving = False
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                connected(self._server, on_return=self._returned, on_close=self._turned_away)
            )
            await self._attach(client)
            await super().__aenter__()
            stack.push_async_exit(super().__aexit__)
            assert self._tasks is not None
            self._tasks.start_soon(self._live)
            stack.push_async_callback(self._leave)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    async def _attach(self, client: Client) -> None:
        self._client = client
        self._stores = Stores(client)
        await self._stores.check(self._server.url)
        self._subjects = Subjects(self.session)
        self._inbox = self._subjects.inbox(self.id)
        self._asks = Asks(self._inbox, self._beat)
        self._asker = Asker(
            client,
            self._subjects,
            asks=self._asks,
            presence=self.presence,
            stores=self._stores,
            patience=self._patience,
        )
        await client.subscribe(f"{self._inbox}*", cb=self._on_reply)
        await client.subscribe(self._subjects.beat, cb=self._on_beat)
        await client.subscribe(self._subjects.bus(self.id), cb=_ignore)
        await client.subscribe(self._subjects.every_event, cb=self._on_event)
        await client.flush()

    async def _deliver(self, request: Request[Any]) -> object:
        return await self._asker.ask(request)

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
        if to in self._intakes:
            raise BusError(f"{route_name(to)} is served already")
        served = Served(
            kind,
            handler,
            bus=self.id,
            workers=workers,
            send=self._publish,
            store=partial(self._stores.value, owner=f"{self.session}.{self.id}"),
            fetch=self._stores.body,
        )
        intake = self._intakes[to] = Intake(self._client, self._subjects, to, served)
        try:
            async with intake:
                await self._say_beat()
                task_status.started()
                await anyio.sleep_forever()
        except BaseExceptionGroup as group:
            raise unwrapped(group) from None
        finally:
            del self._intakes[to]
            with anyio.CancelScope(shield=True):
                await self._say_beat()

    async def drain(self) -> None:
        """Take no more requests, and return when those in hand are answered; what has not begun is given
        back to its askers. Routes close one after the other, the latest first."""
        for intake in reversed(list(self._intakes.values())):
            await intake.shut()
            await intake.served.drained()
            await self._say_beat()

    async def publish(self, event: Event) -> None:
        await super().publish(event)
        told = encode(told_of(event))
        if not self._stores.too_large(told):
            await self._publish(self._subjects.event(self.id), told)

    async def lead(self, run: str, parts: Mapping[str, str]) -> None:
        """Let those enter this session who ask for the run, speak our protocol and hold the same `parts`
        (digests by what they are of); see `found`. Raises InputError when another process leads the run."""
        ours = Hello(self.id, dict(parts))
        await lead(self._client, run, ours, Welcome(self.session, self.id))

    async def hosted(self, route: Route) -> None:
        """Return when somebody serves the route."""
        while not self.presence.serves(route):
            await self.presence.change()

    async def left(self, bus: str) -> None:
        """Return when a bus is not there any more, or does not show up within the patience."""
        with anyio.move_on_after(self._patience):
            while bus not in self.presence:
                await self.presence.change()
        while bus in self.presence:
            await self.presence.change()

    async def _live(self) -> None:
        """Give signs of life, look for those who give none, and ask after what nobody claims."""
        last = anyio.current_time()
        while not self._over.is_set():
            await self._say_beat()
            with anyio.move_on_after(self._beat):
                await self._over.wait()
            now = anyio.current_time()
            if now - last > 3 * self._beat or not self._client.is_connected:
                self._renew()
            else:
                await self._look_around()
            last = now
        if not self._leaving:
            raise BusError(f"{self._server.url}: the nats-server turned us away: {self._client.last_error}")

    async def _look_around(self) -> None:
        late, gone = self.presence.late()
        for bus in late:
            # Answered by the nats-server alone, and only when that bus is not connected to it any more.
            await self._publish(self._subjects.bus(bus), b"", f"{self._inbox}{bus}")
        for bus in gone:
            await self._gone(bus)
        await self._ask_after(self._asks.late())

    async def _ask_after(self, asks: dict[Route, list[str]]) -> None:
        for to, names in asks.items():
            await self._publish(self._subjects.about(to), encode(Whereabouts(tuple(names))))

    def _renew(self) -> None:
        self.presence.renew()
        self._asks.renew()

    async def _say_beat(self) -> None:
        routes = tuple(to for to, intake in self._intakes.items() if intake.open)
        claims = tuple(ask for intake in self._intakes.values() for ask in intake.served.in_hand)
        await self._publish(self._subjects.beat, encode(Beat(self.id, routes, claims, self._leaving)))

    async def _gone(self, bus: str) -> None:
        self.presence.gone(bus)
        self._asks.gone(bus)
        for intake in self._intakes.values():
            await intake.served.abandon(bus)

    async def _on_beat(self, message: Msg) -> None:
        beat = decode_beat(message.data)
        if beat.leaving:
            await self._gone(beat.bus)
            return
        if beat.bus not in self.presence:
            await self._say_beat()
        self.presence.heard(beat)
        self._asks.claimed(beat.bus, beat.claims)

    async def _on_reply(self, message: Msg) -> None:
        if message.headers is None:
            self._asks.replied(message.subject, decode_reply(message.data))
            return
        about = message.subject.removeprefix(self._inbox)
        if about.isdigit():
            self._asks.replied(message.subject, NoResponder())
        else:
            await self._gone(about)

    async def _on_event(self, message: Msg) -> None:
        if not self._observers or message.subject == self._subjects.event(self.id):
            return
        found = event_of(decode_told(message.data))
        if found is not None:
            event, header = found
            with headed(header):
                await super().publish(event)

    async def _returned(self) -> None:
        """The connection is there again: what was said in between did not reach us, nor others."""
        self._renew()
        await self._say_beat()
        await self._ask_after(self._asks.every())

    async def _turned_away(self) -> None:
        self._over.set()

    async def _leave(self) -> None:
        self._leaving = True
        self._over.set()
        with anyio.CancelScope(shield=True):
            await self._say_beat()

    async def _publish(self, subject: str, data: bytes, reply: str = "") -> None:
        """Say something that may be lost: whoever misses it asks again."""
        try:
            await self._client.publish(subject, data, reply=reply)
        except Error:
            return


async def _ignore(message: Msg) -> None:
    del message
