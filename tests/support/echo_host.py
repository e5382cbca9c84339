"""A process that serves `Echo` on a NATS bus: python -m support.echo_host URL SESSION

It prints `ready`, then `has TEXT` for each request it takes up. It answers with the text and its process id,
but for texts that begin with `hold` (never) or `die` (it kills itself).
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial

import anyio

from transfer_prompting.runtime.bus import Event, Request
from transfer_prompting.runtime.bus.nats import NatsBus, NatsServer

BEAT = 0.2

Join = Callable[..., NatsBus]
"""Makes buses of one session."""


class Echoed(Event, frozen=True):
    text: str
    by: int = 0


class Echo(Request[Echoed], frozen=True):
    text: str


class EchoOnce(Echo, frozen=True):
    repeatable = False


async def echo(request: Echo) -> Echoed:
    sys.stdout.write(f"has {request.text}\n")
    sys.stdout.flush()
    if request.text.startswith("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if request.text.startswith("hold"):
        await anyio.sleep_forever()
    return Echoed(request.text, os.getpid())


async def main(url: str, session: str) -> None:
    bus = NatsBus(NatsServer(url=url), session=session, beat=BEAT)
    async with bus, anyio.create_task_group() as tasks:
        for kind in (Echo, EchoOnce):
            await tasks.start(partial(bus.serve, kind, echo, workers=4))
        sys.stdout.write("ready\n")
        sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
