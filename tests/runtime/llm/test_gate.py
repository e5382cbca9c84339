"""The innermost layer: what is in flight finishes, what comes later waits, and each call counts."""

import asyncio
from typing import cast

import anyio
import msgspec
import pytest

from transfer_prompting.runtime.errors import Unreachable
from transfer_prompting.runtime.llm._call import Call, Gate, Sender
from transfer_prompting.runtime.llm.chat import (
    ChatRequest,
    ChatResponse,
    Message,
    TokenChoice,
    TokenLogprob,
    Usage,
)

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


class SayingClient:
    """Returns what it is given."""

    def __init__(self, response: object) -> None:
        self._response = response

    async def chat(self, request: ChatRequest) -> ChatResponse:
        return cast("ChatResponse", self._response)


SENT = ChatResponse(text="yes", usage=Usage(10, 3), seconds=0.5)


@pytest.mark.parametrize(
    "stated",
    [
        {"replayed": True, "batched": True, "id": "a", "model": "b"},
        {"attempts": 0},
        {"attempts": -9},
        {"attempts": 1.5},
        {"usage": Usage(cast("int", 9.5), cast("int", "2.1"))},
    ],
)
async def test_a_call_that_was_sent_counts_in_full_whatever_its_client_says_of_it(stated: dict[str, object]):
    said = msgspec.structs.replace(SENT, **stated)
    assert await Sender(SayingClient(said)).chat(REQUEST) == SENT


@pytest.mark.parametrize("counts", [(100, -1000), (-1, 3), (2**70, 3), (float("nan"), 3.0), (None, None)])
async def test_usage_that_cannot_be_is_none_and_settled_at_the_most(counts: tuple[int, int]):
    call = Call(REQUEST)
    response = await Sender(SayingClient(msgspec.structs.replace(SENT, usage=Usage(*counts)))).send(call)
    assert (response.usage, call.uncounted) == (Usage(), 1)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), None, "soon"])
async def test_a_time_that_cannot_be_is_the_one_measured(seconds: object):
    response = await Sender(SayingClient(msgspec.structs.replace(SENT, seconds=seconds))).chat(REQUEST)
    assert 0 <= response.seconds < 60


@pytest.mark.parametrize("logprob", [0.5, float("nan"), None])
async def test_tokens_with_a_probability_that_cannot_be_are_none(logprob: float):
    said = msgspec.structs.replace(SENT, tokens=(TokenChoice("a", -1.0, (TokenLogprob("b", logprob),)),))
    assert await Sender(SayingClient(said)).chat(REQUEST) == SENT


@pytest.mark.parametrize("answered", [None, "yes", ChatResponse(text=cast("str", None))])
async def test_what_is_no_response_is_an_error_that_names_the_model(answered: object):
    with pytest.raises(TypeError, match="the client of model 'small' returned"):
        await Sender(SayingClient(answered)).chat(REQUEST)


class OddClient:
    """Waits for a future that somebody has cancelled."""

    async def chat(self, request: ChatRequest) -> ChatResponse:
        shared = asyncio.get_running_loop().create_future()
        shared.cancel()
        return await shared


async def test_a_cancelled_future_of_a_host_is_an_error_and_no_cancellation():
    with pytest.raises(RuntimeError, match="the client of model 'small' raised CancelledError"):
        await Sender(OddClient()).chat(REQUEST)
    with anyio.move_on_after(0) as scope:
        await Sender(OddClient()).chat(REQUEST)
    assert scope.cancelled_caught
