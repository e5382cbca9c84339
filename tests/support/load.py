"""Load on a limiter: workers that keep asking, and calls that end when a test says so."""

import random

import anyio

from transfer_prompting.runtime.errors import CallFailed
from transfer_prompting.runtime.llm._call import Sender
from transfer_prompting.runtime.llm.chat import ChatClient, ChatRequest, ChatResponse, Message
from transfer_prompting.runtime.llm.limits.limiter import LimitedClient, Limiter
from transfer_prompting.runtime.llm.retries import RetryingClient
from transfer_prompting.scenarios.endpoints import Limits, Retry

from support.virtual_time import VirtualClock, in_virtual_time


def asking(content: str = "hi", max_tokens: int = 5) -> ChatRequest:
    return ChatRequest(model="m", messages=(Message("user", content),), max_tokens=max_tokens)


def limiter(concurrency: int = 64, rpm: int | None = None, tpm: int | None = None) -> Limiter:
    limits = Limits(concurrency=concurrency, requests_per_minute=rpm, tokens_per_minute=tpm)
    return Limiter(limits, VirtualClock())


class Load:
    """Workers that keep asking through retries and limits, for a while of virtual time."""

    def __init__(self, server: ChatClient, limits: Limiter, request: ChatRequest | None = None) -> None:
        self.limits = limits
        self.request = request or asking()
        limited = LimitedClient(Sender(server), limits)
        self.client = RetryingClient(limited, Retry(), random=random.Random(2), clock=VirtualClock())
        self.failed = 0

    def run(self, seconds: float, workers: int) -> "Load":
        async def main() -> None:
            with anyio.move_on_after(seconds):
                async with anyio.create_task_group() as tasks:
                    for _ in range(workers):
                        tasks.start_soon(self.work)

        in_virtual_time(main)
        return self

    async def work(self) -> None:
        while True:
            try:
                await self.client.chat(self.request)
            except CallFailed:
                self.failed += 1


class Calls:
    """A client whose calls end when a test says so."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ends: dict[str, anyio.Event] = {}
        self.errors: dict[str, Exception] = {}

    async def chat(self, request: ChatRequest) -> ChatResponse:
        name = request.messages[0].content
        self.started.append(name)
        self.ends[name] = anyio.Event()
        await self.ends[name].wait()
        if name in self.errors:
            raise self.errors[name]
        return ChatResponse(text="ok", seconds=0.01)


async def settled() -> None:
    """Everything that can happen without time passing has happened."""
    await anyio.sleep(1e-6)
