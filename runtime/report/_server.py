"""Small HTTP servers beside a run: where they listen, and what every answer of theirs carries."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from aiohttp import web

from ...scenarios.errors import InputError

LOOPBACK = "127.0.0.1"

LAST_SECONDS = 2.0
"""Seconds that clients have to take what is left when a server stops."""

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_QUIET = logging.getLogger(f"{__name__}.http")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False  # a malformed request is answered with 400; its traceback is of no interest


@asynccontextmanager
async def listening(
    application: web.Application, *, what: str, port: int, host: str = LOOPBACK
) -> AsyncGenerator[int]:
    """Serve an application as long as the context lasts, and give its port; `what` names it in messages.

    Raises InputError when the port (0: any free one) is taken, or the host is none of this machine.
    """
    runner = web.AppRunner(application, access_log=None, logger=_QUIET, shutdown_timeout=LAST_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except (OSError, UnicodeError) as error:
            where = f"port {port}" if host == LOOPBACK else f"{host}:{port}"
            problem = "not a host name" if isinstance(error, UnicodeError) else error.strerror or error
            raise InputError(f"{what} cannot listen on {where}: {problem}") from None
        yield runner.addresses[0][1]
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
