"""The live view: the report's page for a run in progress, served on loopback."""

import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from aiohttp import web

from ..bus import Event
from ..concurrency import ungrouped
from ..llm.stack import SpendingNow
from ._server import HEADERS, LOOPBACK, listening
from .page._state import RunState
from .page.build import build_view, view_of
from .page.document import document
from .page.view import View
from .progress import RunProgress

PAUSE = 0.2
"""Least seconds between two states."""

LONGEST_PAUSE = 0.8
"""Most seconds, so that viewers lag by less than one."""

SHARE = 0.02
"""Share of the time that making states may take, as long as the longest pause allows it."""


class State(msgspec.Struct, frozen=True):
    """A state of the page: `number` rises, `body` is its JSON."""

    number: int
    body: bytes


class Feed:
    """Takes in a run's events and hands out states of its page.

    Only the latest state is kept, so a viewer that falls behind skips what it missed. Without a viewer no
    state is made. `folder` is where the run writes; after `finish` the page is that of its files. `now` gives
    what is spent; it is called only after the first event.
    """

    def __init__(self, folder: Path, now: Callable[[], SpendingNow] | None = None) -> None:
        self._folder = folder
        self._run = RunState()
        self._progress = RunProgress(now)
        self._final: tuple[View, tuple[str, ...]] | None = None
        self._events = 0
        self._state = State(-1, b"")
        self._viewers = 0
        self._stir = anyio.Event()
        self._shown = anyio.Event()
        self.closed = False

    def take(self, event: Event) -> None:
        """Take in an event; to be subscribed to a bus."""
        self._run.apply(datetime.now(UTC), event)
        self._progress.apply(event)
        self._events += 1
        self._stir.set()

    async def finish(self) -> None:
        """The run is over: show the page of its folder."""
        self._final = await anyio.to_thread.run_sync(view_of, self._folder)
        self._events += 1
        self._stir.set()

    def close(self) -> None:
        """End the feed; viewers that wait get the last state."""
        self.closed = True
        if self._viewers:
            self._make()
        self._shown.set()

    def document(self) -> str:
        """The page as it is now, complete in itself, with the means to follow this feed."""
        return document(*self._now(), live=not self.closed)

    async def after(self, number: int) -> State:
        """The first state after the one with this number, as soon as there is one or the feed is closed."""
        self._viewers += 1
        try:
            if self._state.number < self._events:
                self._stir.set()
            while self._state.number <= number and not self.closed:
                await self._shown.wait()
        finally:
            self._viewers -= 1
        return self._state

    async def run(self) -> None:
        """Make states while there are new events and viewers, until cancelled."""
        while True:
            await self._stir.wait()
            self._stir = anyio.Event()
            if self._viewers and self._state.number < self._events:
                began = time.perf_counter()
                self._make()
                took = time.perf_counter() - began
                await anyio.sleep(min(max(PAUSE, took / SHARE), LONGEST_PAUSE))

    def _make(self) -> None:
        shown, blocks = self._now()
        body = msgspec.json.encode({"view": shown, "blocks": blocks})
        self._state = State(self._events, body)
        self._shown.set()
        self._shown = anyio.Event()

    def _now(self) -> tuple[View, tuple[str, ...]]:
        if self._final is not None:
            return self._final
        return build_view(self._run, progress=self._progress.snapshot()), ()


QUIET = 15.0
"""Seconds after which a viewer without news is sent a comment, which finds out whether it is still there."""

MOST_VIEWERS = 64

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(feed: Feed, *, port: int = 0) -> AsyncGenerator[str]:
    """Serve the feed as long as the context lasts, and give its URL, which holds a random token.

    Viewers get the page and then its states as server-sent events; leaving ends them with an `end` event.
    Requests under another host name are refused, so that no web page can reach in by rebinding its own name.
    Raises InputError when the port (0: any free one) is taken.
    """
    server = _Server(feed, secrets.token_urlsafe(18))
    async with listening(server.application(), what="the live view", port=port) as bound:
        try:
            async with ungrouped(), anyio.create_task_group() as tasks:
                tasks.start_soon(feed.run)
                yield server.listens(bound)
                tasks.cancel_scope.cancel()
        finally:
            feed.close()


class _Server:
    def __init__(self, feed: Feed, token: str) -> None:
        self._feed = feed
        self._token = token
        self._hosts: frozenset[str] = frozenset()
        self._viewers = 0

    def listens(self, port: int) -> str:
        self._hosts = frozenset(f"{name}:{port}" for name in (LOOPBACK, "localhost"))
        return f"http://{LOOPBACK}:{port}/{self._token}/"

    def application(self) -> web.Application:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guarded(request, handler)

        application = web.Application(middlewares=[guard])
        application.router.add_get("/{token}/", self._page)
        application.router.add_get("/{token}/events", self._events)
        return application

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.host not in self._hosts:
            raise web.HTTPForbidden(text="This server answers under its own address only.\n")
        if not secrets.compare_digest(request.match_info.get("token", "").encode(), self._token.encode()):
            raise web.HTTPNotFound(text="Not found.\n")
        return await handler(request)

    async def _page(self, _request: web.Request) -> web.Response:
        text = self._feed.document()
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self._viewers >= MOST_VIEWERS:
            raise web.HTTPServiceUnavailable(
                text=f"{MOST_VIEWERS} viewers are connected, which is the most.\n"
            )
        self._viewers += 1
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            await self._follow(response)
        except ConnectionError:
            pass  # the viewer went away
        finally:
            self._viewers -= 1
        return response

    async def _follow(self, response: web.StreamResponse) -> None:
        """Send state after state. A slow viewer holds up itself alone, and goes on with the latest."""
        seen = -1
        while True:
            with anyio.move_on_after(QUIET):
                state = await self._feed.after(seen)
                if state.number > seen:
                    seen = state.number
                    await response.write(b"event: view\ndata: " + state.body + b"\n\n")
                if self._feed.closed:
                    await response.write(b"event: end\ndata: \n\n")
                    return
                continue
            await response.write(b": still here\n\n")
