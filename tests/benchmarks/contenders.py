"""What a benchmark of calls compares: the bare loop, the openai SDK, and how any of them is timed."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import perf_counter, process_time

import aiohttp
import anyio
import msgspec

SYSTEM = "You answer questions about what customers write. " * 12
MODEL = "simulated"
MAX_TOKENS = 32

Call = Callable[[int], Awaitable[object]]
"""Makes the call of this number."""

Texts = Callable[[int], tuple[str, str]]
"""The system and the user text of the call of this number."""


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


class Round(msgspec.Struct, frozen=True):
    """One round of a contender: calls/s, CPU milliseconds a call, and every call's seconds."""

    rate: float
    cpu_ms: float
    seconds: list[float]


def review(i: int) -> tuple[str, str]:
    """Short texts of the size of a classification."""
    return SYSTEM, f"Review {i}: it works, mostly. Good or bad?"


@asynccontextmanager
async def bare(base_url: str, texts: Texts = review) -> AsyncGenerator[Call]:
    """As little as a Python client can do: one aiohttp session, msgspec out and in."""
    url, encode = f"{base_url}/chat/completions", msgspec.json.encode
    decode = msgspec.json.Decoder(Answer).decode
    headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def call(i: int) -> object:
            system, user = texts(i)
            messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
            body = encode(
                {"model": MODEL, "messages": messages, "max_tokens": MAX_TOKENS, "temperature": 0.0}
            )
            async with session.post(url, data=body) as response:
                return decode(await response.read()).choices[0].message.content

        yield call


@asynccontextmanager
async def sdk(base_url: str, texts: Texts = review) -> AsyncGenerator[Call]:
    """The openai SDK on its fastest transport, with its own retries off."""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    async with AsyncOpenAI(
        base_url=base_url, api_key="k", max_retries=0, http_client=DefaultAioHttpClient()
    ) as client:

        async def call(i: int) -> object:
            system, user = texts(i)
            reply = await client.chat.completions.create(
                model=MODEL,
                messages=[{"role": "system", "content": system}, {"role": "user", "content": user}],
                max_tokens=MAX_TOKENS,
                temperature=0.0,
            )
            return reply.choices[0].message.content

        yield call


async def timed(call: Call, numbers: Sequence[int], concurrency: int) -> Round:
    """Make every call, `concurrency` at once. Calls still under way at the end are part of the time."""
    todo, seconds = iter(numbers), list[float]()

    async def work() -> None:
        for i in todo:
            start = perf_counter()
            await call(i)
            seconds.append(perf_counter() - start)

    async def everything() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(concurrency):
                tasks.start_soon(work)

    rate, cpu_ms = await spent(everything(), len(numbers))
    return Round(rate, cpu_ms, seconds)


async def spent(work: Awaitable[object], calls: int) -> tuple[float, float]:
    """Calls per second, and CPU milliseconds per call, of work that makes so many calls."""
    start, cpu = perf_counter(), process_time()
    await work
    return calls / (perf_counter() - start), 1000 * (process_time() - cpu) / calls
