"""Requests, events and a server of them, to try a bus with."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio

from transfer_prompting.runtime.bus import Bus, Event, Request


class Echoed(Event, frozen=True):
    text: str


class Noted(Event, frozen=True):
    number: int


class Echo(Request[Echoed], frozen=True):
    text: str
    key: str = ""

    @property
    def route_key(self) -> str:
        return self.key


class Relay(Request[Echoed], frozen=True):
    text: str


class BoomError(Exception):
    pass


Handler = Callable[[Echo], Awaitable[Echoed]]


async def echo(request: Echo) -> Echoed:
    return Echoed(request.text)


@asynccontextmanager
async def serving(
    bus: Bus, handler: Handler = echo, *, key: str = "", workers: int = 1
) -> AsyncGenerator[anyio.CancelScope]:
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await tasks.start(partial(bus.serve, Echo, handler, key=key, workers=workers))
            yield tasks.cancel_scope
            tasks.cancel_scope.cancel()


async def first(observer: object, count: int) -> AsyncGenerator[Event]:
    assert hasattr(observer, "__aiter__")
    with anyio.fail_after(5):
        async for event in observer:  # pyright: ignore[reportGeneralTypeIssues]
            yield event
            count -= 1
            if count == 0:
                return
