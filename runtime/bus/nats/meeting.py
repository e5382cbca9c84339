"""How a worker finds the run it is to work for, and whether it fits."""

from importlib.metadata import version

import anyio
import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from ....scenarios.errors import InputError
from .server import NatsServer, connected
from .wire import encode, token

PROTOCOL = 1
"""Grows when what crosses the bus changes its form."""

_AGAIN = 1.0


class Hello(msgspec.Struct, frozen=True):
    """Who speaks, what it speaks, and digests of all that both sides must hold alike, by what they are of."""

    who: str
    parts: dict[str, str]
    protocol: int = PROTOCOL
    version: str = msgspec.field(default_factory=lambda: version("transfer-prompting"))


class Welcome(msgspec.Struct, frozen=True, tag=True):
    """The session to enter, and the bus that leads it: when that leaves, the session is over."""

    session: str
    bus: str


class Refused(msgspec.Struct, frozen=True, tag=True):
    why: str


_decode_hello = msgspec.msgpack.Decoder(Hello).decode
_decode_reply = msgspec.msgpack.Decoder(Welcome | Refused).decode


async def lead(client: Client, run: str, ours: Hello, welcome: Welcome) -> None:
    """From now on answer those who ask for the run. Raises InputError when another process leads it."""
    subject = f"tprompt-hello.{token(run)}"
    taken = await _asked(client, subject, ours)
    if taken is not None:
        raise InputError(
            f"a run of {run!r} is under way on this bus; wait until it ends, or give this one another name"
        )

    async def on_hello(message: Msg) -> None:
        why = refusal(ours, _decode_hello(message.data))
        await message.respond(encode(welcome if why is None else Refused(why)))

    await client.subscribe(subject, cb=on_hello)
    await client.flush()


async def found(server: NatsServer, run: str, ours: Hello) -> Welcome:
    """Wait until somebody leads the run and lets us in. Raises InputError when we do not fit."""
    async with connected(server) as client:
        while True:
            reply = await _asked(client, f"tprompt-hello.{token(run)}", ours)
            if isinstance(reply, Refused):
                raise InputError(reply.why)
            if reply is not None:
                return reply
            await anyio.sleep(_AGAIN)


def refusal(ours: Hello, theirs: Hello) -> str | None:
    """Why the one who said hello cannot take part; None when it can."""
    if theirs.protocol != ours.protocol:
        return (
            f"{theirs.who} speaks protocol {theirs.protocol} (transfer-prompting {theirs.version}), the run "
            f"on {ours.who} protocol {ours.protocol} ({ours.version}); install the same version on both"
        )
    names = sorted(ours.parts.keys() | theirs.parts.keys())
    differing = [name for name in names if ours.parts.get(name) != theirs.parts.get(name)]
    if differing:
        return (
            f"{theirs.who} holds another scenario than the run on {ours.who}: {', '.join(differing)} "
            "differ; start the worker with the same scenario file and data"
        )
    return None


async def _asked(client: Client, subject: str, hello: Hello) -> Welcome | Refused | None:
    try:
        reply = await client.request(subject, encode(hello), timeout=5)
    except Error:  # nobody answers to that, or not in time
        return None
    return _decode_reply(reply.data)
