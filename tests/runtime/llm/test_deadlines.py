"""Caps on time bound every wait of a call: for its turn, and before its retry."""

from pathlib import Path

import anyio
import pytest

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.errors import BudgetReached, CallFailed, RateLimited
from transfer_prompting.runtime.llm._call import Sender
from transfer_prompting.runtime.llm.budget.budget import Budget, BudgetedClient
from transfer_prompting.runtime.llm.budget.usage import Tally
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message
from transfer_prompting.runtime.llm.limits.limiter import LimitedClient, Limiter
from transfer_prompting.runtime.llm.retries import RetryingClient
from transfer_prompting.scenarios.endpoints import Limits, Price, Retry
from transfer_prompting.scenarios.stages import BudgetSettings

from support.chat_server import Fault
from support.runs import simulated
from support.virtual_time import VirtualClock, in_virtual_time

REQUEST = ChatRequest(model="m", messages=(Message("user", "hi"),), max_tokens=4)


class Refusing:
    """Refuses every call as one too many."""

    def __init__(self, retry_after: float | None = None) -> None:
        self.retry_after = retry_after

    async def chat(self, request: ChatRequest) -> ChatResponse:
        raise RateLimited("slow down", retry_after=self.retry_after, status=429)


def ends(
    server: Refusing,
    calls: int,
    *,
    retry: Retry | None = None,
    limits: Limits | None = None,
    minutes: float | None = None,
) -> tuple[float, list[Exception]]:
    """The errors in which so many calls at once end, and the (virtual) seconds until the last of them."""
    clock, policy = VirtualClock(), retry or Retry()
    found: list[Exception] = []

    async def main() -> float:
        budget = Budget(BudgetSettings(minutes=minutes), clock=clock.now)
        limiter = Limiter(limits or Limits(), clock, patience=policy.seconds)
        limited = LimitedClient(Sender(server), limiter, budget)
        layers = RetryingClient(limited, policy, admit=budget.admit_another, deadline=budget, clock=clock)
        client = BudgetedClient(layers, budget, Price(), Tally())

        async def one() -> None:
            try:
                await client.chat(REQUEST)
            except (BudgetReached, CallFailed) as error:
                found.append(error)

        async with anyio.create_task_group() as tasks:
            for _ in range(calls):
                tasks.start_soon(one)
        return anyio.current_time()

    return in_virtual_time(main), found


@pytest.mark.parametrize("retry_after", [None, 0.0, 3.0])
def test_calls_do_not_wait_for_an_endpoint_that_refuses_all_longer_than_retries_may_take(
    retry_after: float | None,
):
    seconds, errors = ends(Refusing(retry_after), 200, retry=Retry(attempts=4, seconds=20))
    assert seconds <= 60
    assert len(errors) == 200
    assert all(isinstance(error, RateLimited) for error in errors)
    assert any("refused all calls for" in str(error) or "asks to wait" in str(error) for error in errors)


def test_the_cap_on_minutes_ends_the_wait_before_a_retry():
    seconds, errors = ends(Refusing(retry_after=200), 1, minutes=0.5)
    assert 30 <= seconds < 31
    assert [type(error) for error in errors] == [BudgetReached]


def test_the_cap_on_minutes_ends_the_wait_for_a_turn():
    limits = Limits(requests_per_minute=1)
    seconds, errors = ends(Refusing(), 5, retry=Retry(attempts=1), limits=limits, minutes=1.5)
    assert 90 <= seconds < 91
    assert {type(error) for error in errors} == {BudgetReached, RateLimited}


async def test_a_run_ends_soon_where_every_call_is_refused_with_a_wait_that_makes_no_sense(tmp_path: Path):
    retry = Retry(attempts=2, seconds=0.3)
    async with simulated(tmp_path) as (scenario, _, server):
        server.behaviour = lambda _: Fault(429, headers={"retry-after-ms": "9999999999999"})
        brief = {
            name: endpoint.model_copy(update={"retry": retry})
            for name, endpoint in scenario.endpoints.items()
        }
        with anyio.fail_after(60):
            async with Team(scenario.model_copy(update={"endpoints": brief})) as team:
                results = await team.run()
    assert results.status == "failed"
