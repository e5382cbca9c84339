"""What relaying a call over NATS costs beside making it: calls a second, and latency of one after the other.

    python tests/benchmarks/bench_relay.py [--rounds 5] [--seconds 1]

Contenders take turns, round after round: the HTTP client on the simulated endpoint (another process, which
answers at once); a worker in this process that makes the same calls through it, asked over a real nats-server
on the loopback; nats-py's bare request and reply between two connections. The best round counts: others share
the machine.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from asks import TASKS, Ask, latency, rate
from nats.aio.client import Client
from nats.aio.msg import Msg
from simulator import simulator

from transfer_prompting.runtime.llm.chat import ChatRequest, Message
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.runtime.llm.relay import Relay, RelayWorker
from transfer_prompting.scenarios import Bus, Scenario

sys.path.insert(0, str(Path(__file__).parent.parent))
from support.nats import nats_process

TEXT = "Decide whether this mail is urgent, and say how sure you are." * 3

numbers = count()


def request() -> ChatRequest:
    return ChatRequest(model="m", messages=(Message("user", f"{next(numbers)} {TEXT}"),), max_tokens=16)


def scenario(base_url: str) -> Scenario:
    """One target; its task is not used here."""
    task = {"rows": [{"question": "q", "answer": "a"}], "kind": "classification", "labels": ["a", "b"]}
    return Scenario.build(
        {
            "name": "relay",
            "endpoints": {"e": {"base_url": base_url, "limits": {"concurrency": TASKS}}},
            "models": {"m": {"endpoint": "e", "model": "m"}},
            "reference": {"model": "m"},
            "targets": ["m"],
            "tasks": {"t": task},
            "stages": {"source": {"tasks": [], "seed_prompts": ["Decide."]}, "target": {"tasks": ["t"]}},
        }
    )


@asynccontextmanager
async def direct(base_url: str) -> AsyncGenerator[Ask]:
    async with AiohttpClient(base_url) as client:
        yield lambda: client.chat(request())


@asynccontextmanager
async def relayed(base_url: str, url: str) -> AsyncGenerator[Ask]:
    one, settings, ready = scenario(base_url), Bus(url=url), anyio.Event()
    worker = RelayWorker(one, ["m"], settings, say=lambda line: ready.set())
    relay = Relay(one, settings)
    async with relay, anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        await ready.wait()
        client = relay.clients["e"]
        yield lambda: client.chat(request())
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def bare(url: str) -> AsyncGenerator[Ask]:
    asker, host = Client(), Client()
    await asker.connect(url)
    await host.connect(url)

    async def answer(message: Msg) -> None:
        await message.respond(message.data)

    await host.subscribe("echo", queue="q", cb=answer)
    await host.flush()
    try:
        yield lambda: asker.request("echo", TEXT.encode(), timeout=10)
    finally:
        await asker.close()
        await host.close()


async def main(rounds: int, seconds: float) -> None:
    with (
        TemporaryDirectory() as folder,
        nats_process(Path(folder)) as nats,
        simulator("--latency-ms", "0") as chat,
    ):
        contenders: dict[str, Callable[[], AbstractAsyncContextManager[Ask]]] = {
            "direct": lambda: direct(chat.base_url),
            "relayed": lambda: relayed(chat.base_url, nats.url),
            "nats_py": lambda: bare(nats.url),
        }
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        waits: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, contender in contenders.items():
                async with contender() as ask:
                    rates[name].append(await rate(ask, seconds))
                    waits[name].append(await latency(ask, 200))
    best = {name: max(values) for name, values in rates.items()}
    quick = {name: min(values) for name, values in waits.items()}
    for name in contenders:
        print(f"{name:<9} {best[name]:>9,.0f} calls/s   {quick[name]:.3f} ms one after the other")
    print("RESULT", json.dumps({"calls_per_s": best, "median_ms": quick}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    settings = parser.parse_args()
    asyncio.run(main(settings.rounds, settings.seconds))
