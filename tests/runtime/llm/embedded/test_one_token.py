"""Calls for one token reach the embedded model one after another, others side by side."""

import anyio
import pytest

from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message
from transfer_prompting.runtime.llm.embedded import OneTokenInTurn


class Recorder:
    """Answers when `go` is set, and knows how many calls it had at once, and in which order they came."""

    def __init__(self) -> None:
        self.go = anyio.Event()
        self.now = self.most = 0
        self.order: list[str] = []

    async def chat(self, request: ChatRequest) -> ChatResponse:
        self.order.append(request.messages[0].content)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.go.wait()
            await anyio.lowlevel.checkpoint()
        finally:
            self.now -= 1
        return ChatResponse(text=request.messages[0].content)


def asking(text: str, *, max_tokens: int) -> ChatRequest:
    return ChatRequest(model="m", messages=(Message("user", text),), max_tokens=max_tokens)


@pytest.mark.parametrize(("max_tokens", "most"), [(1, 1), (2, 5)])
async def test_only_calls_for_one_token_wait_for_each_other(max_tokens: int, most: int):
    inner = Recorder()
    client = OneTokenInTurn(inner)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for i in range(5):
                tasks.start_soon(client.chat, asking(str(i), max_tokens=max_tokens))
            await anyio.wait_all_tasks_blocked()
            inner.go.set()
    assert inner.most == most
    assert inner.order == ["0", "1", "2", "3", "4"]


async def test_a_call_that_is_cancelled_lets_the_next_one_go():
    inner = Recorder()
    client = OneTokenInTurn(inner)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()

            async def first() -> None:
                with scope:
                    await client.chat(asking("first", max_tokens=1))

            tasks.start_soon(first)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(client.chat, asking("second", max_tokens=1))
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            inner.go.set()
    assert inner.order == ["first", "second"]
