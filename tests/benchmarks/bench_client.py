"""What one chat call costs the client: a bare loop, our client, our whole stack, and the openai SDK.

    python tests/benchmarks/bench_client.py [--calls 4000] [--rounds 5]

The four take turns against one simulated endpoint (50 ms, own process), in every round in another order;
medians are shown. Calls that a loop still has under way at its end are part of its time.
"""

import argparse
import asyncio
import json
import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from time import perf_counter, process_time

import aiohttp
import anyio
import msgspec
from openai import AsyncOpenAI, DefaultAioHttpClient
from simulator import Simulator, simulator

from transfer_prompting.runtime.llm._call import Sender
from transfer_prompting.runtime.llm.chat import ChatClient, ChatRequest, Message
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.runtime.llm.http.openai_client import OpenAIClient
from transfer_prompting.runtime.llm.limits.limiter import LimitedClient, Limiters
from transfer_prompting.runtime.llm.retries import Breaker, RetryingClient
from transfer_prompting.scenarios.endpoints import Limits, Retry

try:
    import uvloop
except ImportError:
    uvloop = None

SYSTEM = "You answer questions about what customers write. " * 12
Call = Callable[[int], Awaitable[object]]


class Reply(msgspec.Struct):
    content: str


class Choice(msgspec.Struct):
    message: Reply


class Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class Answer(msgspec.Struct):
    choices: list[Choice]
    usage: Usage


def request(i: int) -> ChatRequest:
    messages = (Message("system", SYSTEM), Message("user", f"Review {i}: it works, mostly. Good or bad?"))
    return ChatRequest(model="simulated", messages=messages, max_tokens=32)


def through(client: ChatClient) -> Call:
    async def call(i: int) -> object:
        return await client.chat(request(i))

    return call


def bare(session: aiohttp.ClientSession, base_url: str) -> Call:
    url, encode, decode = (
        f"{base_url}/chat/completions",
        msgspec.json.encode,
        msgspec.json.Decoder(Answer).decode,
    )

    async def call(i: int) -> object:
        messages = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": f"Review {i}: it works, mostly. Good or bad?"},
        ]
        body = encode({"model": "simulated", "messages": messages, "max_tokens": 32, "temperature": 0.0})
        async with session.post(url, data=body) as response:
            return decode(await response.read()).choices[0].message.content

    return call


def sdk(client: AsyncOpenAI) -> Call:
    async def call(i: int) -> object:
        reply = await client.chat.completions.create(
            model="simulated",
            messages=[
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": f"Review {i}: it works, mostly. Good or bad?"},
            ],
            max_tokens=32,
            temperature=0.0,
        )
        return reply.choices[0].message.content

    return call


async def loop(call: Call, calls: int, concurrency: int) -> tuple[float, float]:
    """Calls per second, and CPU milliseconds per call."""
    numbers = iter(range(calls))

    async def work() -> None:
        for i in numbers:
            await call(i)

    start, cpu = perf_counter(), process_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(concurrency):
            tasks.start_soon(work)
    return calls / (perf_counter() - start), 1000 * (process_time() - cpu) / calls


async def contenders(server: Simulator, concurrency: int, open_: AsyncExitStack) -> dict[str, Call]:
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
    session = await open_.enter_async_context(aiohttp.ClientSession(connector=connector, headers=headers))
    limiters = Limiters(Limits(concurrency=concurrency))
    client = await open_.enter_async_context(
        AiohttpClient(server.base_url, api_key="k", on_limits=limiters.stated)
    )
    limited = LimitedClient(Sender(client), limiters.of("simulated"))
    ours = await open_.enter_async_context(OpenAIClient(server.base_url, api_key="k"))
    theirs = AsyncOpenAI(
        base_url=server.base_url, api_key="k", max_retries=0, http_client=DefaultAioHttpClient()
    )
    open_.push_async_callback(theirs.close)
    return {
        "bare": bare(session, server.base_url),
        "client": through(client),
        "stack": through(RetryingClient(limited, Retry(), breaker=Breaker("simulated"))),
        "openai_client": through(ours),
        "openai_sdk": sdk(theirs),
    }


async def measure(
    server: Simulator, concurrency: int, calls: int, rounds: int
) -> dict[str, tuple[float, float]]:
    seen: dict[str, list[tuple[float, float]]] = {}
    async with AsyncExitStack() as open_:
        named = list((await contenders(server, concurrency, open_)).items())
        for _, call in named:
            await loop(call, 2 * concurrency, concurrency)
        for turn in range(rounds):
            first = turn % len(named)
            for name, call in named[first:] + named[:first]:
                share = calls if not name.startswith("openai") else calls // 3
                seen.setdefault(name, []).append(await loop(call, share, concurrency))
    return {
        name: (statistics.median(r for r, _ in runs), statistics.median(c for _, c in runs))
        for name, runs in seen.items()
    }


async def main(calls: int, rounds: int) -> None:
    result: dict[str, float] = {}
    print(f"{'concurrency':>12} {'client':<14} {'calls/s':>9} {'CPU ms/call':>12} {'of bare':>8}")
    with simulator("--latency-ms", "50") as server:
        for concurrency in (64, 256):
            medians = await measure(server, concurrency, calls, rounds)
            for name, (rate, cpu) in medians.items():
                share = rate / medians["bare"][0]
                print(f"{concurrency:>12} {name:<14} {rate:>9.0f} {cpu:>12.3f} {share:>8.2f}")
                result[f"{name}_{concurrency}"] = round(rate, 1)
                result[f"{name}_cpu_ms_{concurrency}"] = round(cpu, 4)
            result[f"stack_vs_bare_{concurrency}"] = round(medians["stack"][0] / medians["bare"][0], 3)
            result[f"stack_vs_openai_{concurrency}"] = round(
                medians["stack"][0] / medians["openai_sdk"][0], 3
            )
            result[f"stack_cpu_vs_bare_{concurrency}"] = round(medians["stack"][1] / medians["bare"][1], 3)
        overhead = await bookkeeping()
        print(f"bookkeeping of retries and limits: {overhead:.1f} µs a call")
        result["bookkeeping_us"] = round(overhead, 2)
    print("RESULT", json.dumps(result))


async def bookkeeping(calls: int = 50_000) -> float:
    """Microseconds that retries and limits add to a call when nothing limits."""
    from transfer_prompting.runtime.llm.chat import ChatResponse

    response, one = ChatResponse(text="ok"), request(0)

    class Instant:
        async def chat(self, request: ChatRequest) -> ChatResponse:
            return response

    async def time(client: ChatClient) -> float:
        start = perf_counter()
        for _ in range(calls):
            await client.chat(one)
        return perf_counter() - start

    limited = LimitedClient(Sender(Instant()), Limiters(Limits(concurrency=64)).of("m"))
    whole = RetryingClient(limited, Retry(), breaker=Breaker("m"))
    return 1e6 * (await time(whole) - await time(Instant())) / calls


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    settings = parser.parse_args()
    run = asyncio.run if uvloop is None else uvloop.run
    run(main(settings.calls, settings.rounds))
