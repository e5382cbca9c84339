"""What a bus costs beside the bare thing under it: asks a second, latency, events a second.

    python tests/benchmarks/bench_bus.py [--rounds 5] [--seconds 1]

Contenders take turns, round after round, in one process: an anyio stream that hands a value to a worker and
one back; the in-process bus; the encoding bus. Each round asks from 64 tasks at once for a while, then one
ask after the other: their median is what is added to the work itself, which is none here. The best round
counts: others share the machine.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from time import perf_counter

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from asks import TASKS, Ask, latency, rate

from transfer_prompting.runtime.bus import EncodingBus, Event, InProcessBus, Request

OBSERVERS, BURST = 10, 2000
TEXT = "Decide whether this mail is urgent, and say how sure you are." * 3


class Echoed(Event, frozen=True):
    text: str


class Echo(Request[Echoed], frozen=True):
    text: str


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
async def over(bus: InProcessBus) -> AsyncGenerator[Ask]:
    """Ask on a bus what is served on it."""
    async with bus, anyio.create_task_group() as tasks:
        await tasks.start(partial(bus.serve, Echo, echo, workers=TASKS))
        yield lambda: bus.ask(Echo(TEXT))
        tasks.cancel_scope.cancel()


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
    contenders: dict[str, Callable[[], AbstractAsyncContextManager[Ask]]] = {
        "stream": stream,
        "in_process": lambda: over(InProcessBus()),
        "encoding": lambda: over(EncodingBus()),
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    waits: dict[str, list[float]] = {name: [] for name in contenders}
    published: dict[str, list[float]] = {"in_process": [], "encoding": []}
    for _ in range(rounds):
        for name, contender in contenders.items():
            async with contender() as ask:
                rates[name].append(await rate(ask, seconds))
                waits[name].append(await latency(ask, 300))
        published["in_process"].append(await events(InProcessBus()))
        published["encoding"].append(await events(EncodingBus()))
    best = {name: max(values) for name, values in rates.items()}
    quick = {name: min(values) for name, values in waits.items()}
    for name in rates:
        print(f"{name:<12} {best[name]:>9,.0f} asks/s   {quick[name]:.3f} ms one after the other")
    most = {name: max(values) for name, values in published.items()}
    for name, value in most.items():
        print(f"{name:<12} {value:>9,.0f} events/s to {OBSERVERS} observers")
    print("RESULT", json.dumps({"asks_per_s": best, "median_added_ms": quick, "events_per_s": most}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    settings = parser.parse_args()
    asyncio.run(main(settings.rounds, settings.seconds))
