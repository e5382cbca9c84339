"""Serves a feed on loopback, to those who know its address."""

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from aiohttp import web

from ...concurrency import ungrouped
from ...errors import InputError
from .feed import Feed

HOST = "127.0.0.1"
QUIET = 15.0
"""Seconds after which a viewer without news is sent a comment, which finds out whether it is still there."""

FAREWELL = 2.0
"""Seconds that viewers have to take what is left when the server stops."""

MOST_VIEWERS = 64

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(feed: Feed, *, port: int = 0) -> AsyncGenerator[str]:
    """Serve the feed as long as the context lasts, and give its URL, which holds a random token.

    Viewers get the page and then its states as server-sent events; leaving ends them with an `end` event.
    Requests under another host name are refused, so that no web page can reach in by rebinding its own name.
    Raises InputError when the port (0: any free one) is taken.
    """
    server = _Server(feed, secrets.token_urlsafe(18))
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=FAREWELL)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            raise InputError(f"the live view cannot listen on port {port}: {error.strerror}") from None
        async with ungrouped(), anyio.create_task_group() as tasks:
            tasks.start_soon(feed.run)
            yield server.listens(runner.addresses[0][1])
            tasks.cancel_scope.cancel()
    finally:
        feed.close()
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


class _Server:
    def __init__(self, feed: Feed, token: str) -> None:
        self._feed = feed
        self._token = token
        self._hosts: frozenset[str] = frozenset()
        self._viewers = 0

    def listens(self, port: int) -> str:
        self._hosts = frozenset(f"{name}:{port}" for name in (HOST, "localhost"))
        return f"http://{HOST}:{port}/{self._token}/"

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
            raise web.HTTPServiceUnavailable(text=f"{MOST_VIEWERS} viewers are looking on already.\n")
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
