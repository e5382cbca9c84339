"""The connection to a nats-server."""

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nkeys import NkeysError

from ....scenarios.endpoints import Bus
from ....scenarios.errors import InputError, TransferPromptingError
from ...errors import BusError

CONNECT_SECONDS = 10.0

_RECONNECT_SECONDS = 0.25
_MAX_BUFFERED = 64 * 2**20  # bytes kept to be sent while the server is away
_DENIED = ("authorization", "authentication", "permissions violation")
_CREDENTIALS_PARTS = ("BEGIN NATS USER JWT", "BEGIN USER NKEY SEED")


class NatsServer(msgspec.Struct, frozen=True, kw_only=True):
    """Address of a nats-server, and the credentials for it. Paths are of files; `url` holds no credentials.

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
        """The server of a scenario's `bus`. Raises InputError for an environment variable that is not set."""
        named = ("user", "password", "token", "credentials", "ca", "certificate", "key")
        values = {name: _value(f"{name}_env", getattr(settings, f"{name}_env")) for name in named}
        return cls(url=settings.url, **values)


class NatsConnection:
    """A connection that is opened on entering, and restored whenever it is lost.

        async with NatsConnection(NatsServer(url="nats://127.0.0.1:4222")) as connection:
            await connection.client.publish("subject", b"data")

    It ends for good when the server refuses the credentials or a subject: then `failure` is the error, and
    `on_end` is called. `say` gets a line when the connection is lost, and when it is back.

    Entering raises InputError when the server refuses the credentials or a file cannot be read, BusError
    when there is no connection within 10 s.
    """

    def __init__(
        self,
        server: NatsServer,
        *,
        on_end: Callable[[], None] | None = None,
        say: Callable[[str], object] | None = None,
    ) -> None:
        self.client = Client()
        self.failure: TransferPromptingError | None = None
        self._server = server
        self._on_end = on_end
        self._say = say
        self._connecting = False
        self._closing = False
        self._errors: dict[str, None] = {}

    @property
    def url(self) -> str:
        """Address of the server."""
        return self._server.url

    async def __aenter__(self) -> Self:
        _check_credentials(self._server)
        tls = _tls(self._server)
        try:
            await self._connect(tls)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def flush(self) -> None:
        """Return once the server has what was sent so far, subscriptions included; raises NatsError."""
        # nats-py writes a ping at once and commands a moment later: the first pong may come before they left.
        for _ in range(2):
            await self.client.flush()

    async def drain(self) -> None:
        """Receive nothing more, let handlers of what was received begin, then close."""
        self._closing = True
        try:
            await self.client.drain()
        except NatsError:
            await self._close()

    async def _connect(self, tls: ssl.SSLContext | None) -> None:
        server = self._server
        self._connecting = True
        with anyio.move_on_after(CONNECT_SECONDS):
            try:
                await self.client.connect(
                    servers=[server.url],
                    name="transfer-prompting",
                    user=server.user,
                    password=server.password,
                    token=server.token,
                    user_credentials=server.credentials,
                    tls=tls,
                    error_cb=self._note,
                    disconnected_cb=self._lost,
                    reconnected_cb=self._restored,
                    closed_cb=self._closed,
                    connect_timeout=5,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=_RECONNECT_SECONDS,  # pyright: ignore[reportArgumentType] - a float works
                    pending_size=_MAX_BUFFERED,
                )
            except (ValueError, NkeysError, NatsError) as error:
                raise InputError(f"{server.url}: address or credentials cannot be used: {error!r}") from error
        self._connecting = False
        if not self.client.is_connected:
            why = "; ".join(list(self._errors)[:3]) or "no answer"
            raise BusError(f"{server.url}: no nats-server answers within {CONNECT_SECONDS:g} s: {why}")

    async def _close(self) -> None:
        self._closing = True
        client = self.client
        if not (client.is_connected or client.is_connecting or client.is_reconnecting):
            return  # nats-py cannot close what it never began to connect
        with anyio.CancelScope(shield=True):
            try:
                with anyio.move_on_after(2):
                    if client.is_connected:
                        await self.flush()
                await client.close()
            except (NatsError, OSError):
                pass  # the server is gone: there is nothing left to close

    async def _note(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        self._errors[text] = None
        if any(word in text.lower() for word in _DENIED):
            self._end(
                InputError(
                    f"{self.url}: the nats-server refuses these credentials ({text}); check the variables "
                    "that `bus` names, and that the account may use the subjects tprompt.>, $SRV.> and "
                    "_INBOX.>"
                )
            )

    async def _lost(self) -> None:
        self._report("connection lost; connecting again")

    async def _restored(self) -> None:
        self._report("connected again")

    async def _closed(self) -> None:
        if not self._closing:
            error = self.client.last_error
            if error is not None:
                await self._note(error)
            self._end(BusError(f"{self.url}: the nats-server closed the connection: {error}"))

    def _report(self, line: str) -> None:
        if self._say is not None and not self._closing:
            self._say(f"{self.url}: {line}")

    def _end(self, failure: TransferPromptingError) -> None:
        if self._connecting:
            raise failure  # out of nats-py's `connect`, which calls this
        self.failure = self.failure or failure
        if self._on_end is not None:
            self._on_end()


def _check_credentials(server: NatsServer) -> None:
    if server.credentials is None:
        return
    # nats-py reads a file without these marks forever.
    try:
        text = Path(server.credentials).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{server.url}: the credentials cannot be read: {error}") from error
    if not all(part in text for part in _CREDENTIALS_PARTS):
        raise InputError(f"{server.credentials}: not a .creds file, which holds a NATS user JWT and its seed")


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
