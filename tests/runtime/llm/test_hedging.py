"""A call that takes unusually long is sent a second time, within bounds; the first answer is the answer."""

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Self

import anyio
import pytest
from anyio.abc import TaskGroup

from transfer_prompting.runtime.errors import BudgetReached, RateLimited, Rejected, ServerFault
from transfer_prompting.runtime.llm._call import Call, Sender
from transfer_prompting.runtime.llm.budget.budget import Budget, BudgetedClient
from transfer_prompting.runtime.llm.budget.usage import Tally
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message
from transfer_prompting.runtime.llm.hedging import HedgingClient, Latencies
from transfer_prompting.runtime.llm.ledger.ledger import open_ledger
from transfer_prompting.runtime.llm.ledger.replay import LedgeredClient
from transfer_prompting.runtime.llm.limits.limiter import LimitedClient, Limiter
from transfer_prompting.runtime.llm.retries import RetryingClient
from transfer_prompting.runtime.llm.stack import open_models
from transfer_prompting.scenarios.endpoints import Limits, Price, Retry
from transfer_prompting.scenarios.scenario import Scenario
from transfer_prompting.scenarios.stages import BudgetSettings as Caps

from support.chat_server import chat_server
from support.virtual_time import VirtualClock, in_virtual_time


def asked(number: int = 0, max_tokens: int = 5) -> ChatRequest:
    return ChatRequest(model="m", messages=(Message("user", "hi"),), max_tokens=max_tokens, sample=number)


class Server:
    """Takes `seconds(number)` for its n-th call; an exception in the place of seconds is raised at once."""

    def __init__(self, seconds: Callable[[int], float | Exception]) -> None:
        self.seconds = seconds
        self.count = 0
        self.cancelled = 0

    async def chat(self, request: ChatRequest) -> ChatResponse:
        self.count += 1
        number = self.count
        seconds = self.seconds(number)
        if isinstance(seconds, Exception):
            raise seconds
        try:
            await anyio.sleep(seconds)
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        return ChatResponse(text=f"answer {number}")


def admit_all(_call: Call) -> None:
    """An unlimited budget."""


class Stack:
    """Hedging over retries over limits over a server, in virtual time."""

    def __init__(
        self,
        server: Server,
        tasks: TaskGroup,
        *,
        limits: Limits | None = None,
        admit: Callable[[Call], None] = admit_all,
    ) -> None:
        clock = VirtualClock()
        self.limiter = Limiter(limits or Limits(concurrency=64), clock)
        limited = LimitedClient(Sender(server), self.limiter)
        retrying = RetryingClient(limited, Retry(), clock=clock, random=random.Random(1))
        self.client = HedgingClient(retrying, limited, self.limiter, admit=admit, tasks=tasks)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, server: Server, *, limits: Limits | None = None, admit: Callable[[Call], None] = admit_all
    ) -> AsyncGenerator[Self]:
        async with anyio.create_task_group() as tasks:
            yield cls(server, tasks, limits=limits, admit=admit)
            tasks.cancel_scope.cancel()

    async def learn(self, calls: int = 40) -> None:
        for number in range(calls):
            await self.client.chat(asked(number))

    async def timed(self, request: ChatRequest) -> tuple[ChatResponse, float]:
        start = anyio.current_time()
        response = await self.client.chat(request)
        return response, anyio.current_time() - start


def slow_at(*numbers: int, seconds: float = 60.0) -> Callable[[int], float]:
    return lambda number: seconds if number in numbers else 1.0


def test_the_second_answer_is_taken_and_the_slow_call_is_cancelled():
    server = Server(slow_at(41))

    async def main() -> tuple[ChatResponse, float]:
        async with Stack.open(server) as stack:
            await stack.learn()
            return await stack.timed(asked(99))

    response, seconds = in_virtual_time(main)
    assert response.text == "answer 42"
    assert response.attempts == 2
    assert seconds == pytest.approx(2.0)  # a second until the call is overdue, a second for the other
    assert (server.count, server.cancelled) == (42, 1)


def test_a_slow_call_that_answers_first_is_the_answer_and_the_hedge_is_cancelled():
    server = Server(lambda number: {41: 1.5, 42: 10.0}.get(number, 1.0))

    async def main() -> tuple[ChatResponse, float]:
        async with Stack.open(server) as stack:
            await stack.learn()
            return await stack.timed(asked(99))

    response, seconds = in_virtual_time(main)
    assert (response.text, response.attempts) == ("answer 41", 2)
    assert seconds == pytest.approx(1.5)
    assert server.cancelled == 1


@pytest.mark.parametrize("known", [0, 19])
def test_too_few_finished_calls_say_nothing_about_latency(known: int):
    server = Server(slow_at(known + 1))

    async def main() -> tuple[ChatResponse, float]:
        async with Stack.open(server) as stack:
            await stack.learn(known)
            return await stack.timed(asked(99))

    response, seconds = in_virtual_time(main)
    assert (response.attempts, seconds) == (1, pytest.approx(60.0))


def test_calls_with_another_bound_on_tokens_are_not_comparable():
    server = Server(slow_at(41))

    async def main() -> tuple[ChatResponse, float]:
        async with Stack.open(server) as stack:
            await stack.learn()
            return await stack.timed(asked(99, max_tokens=2000))

    assert in_virtual_time(main)[0].attempts == 1


def test_no_call_is_hedged_within_half_a_second():
    server = Server(lambda number: 0.4 if number == 41 else 0.01)

    async def main() -> tuple[ChatResponse, float]:
        async with Stack.open(server) as stack:
            await stack.learn()
            return await stack.timed(asked(99))

    assert in_virtual_time(main)[0].attempts == 1


def test_at_most_one_call_in_twenty_is_hedged():
    """An endpoint that suddenly slows down makes every call overdue."""
    server = Server(lambda number: 1.0 if number <= 40 else 30.0)

    async def main() -> int:
        async with Stack.open(server) as stack:
            await stack.learn()
            async with anyio.create_task_group() as tasks:
                for number in range(40, 140):
                    tasks.start_soon(stack.client.chat, asked(number))
            return server.count - 140

    assert 1 <= in_virtual_time(main) <= 7


def test_the_first_call_that_makes_a_hedge_a_twentieth_of_all_is_hedged():
    """One hedge is allowed from call 20 on, a second from call 40 on, a third from call 60 on."""
    slow, calls = {38, 39, 40, 59, 60}, 0

    def seconds(_number: int) -> float:
        if calls not in slow:
            return 1.0
        slow.remove(calls)  # the hedge of a slow call is none
        return 5.0

    async def main() -> list[int]:
        nonlocal calls
        hedged = list[int]()
        async with Stack.open(Server(seconds)) as stack:
            for calls in range(1, 61):
                if (await stack.client.chat(asked(calls))).attempts == 2:
                    hedged.append(calls)
            return hedged

    assert in_virtual_time(main) == [38, 40, 60]


def test_no_hedge_while_every_place_is_taken():
    server = Server(slow_at(41, seconds=5.0))
    admitted: list[Call] = []

    async def main() -> int:
        async with Stack.open(server, limits=Limits(concurrency=1), admit=admitted.append) as stack:
            await stack.learn()
            return (await stack.client.chat(asked(99))).attempts

    assert in_virtual_time(main) == 1
    assert admitted == []


def test_a_call_is_not_overdue_while_it_waits_in_the_queue():
    server = Server(slow_at())

    async def main() -> float:
        async with Stack.open(server, limits=Limits(concurrency=4)) as stack:
            await stack.learn()
            begin = anyio.current_time()
            async with anyio.create_task_group() as tasks:
                for number in range(40, 60):
                    tasks.start_soon(stack.client.chat, asked(number))
            return anyio.current_time() - begin

    assert in_virtual_time(main) == pytest.approx(5.0)
    assert server.count == 60


def test_a_call_is_not_overdue_while_it_waits_for_its_retry():
    server = Server(
        lambda number: RateLimited("slow down", retry_after=30, status=429) if number == 41 else 1.0
    )

    async def main() -> tuple[ChatResponse, float]:
        async with Stack.open(server) as stack:
            await stack.learn()
            return await stack.timed(asked(99))

    response, seconds = in_virtual_time(main)
    assert (response.text, seconds) == ("answer 42", pytest.approx(31.0))
    assert server.count == 42


def test_a_call_that_fails_before_it_is_overdue_fails_at_once():
    server = Server(lambda number: Rejected("no such model", status=404) if number == 41 else 1.0)

    async def main() -> float:
        async with Stack.open(server) as stack:
            await stack.learn()
            begin = anyio.current_time()
            with pytest.raises(Rejected, match="no such model"):
                await stack.client.chat(asked(99))
            return anyio.current_time() - begin

    assert in_virtual_time(main) == 0.0
    assert server.count == 41


def test_an_answer_that_comes_while_its_caller_is_cancelled_is_not_lost():
    """It is paid: the layers above have to see it."""

    async def main() -> str | None:
        scope = anyio.CancelScope()

        class Cancelling(Server):
            async def chat(self, request: ChatRequest) -> ChatResponse:
                response = await super().chat(request)
                if response.text == "answer 41":
                    scope.cancel()
                return response

        async with Stack.open(Cancelling(slow_at())) as stack:
            await stack.learn()
            with scope:
                return (await stack.client.chat(asked(99))).text

    assert in_virtual_time(main) == "answer 41"


@pytest.mark.parametrize(("first", "seconds"), [(60.0, 1.0), (1.5, 1.5)])
def test_the_seconds_of_a_call_are_those_of_the_http_call_that_answered(first: float, seconds: float):
    server = Server(slow_at(41, seconds=first))

    async def main() -> float | None:
        async with Stack.open(server) as stack:
            await stack.learn()
            call = Call(asked(99))
            await stack.client.send(call)
            return call.seconds

    assert in_virtual_time(main) == pytest.approx(seconds)


def test_the_quantile_of_latencies_is_known_from_twenty_calls_and_renewed_every_twenty():
    latencies = Latencies()
    seen: list[float | None] = []
    for number in range(1, 41):
        latencies.add(float(number))
        seen.append(latencies.threshold)
    assert seen == [None] * 19 + [19.0] * 20 + [38.0]


def test_latencies_of_more_than_two_hundred_calls_ago_are_forgotten():
    latencies = Latencies()
    for seconds in [9.0] * 100 + [1.0] * 200:
        latencies.add(seconds)
    assert latencies.threshold == 1.0


def test_no_hedge_during_a_pause_that_the_endpoint_asked_for():
    server = Server(
        lambda number: {41: 5.0, 42: RateLimited("slow down", retry_after=30, status=429)}.get(number, 1.0)
    )

    async def main() -> int:
        async with Stack.open(server) as stack:
            await stack.learn()
            attempts = [0]

            async def slow() -> None:
                attempts[0] = (await stack.client.chat(asked(98))).attempts

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(slow)
                await anyio.sleep(0.1)
                tasks.start_soon(stack.client.chat, asked(99))
            return attempts[0]

    assert in_virtual_time(main) == 1


def test_a_hedge_that_fails_changes_nothing():
    server = Server(lambda number: {41: 5.0, 42: ServerFault("busy", status=500)}.get(number, 1.0))

    async def main() -> tuple[ChatResponse, float]:
        async with Stack.open(server) as stack:
            await stack.learn()
            return await stack.timed(asked(99))

    response, seconds = in_virtual_time(main)
    assert (response.text, response.attempts) == ("answer 41", 2)
    assert seconds == pytest.approx(5.0)


def test_a_call_that_fails_while_its_hedge_is_in_flight_waits_for_the_hedge():
    async def late_failure() -> tuple[ChatResponse, int]:
        class Failing(Server):
            async def chat(self, request: ChatRequest) -> ChatResponse:
                response = await super().chat(request)
                if response.text == "answer 41":
                    raise ServerFault("lost", status=400)
                return response

        server = Failing(lambda number: {41: 2.0, 42: 3.0}.get(number, 1.0))
        async with Stack.open(server) as stack:
            await stack.learn()
            return await stack.client.chat(asked(99)), server.count

    response, count = in_virtual_time(late_failure)
    assert response.text in ("answer 42", "answer 43")
    assert response.attempts == count - 40


def test_the_hedge_of_a_call_that_failed_for_good_is_its_answer():
    async def main() -> tuple[ChatResponse, float]:
        class Failing(Server):
            async def chat(self, request: ChatRequest) -> ChatResponse:
                response = await super().chat(request)
                if response.text == "answer 41":
                    raise Rejected("no such model", status=404)
                return response

        async with Stack.open(Failing(lambda number: 1.5 if number == 41 else 1.0)) as stack:
            await stack.learn()
            return await stack.timed(asked(99))

    response, seconds = in_virtual_time(main)
    assert (response.text, response.attempts, seconds) == ("answer 42", 2, pytest.approx(2.0))


def test_time_in_the_queue_is_not_latency():
    server = Server(lambda number: 1.0)

    async def main() -> None:
        async with (
            Stack.open(server, limits=Limits(concurrency=4)) as stack,
            anyio.create_task_group() as tasks,
        ):
            for number in range(200):
                tasks.start_soon(stack.client.chat, asked(number))

    in_virtual_time(main)
    assert server.count == 200


def test_a_spent_budget_refuses_the_hedge_and_not_the_call():
    def refuse(_call: Call) -> None:
        raise BudgetReached("enough")

    server = Server(slow_at(41, seconds=5.0))

    async def main() -> ChatResponse:
        async with Stack.open(server, admit=refuse) as stack:
            await stack.learn()
            return await stack.client.chat(asked(99))

    assert in_virtual_time(main).attempts == 1


def test_the_budget_counts_hedges_as_http_calls():
    server = Server(slow_at(41, 60))

    async def main() -> tuple[float, int]:
        budget, clock, tally = Budget(Caps(calls=1000)), VirtualClock(), Tally()
        async with open_ledger(None) as ledger, anyio.create_task_group() as tasks:
            limiter = Limiter(Limits(concurrency=64), clock)
            limited = LimitedClient(Sender(server), limiter)
            hedging = HedgingClient(limited, limited, limiter, admit=budget.admit_another, tasks=tasks)
            ledgered = LedgeredClient(hedging, ledger, "e", admit=budget.admit)
            client = BudgetedClient(ledgered, budget, Price(), tally)
            for number in range(70):
                await client.chat(asked(number))
            tasks.cancel_scope.cancel()
        return budget.remaining()["calls"].spent, tally.calls + tally.retries

    spent, sent = in_virtual_time(main)
    assert spent == sent == server.count == 72


def test_a_cancelled_caller_cancels_both_calls():
    server = Server(slow_at(41, 42))

    async def main() -> None:
        async with Stack.open(server) as stack:
            await stack.learn()
            with anyio.move_on_after(5):
                await stack.client.chat(asked(99))

    in_virtual_time(main)
    assert (server.count, server.cancelled) == (42, 2)


@pytest.mark.parametrize(("hedge", "count"), [(None, 43), (False, 42)])
async def test_over_http_a_call_that_hangs_is_answered_by_its_hedge(hedge: bool | None, count: int):
    """The forty-first call hangs until the next comes (or, with hedging off, until the test lets it go)."""
    calls, released = 0, anyio.Event()

    async def reply(_body: object) -> str:
        nonlocal calls
        calls += 1
        if calls == 41:
            await released.wait()
        return "ok"

    async with chat_server(reply) as server:
        endpoint = {"base_url": server.base_url, **({} if hedge is None else {"hedge": hedge})}
        scenario = Scenario.model_validate(
            {
                "name": "trial",
                "endpoints": {"here": endpoint},
                "models": {"small": {"endpoint": "here", "model": "m"}},
                "reference": {"model": "small"},
                "targets": ["small"],
                "tasks": {"t": {"data": "t.jsonl", "kind": "yes_no"}},
                "stages": {"source": {"tasks": ["t"], "seed_prompts": ["Say."]}, "target": {"tasks": ["t"]}},
            }
        )
        budget = Budget(scenario.budget)
        async with (
            open_ledger(None) as ledger,
            open_models(scenario, ledger=ledger, budget=budget) as models,
        ):
            client = models.client("small", "target")
            for number in range(40):
                await client.chat(asked(number))
            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.chat, asked(98))
                    if hedge is False:
                        while calls < 41:  # noqa: ASYNC110 - the server has no event for an arrival
                            await anyio.sleep(0.005)
                        await anyio.sleep(0.7)
                        released.set()
                await client.chat(asked(99))
            used = models.usage()
        assert server.count == count == budget.remaining()["calls"].spent
        assert (used.calls, used.calls + used.retries) == (42, count)
