"""What a bus costs beside the bare thing under it: asks a second, latency, events a second.

    python tests/benchmarks/bench_bus.py [--rounds 5] [--seconds 1]

Contenders take turns, round after round, in one process: an anyio stream that hands a value to a worker and
one back; the in-process bus; the encoding bus; nats-py's request and reply over a real nats-server on the
loopback, between two connections; the NATS bus between two buses of one session. Each round asks from 64
tasks at once for a while, then one ask after the other. `added_ms` is the median of the latter. The best
round counts: others share the machine.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from nats.aio.client import Client
from nats.aio.msg import Msg

from transfer_prompting.runtime.bus import EncodingBus, Event, InProcessBus, Request
from transfer_prompting.runtime.bus.nats import NatsBus, NatsServer

from support.nats import nats_process

TASKS, OBSERVERS, BURST = 64, 10, 2000
TEXT = "Decide whether this mail is urgent, and say how sure you are." * 3


class Echoed(Event, frozen=True):
    text: str


class Echo(Request[Echoed], frozen=True):
    text: str


Ask = Callable[[], Awaitable[object]]


async def echo(request: Echo) -> Echoed:
    return Echoed(request.text)


@asynccontextmanager
async def stream() -> AsyncGenerator[Ask]:
    send, receive = anyio.create_memory_object_stream[tuple[Echo, MemoryObjectSendStream[Echoed]]]()

    async def work() -> None:
        async for request, reply in receive:
            await reply.send(await echo(request))
            reply.close()

    async def ask() -> Echoed:
        answer, answered = anyio.create_memory_object_stream[Echoed](1)
        await send.send((Echo(TEXT), answer))
        async with answered:
            return await answered.receive()

    async with anyio.create_task_group() as tasks:
        for _ in range(TASKS):
            tasks.start_soon(work)
        yield ask
        tasks.cancel_scope.cancel()
    send.close()
    receive.close()


@asynccontextmanager
async def over(bus: InProcessBus, host: InProcessBus | None = None) -> AsyncGenerator[Ask]:
    """Ask on a bus what is served on it, or on another bus of the same session."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(bus)
        if host is not None:
            await stack.enter_async_context(host)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        await tasks.start(partial((host or bus).serve, Echo, echo, workers=TASKS))
        yield lambda: bus.ask(Echo(TEXT))
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def bare_nats(url: str) -> AsyncGenerator[Ask]:
    asker, host = Client(), Client()
    await asker.connect(url)
    await host.connect(url)

    async def answer(message: Msg) -> None:
        await message.respond(message.data)

    await host.subscribe("echo", queue="servers", cb=answer)
    await host.flush()
    body = TEXT.encode()
    try:
        yield lambda: asker.request("echo", body, timeout=10)
    finally:
        await asker.close()
        await host.close()


async def rate(ask: Ask, seconds: float) -> float:
    """Asks a second from many tasks."""
    count, end = 0, perf_counter() + seconds

    async def work() -> None:
        nonlocal count
        while perf_counter() < end:
            await ask()
            count += 1

    start = perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(TASKS):
            tasks.start_soon(work)
    return count / (perf_counter() - start)


async def latency(ask: Ask, asks: int = 300) -> float:
    """The median of one ask after the other, in milliseconds."""
    taken: list[float] = []
    for _ in range(asks):
        start = perf_counter()
        await ask()
        taken.append(1000 * (perf_counter() - start))
    return median(taken)


async def events(bus: InProcessBus) -> float:
    """Events a second to ten observers that read them all."""
    read, taken = 0, 0.0

    async def observe(ready: anyio.Event) -> None:
        nonlocal read
        async with bus.events(Echoed, buffer=BURST) as observer:
            ready.set()
            seen = 0
            async for _ in observer:
                read, seen = read + 1, seen + 1
                if seen == BURST:
                    return

    async with bus, anyio.create_task_group() as tasks:
        for _ in range(OBSERVERS):
            ready = anyio.Event()
            tasks.start_soon(observe, ready)
            await ready.wait()
        start = perf_counter()
        for _ in range(BURST):
            await bus.publish(Echoed(TEXT))
        while read < OBSERVERS * BURST:
            await anyio.lowlevel.checkpoint()
        taken = perf_counter() - start
    return BURST / taken


async def main(rounds: int, seconds: float) -> None:
    with TemporaryDirectory() as folder, nats_process(Path(folder)) as server:

        def nats_bus(session: str) -> NatsBus:
            return NatsBus(NatsServer(url=server.url), session=session)

        contenders: dict[str, Callable[[], AbstractAsyncContextManager[Ask]]] = {
            "stream": stream,
            "in_process": lambda: over(InProcessBus()),
            "encoding": lambda: over(EncodingBus()),
            "nats_py": lambda: bare_nats(server.url),
            "nats": lambda: over(nats_bus("bench"), nats_bus("bench")),
        }
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        waits: dict[str, list[float]] = {name: [] for name in contenders}
        published: dict[str, list[float]] = {"in_process": [], "encoding": [], "nats": []}
        for _ in range(rounds):
            for name, contender in contenders.items():
                async with contender() as ask:
                    rates[name].append(await rate(ask, seconds))
                    waits[name].append(await latency(ask))
            published["in_process"].append(await events(InProcessBus()))
            published["encoding"].append(await events(EncodingBus()))
            published["nats"].append(await events(nats_bus("events")))
    best = {name: max(values) for name, values in rates.items()}
    quick = {name: min(values) for name, values in waits.items()}
    for name in rates:
        print(f"{name:<12} {best[name]:>9,.0f} asks/s   {quick[name]:.3f} ms one after the other")
    told = {name: max(values) for name, values in published.items()}
    for name, value in told.items():
        print(f"{name:<12} {value:>9,.0f} events/s to {OBSERVERS} observers")
    share = best["nats"] / best["nats_py"]
    print(f"the NATS bus makes {share:.2f} of bare nats-py's requests and replies")
    result = {"asks_per_s": best, "median_ms": quick, "events_per_s": told, "nats_share": share}
    print("RESULT", json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    settings = parser.parse_args()
    asyncio.run(main(settings.rounds, settings.seconds))
