"""What a bus costs beside the bare thing under it: asks a second, latency, events a second.

    python tests/benchmarks/bench_bus.py [--rounds 5] [--seconds 1]

Contenders take turns, round after round, in one process: an anyio stream that hands a value to a worker and
one back; the in-process bus; the encoding bus; nats-py's request and reply over a real nats-server on the
loopback, between two connections; a JetStream work queue between the same (each request is stored, pulled,
answered and acknowledged, nothing else); the NATS bus between two buses of one session. Each round asks from
64 tasks at once for a while, then one ask after the other: their median is what is added to the work itself,
which is none here. The best round counts: others share the machine.

The NATS bus does not queue its requests on the server: an asker that goes away takes the use of its request
with it, so whoever asks keeps it, and asks again where it was lost. The queue stands here for comparison.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from secrets import token_hex
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, RetentionPolicy

from transfer_prompting.runtime.bus import EncodingBus, Event, InProcessBus, Request
from transfer_prompting.runtime.bus.nats import NatsBus, NatsServer

sys.path.insert(0, str(Path(__file__).parent.parent))
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

    subject = f"echo.{token_hex(4)}"
    await host.subscribe(subject, queue="servers", cb=answer)
    await host.flush()
    body = TEXT.encode()
    try:
        yield lambda: asker.request(subject, body, timeout=10)
    finally:
        await asker.close()
        await host.close()


@asynccontextmanager
async def jetstream(url: str) -> AsyncGenerator[Ask]:
    asker, host = Client(), Client()
    await asker.connect(url)
    await host.connect(url)
    stream = f"BENCH_{token_hex(4)}"
    manager = asker.jsm()
    await manager.add_stream(name=stream, subjects=[f"{stream}.ask"], retention=RetentionPolicy.WORK_QUEUE)
    await manager.add_consumer(
        stream, durable_name="workers", ack_policy=AckPolicy.EXPLICIT, max_ack_pending=-1
    )
    inbox, pulled = asker.new_inbox(), host.new_inbox()
    waiting: dict[str, asyncio.Future[bytes]] = {}
    numbers = count()

    async def on_reply(message: Msg) -> None:
        waiting.pop(message.subject).set_result(message.data)

    async def ignore(message: Msg) -> None:
        del message

    async def answer(message: Msg) -> None:
        if message.reply:
            reply, _, body = message.data.partition(b" ")
            await host.publish(reply.decode(), body)
            await host.publish(message.reply, b"+NXT", reply=pulled)  # acknowledges, and pulls the next

    async def ask() -> bytes:
        reply = f"{inbox}.reply.{next(numbers)}"
        waiting[reply] = answered = asyncio.get_running_loop().create_future()
        await asker.publish(f"{stream}.ask", f"{reply} {TEXT}".encode(), reply=f"{inbox}.stored")
        return await answered

    await asker.subscribe(f"{inbox}.reply.*", cb=on_reply)
    await asker.subscribe(f"{inbox}.stored", cb=ignore)
    await host.subscribe(pulled, cb=answer)
    pull = json.dumps({"batch": TASKS}).encode()
    await host.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.workers", pull, reply=pulled)
    await host.flush()
    try:
        yield ask
    finally:
        await manager.delete_stream(stream)
        await asker.close()
        await host.close()


async def rate(ask: Ask, seconds: float) -> float:
    """Asks a second from many tasks."""
    asked, end = 0, perf_counter() + seconds

    async def work() -> None:
        nonlocal asked
        while perf_counter() < end:
            await ask()
            asked += 1

    start = perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(TASKS):
            tasks.start_soon(work)
    return asked / (perf_counter() - start)


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
            "jetstream": lambda: jetstream(server.url),
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
    queue = best["jetstream"] / best["nats_py"]
    print(f"of bare nats-py's requests and replies: the NATS bus {share:.2f}, a JetStream queue {queue:.2f}")
    result = {
        "asks_per_s": best,
        "median_added_ms": quick,
        "events_per_s": told,
        "nats_share": share,
        "queue_share": queue,
    }
    print("RESULT", json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    settings = parser.parse_args()
    asyncio.run(main(settings.rounds, settings.seconds))
