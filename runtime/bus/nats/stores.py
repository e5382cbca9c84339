"""What JetStream keeps for us: bodies too large for one message, and requests that were set aside."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from secrets import token_hex
from time import monotonic
from typing import TypeVar

import anyio
import msgspec
from nats.aio.client import Client
from nats.errors import Error, NoRespondersError
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError, ServiceUnavailableError
from nats.js.object_store import ObjectStore

from ...errors import BusError
from .wire import Asked, Value, encode

T = TypeVar("T")

BUCKET = "tprompt"
POISON_STREAM = "TPROMPT_POISON"
POISON_SUBJECTS = "tprompt-poison.>"

NOTHING = msgspec.Raw(encode(None))

_DAY = 86_400.0
_PATIENCE = 60.0
_ENVELOPE = 8192  # bytes a message needs beside the body


class Stores:
    """Large bodies in an object store, which forgets them after a day, and poison requests in a stream of
    their own, which keeps them for thirty (and 256 MiB at most)."""

    def __init__(self, client: Client) -> None:
        self._most = client.max_payload - _ENVELOPE
        self._context = client.jetstream()
        self._objects: ObjectStore | None = None
        self._poison = False

    async def check(self, url: str) -> None:
        """Raises BusError when the server runs without JetStream."""
        try:
            await self._context.account_info()
        except (ServiceUnavailableError, NoRespondersError):
            raise BusError(f"{url}: this nats-server runs without JetStream; start it with -js") from None
        except Error as error:
            raise BusError(f"{url}: JetStream cannot be used: {error}") from error

    def too_large(self, body: bytes | msgspec.Raw) -> bool:
        return len(body) > self._most

    async def kept(self, asked: Asked, name: str) -> Asked:
        """The same request with its body in the store."""
        await self._put(name, bytes(asked.body))
        return Asked(asked.header, NOTHING, name)

    async def body(self, asked: Asked) -> bytes | msgspec.Raw:
        """The body of a request, from wherever it is."""
        return await self.get(asked.stored) if asked.stored else asked.body

    async def value(self, body: bytes, owner: str) -> Value:
        """An answer, its body in the store where it is too large for a message."""
        if len(body) <= self._most:
            return Value(msgspec.Raw(body))
        name = f"{owner}.{token_hex(8)}"
        await self._put(name, body)
        return Value(NOTHING, name)

    async def get(self, name: str) -> bytes:
        """Raises BusError when it is not there any more."""

        async def get() -> bytes:
            found = await (await self._bucket()).get(name)
            assert found.data is not None
            return found.data

        try:
            return await _patiently(get)
        except NotFoundError:
            raise BusError(f"a large message ({name}) is not in the object store {BUCKET!r}") from None

    async def delete(self, name: str) -> None:
        with suppress(NotFoundError, Error):
            await (await self._bucket()).delete(name)

    async def set_aside(self, subject: str, body: bytes) -> str:
        """Keep a poison request; returns where it can be found."""
        if not self._poison:
            await self._context.add_stream(
                StreamConfig(
                    name=POISON_STREAM, subjects=[POISON_SUBJECTS], max_age=30 * _DAY, max_bytes=256 * 2**20
                )
            )
            self._poison = True
        kept = await self._context.publish(f"tprompt-poison.{subject}", body)
        return f"message {kept.seq} of stream {POISON_STREAM}"

    async def _put(self, name: str, body: bytes) -> None:
        async def put() -> None:
            await (await self._bucket()).put(name, body)

        await _patiently(put)

    async def _bucket(self) -> ObjectStore:
        if self._objects is None:
            self._objects = await self._context.create_object_store(BUCKET, ttl=_DAY)
        return self._objects


async def _patiently(do: Callable[[], Awaitable[T]]) -> T:
    """Do it, again while the nats-server is away; BusError when that takes too long."""
    end = monotonic() + _PATIENCE
    while True:
        try:
            return await do()
        except NotFoundError:
            raise
        except Error as error:
            if monotonic() > end:
                raise BusError(f"the object store {BUCKET!r} cannot be used: {error}") from error
            await anyio.sleep(1)
