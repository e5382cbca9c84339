"""The connection to a nats-server."""

import os
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Self

import anyio
import msgspec
from nats.aio.client import Client
from nats.errors import Error

from ....scenarios.endpoints import Bus
from ....scenarios.errors import InputError
from ...errors import BusError

PATIENCE = 10.0
_RECONNECT = 0.25
_PENDING = 64 * 2**20  # bytes kept to be sent while the server is away


class NatsServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where a nats-server is, and how one is let in. Paths are of files; credentials are never in `url`.

    `credentials` is the path of a `.creds` file. `ca` verifies a server whose certificate is not signed by
    an authority this machine knows; `certificate` and `key` are this client's own, where the server asks.
    """

    url: str
    user: str | None = None
    password: str | None = None
    token: str | None = None
    credentials: str | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def of(cls, settings: Bus) -> Self:
        """The server a scenario names. Raises InputError for an environment variable that is not set."""
        named = ("user", "password", "token", "credentials", "ca", "certificate", "key")
        values = {name: _value(f"{name}_env", getattr(settings, f"{name}_env")) for name in named}
        return cls(url=settings.url, **values)


Callback = Callable[[], Awaitable[None]]


@asynccontextmanager
async def connected(
    server: NatsServer, *, on_return: Callback | None = None, on_close: Callback | None = None
) -> AsyncGenerator[Client]:
    """A connection that comes back by itself whenever it is lost.

    `on_return` is called each time it is there again, `on_close` when the server turned us away for good.
    Raises BusError when there is none within 10 s, InputError when a file it needs cannot be read.
    """
    client = Client()
    errors: dict[str, None] = {}

    async def note(error: Exception) -> None:
        errors[str(error) or type(error).__name__] = None

    with anyio.move_on_after(PATIENCE):
        await client.connect(
            servers=[server.url],
            name="transfer-prompting",
            user=server.user,
            password=server.password,
            token=server.token,
            user_credentials=server.credentials,
            tls=_tls(server),
            error_cb=note,
            reconnected_cb=on_return,
            closed_cb=on_close,
            connect_timeout=5,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RECONNECT,  # pyright: ignore[reportArgumentType] - a float works
            pending_size=_PENDING,
            skip_subject_validation=True,
        )
    try:
        if not client.is_connected:
            why = "; ".join(list(errors)[:3]) or "no answer"
            raise BusError(f"{server.url}: no nats-server lets us in within {PATIENCE:g} s: {why}")
        yield client
    finally:
        with anyio.CancelScope(shield=True):
            await _closed(client)


async def _closed(client: Client) -> None:
    with suppress(Error, OSError):
        with anyio.move_on_after(2):
            if client.is_connected:
                await client.flush()
        await client.close()


def _tls(server: NatsServer) -> ssl.SSLContext | None:
    if not (server.ca or server.certificate or server.url.startswith("tls://")):
        return None
    try:
        context = ssl.create_default_context(cafile=server.ca)
        if server.certificate is not None:
            context.load_cert_chain(server.certificate, server.key)
    except OSError as error:
        raise InputError(f"{server.url}: the files for TLS cannot be read: {error}") from error
    return context


def _value(key: str, variable: str | None) -> str | None:
    if variable is None:
        return None
    value = os.environ.get(variable, "").strip()
    if not value:
        raise InputError(f"bus.{key}: the environment variable {variable} is not set; set it on this machine")
    return value
