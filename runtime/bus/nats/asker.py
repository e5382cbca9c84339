"""How one bus asks: what it asked stays here until it is answered, and is asked again where it was lost."""

from typing import Any

import anyio
import msgspec
from nats.aio.client import Client
from nats.errors import Error

from ...errors import BusError, NoServer, PoisonRequest, ServerClosed
from ..fault import error_of
from ..protocol import Request, Route, current_header, reply_type, route, route_name
from .asks import Ask, Asks, Lost, NoResponder
from .presence import Presence
from .stores import Stores
from .wire import Asked, Closed, Drop, Raised, Subjects, Value, encode, token

MOST_LOSSES = 3
"""Servers lost in a row after which a request is poison."""

DROP_SECONDS = 5.0
"""How long an asker that goes away waits for the work to end."""


class Asker:
    """Asks over a connection; see `NatsBus` for what it promises."""

    def __init__(
        self,
        client: Client,
        subjects: Subjects,
        *,
        asks: Asks,
        presence: Presence,
        stores: Stores,
        patience: float,
    ) -> None:
        self._client = client
        self._subjects = subjects
        self._asks = asks
        self._presence = presence
        self._stores = stores
        self._patience = patience

    async def ask(self, request: Request[Any]) -> object:
        """The answer to a request, under the header that is current here."""
        ask = self._asks.open(route(request))
        asked = _asked(encode(request))
        if self._stores.too_large(asked.body):
            asked = await self._stores.kept(asked, ask.name)
        try:
            return await self._outcome(ask, encode(asked), type(request))
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._drop(ask)
            raise
        finally:
            self._asks.close(ask)
            if asked.stored:
                with anyio.move_on_after(DROP_SECONDS, shield=True):
                    await self._stores.delete(asked.stored)

    async def _outcome(self, ask: Ask, data: bytes, kind: type[Request[Any]]) -> object:
        losses, served = 0, False
        while True:
            ask.claim(None)
            await self._send(ask, data)
            outcome = await ask.outcome()
            match outcome:
                case Value():
                    return await self._answer(outcome, kind)
                case Raised():
                    error = error_of(outcome.fault)
                    raise error from error.__cause__
                case NoResponder():
                    await self._server_appears(ask.route, served=served)
                case Closed():
                    served = True
                    _may_repeat(kind, ask.route, begun=outcome.begun)
                case Lost():
                    served, losses = True, losses + 1
                    _may_repeat(kind, ask.route, begun=True)
                    if losses == MOST_LOSSES:
                        raise await self._poison(ask.route, data)
                case _:
                    raise BusError(f"{route_name(ask.route)} was dropped by its server unasked")

    async def _send(self, ask: Ask, data: bytes) -> None:
        try:
            await self._client.publish(self._subjects.ask(ask.route), data, reply=ask.name)
        except Error as error:  # too much is waiting to be sent already, or we were turned away
            raise BusError(f"{route_name(ask.route)} cannot be sent: {error}") from error

    async def _answer(self, value: Value, kind: type[Request[Any]]) -> object:
        body: bytes | msgspec.Raw = value.body
        if value.stored:
            body = await self._stores.get(value.stored)
            await self._stores.delete(value.stored)
        return msgspec.msgpack.decode(body, type=reply_type(kind))

    async def _server_appears(self, to: Route, *, served: bool) -> None:
        """Return when a server of the route is heard of from now on; raises when that takes too long."""
        with anyio.move_on_after(self._patience):
            while True:
                await self._presence.change()
                if self._presence.serves(to):
                    return
        if served:
            raise _stopped(to)
        waited = f" (waited {self._patience:g} s for a host)" if self._patience else ""
        raise NoServer(f"nobody serves {route_name(to)}{waited}")

    async def _poison(self, to: Route, data: bytes) -> PoisonRequest:
        try:
            where = await self._stores.set_aside(f"{token(to[0])}.{token(to[1])}", data)
        except Error as error:
            where = f"nowhere, for it cannot be stored: {error}"
        return PoisonRequest(
            f"{route_name(to)}: {MOST_LOSSES} servers in a row were lost while they worked on one request; "
            f"it is set aside ({where})"
        )

    async def _drop(self, ask: Ask) -> None:
        """Whoever works on the ask is to stop; return when it has."""
        if self._client.is_connected:
            with anyio.move_on_after(DROP_SECONDS):
                await self._client.publish(self._subjects.about(ask.route), encode(Drop(ask.name)))
                await ask.outcome()


def _asked(body: bytes) -> Asked:
    header = current_header()
    assert header is not None
    if header.deadline is not None:
        header = msgspec.structs.replace(header, deadline=header.deadline - anyio.current_time())
    return Asked(header, msgspec.Raw(body))


def _may_repeat(kind: type[Request[Any]], to: Route, *, begun: bool) -> None:
    if begun and not kind.repeatable:
        raise _stopped(to)


def _stopped(to: Route) -> ServerClosed:
    return ServerClosed(f"the server of {route_name(to)} stopped before it answered")
