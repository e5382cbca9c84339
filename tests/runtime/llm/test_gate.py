"""The innermost layer: what is in flight finishes, what comes later waits, and each call counts."""

import anyio
import pytest

from transfer_prompting.runtime.errors import Unreachable
from transfer_prompting.runtime.llm._call import Gate, Sender
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message

REQUEST = ChatRequest(model="small", messages=(Message("user", "What?"),), max_tokens=10)


class HeldClient:
    """Counts requests and answers none before it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = anyio.Event()

    async def chat(self, request: ChatRequest) -> ChatResponse:
        self.asked += 1
        await self.go.wait()
        return ChatResponse(text="yes")


class LostClient:
    async def chat(self, request: ChatRequest) -> ChatResponse:
        raise Unreachable("nobody is there")


async def test_closing_waits_for_the_calls_in_flight():
    gate, held = Gate(), HeldClient()
    client = Sender(held, gate)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(client.chat, REQUEST)
            await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(0.01) as early:
                await gate.close()
            assert early.cancelled_caught
            held.go.set()
            await gate.close()
    assert (held.asked, gate.in_flight) == (3, 0)


async def test_a_call_that_comes_after_closing_is_not_sent_and_waits_until_it_is_cancelled():
    gate, held = Gate(), HeldClient()
    with anyio.fail_after(5):
        await gate.close()
        with anyio.move_on_after(0.01) as waiting:
            await Sender(held, gate).chat(REQUEST)
    assert waiting.cancelled_caught
    assert held.asked == 0


async def test_a_call_that_fails_or_is_cancelled_leaves_the_gate():
    gate = Gate()
    with pytest.raises(Unreachable):
        await Sender(LostClient(), gate).chat(REQUEST)
    with anyio.move_on_after(0.01):
        await Sender(HeldClient(), gate).chat(REQUEST)
    with anyio.fail_after(5):
        await gate.close()


class FreeClient:
    """Says that its calls cost less than they do."""

    async def chat(self, request: ChatRequest) -> ChatResponse:
        return ChatResponse(text="yes", replayed=True, batched=True, id="a", model="b")


async def test_a_call_that_was_sent_counts_in_full_whatever_its_client_says_of_it():
    assert await Sender(FreeClient()).chat(REQUEST) == ChatResponse(text="yes")
