"""Calls that may be billed though nobody counted them are settled for the most they can cost."""

import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from transfer_prompting.runtime.errors import CallFailed, RateLimited, Rejected, ServerFault, Unreachable
from transfer_prompting.runtime.llm._call import Layer, Sender, most_usage
from transfer_prompting.runtime.llm.budget.budget import Budget, BudgetedClient
from transfer_prompting.runtime.llm.budget.usage import Tally
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Usage
from transfer_prompting.runtime.llm.ledger._rows import APPLICATION_ID
from transfer_prompting.runtime.llm.ledger.ledger import Ledger
from transfer_prompting.runtime.llm.ledger.replay import LedgeredClient
from transfer_prompting.runtime.llm.retries import RetryingClient
from transfer_prompting.scenarios.endpoints import Retry
from transfer_prompting.scenarios.stages import BudgetSettings as Caps

from support.spending import PRICE, ask_many, asked, budget_over
from support.virtual_time import VirtualClock

MOST = most_usage(asked())
COUNTED = Usage(20, 5)
EACH = MOST.prompt_tokens + MOST.completion_tokens


class Server:
    """Fails with the errors it is given, then answers; counts what it was asked."""

    def __init__(self, *errors: Exception, usage: Usage = COUNTED, hangs: bool = False) -> None:
        self.errors = list(errors)
        self.usage = usage
        self.hangs = hangs
        self.count = 0
        self.at_once = self.most_at_once = 0

    async def chat(self, request: ChatRequest) -> ChatResponse:
        self.count += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.hangs:
                await anyio.sleep_forever()
            await anyio.lowlevel.checkpoint()
        finally:
            self.at_once -= 1
        if self.errors:
            raise self.errors.pop(0)
        return ChatResponse(text="B", usage=self.usage)


class NoWait(VirtualClock):
    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()


def client_of(
    server: Server, ledger: Ledger, budget: Budget, *, attempts: int = 6, tally: Tally | None = None
) -> BudgetedClient:
    retrying: Layer = RetryingClient(
        Sender(server), Retry(attempts=attempts), admit=budget.admit_another, clock=NoWait()
    )
    ledgered = LedgeredClient(retrying, ledger, "http://host/v1", admit=budget.admit)
    return BudgetedClient(ledgered, budget, PRICE, tally or Tally())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.mark.parametrize(
    ("error", "billed"),
    [
        (Unreachable("no answer in time"), True),
        (Unreachable("refused", attempts=0), False),
        (ServerFault("cut off"), True),
        (ServerFault("no completion", status=200), True),
        (ServerFault("gateway", status=504), True),
        (ServerFault("broken", status=500), False),
        (RateLimited("busy", status=429), False),
        (Rejected("no such model", status=404), False),
    ],
)
async def test_a_failed_call_costs_what_it_may_have_cost_now_and_after_a_resume(
    path: Path, error: CallFailed, billed: bool
) -> None:
    budget, tally = Budget(Caps(tokens=100_000)), Tally()
    async with Ledger.open(path) as ledger:
        with pytest.raises(CallFailed):
            await client_of(Server(error), ledger, budget, attempts=1, tally=tally).chat(asked())
    assert budget.path_spent().tokens == (EACH if billed else 0)
    assert budget.path_spent().usd == (MOST.prompt_tokens + 2 * MOST.completion_tokens if billed else 0)
    assert tally.prompt_tokens + tally.completion_tokens == budget.path_spent().tokens
    async with Ledger.open(path) as ledger:
        again = budget_over(ledger, Caps(tokens=100_000))
        await client_of(Server(), ledger, again).chat(asked())
    assert again.path_spent().tokens == (EACH if billed else 0) + 25


async def test_a_retry_after_a_lost_answer_is_counted_beside_it_also_when_replayed(path: Path) -> None:
    for _ in range(2):
        async with Ledger.open(path) as ledger:
            budget = budget_over(ledger, Caps(tokens=100_000))
            response = await client_of(Server(Unreachable("lost")), ledger, budget).chat(asked())
        assert (response.attempts, response.usage, response.uncounted) == (2, Usage(20, 5), MOST)
        assert budget.path_spent().tokens == EACH + 25


async def test_a_retry_after_a_lost_answer_is_refused_when_both_may_pass_the_cap(path: Path) -> None:
    server = Server(Unreachable("lost"))
    async with Ledger.open(path) as ledger:
        budget = Budget(Caps(tokens=2 * EACH - 1))
        with pytest.raises(Exception, match=r"budget\.tokens is reached"):
            await client_of(server, ledger, budget).chat(asked())
    assert server.count == 1


async def test_a_cancelled_call_costs_what_it_may_have_cost(path: Path) -> None:
    async with Ledger.open(path) as ledger:
        budget = Budget(Caps(tokens=100_000))
        with anyio.move_on_after(0.01):
            await client_of(Server(hangs=True), ledger, budget).chat(asked())
    assert budget.path_spent().tokens == EACH


async def test_without_a_usage_tally_and_budget_agree(path: Path) -> None:
    tally = Tally()
    async with Ledger.open(path) as ledger:
        budget = Budget(Caps(usd=100_000))
        await client_of(Server(usage=Usage()), ledger, budget, tally=tally).chat(asked())
    assert tally.usd == budget.path_spent().usd > 0
    assert tally.prompt_tokens + tally.completion_tokens == budget.path_spent().tokens == EACH


async def test_a_server_that_ignores_the_limit_of_tokens_does_not_pass_the_cap_by_many_calls(
    path: Path,
) -> None:
    long, cap = 20_000, 60_000
    server = Server(usage=Usage(20, long))
    async with Ledger.open(path) as ledger:
        budget = Budget(Caps(tokens=cap))
        ends = await ask_many(client_of(server, ledger, budget), range(100), at_once=64)
    assert ends[0] == server.count == 2
    assert budget.path_spent().tokens <= cap


async def test_the_first_call_alone_is_sent_before_a_cap_on_tokens(path: Path) -> None:
    for caps, most in ((Caps(tokens=10**9), 1), (Caps(calls=100), 8)):
        server = Server(Unreachable("one"), hangs=True)
        async with Ledger.open(path.with_name(f"{most}.sqlite")) as ledger:
            client = client_of(server, ledger, Budget(caps))
            with anyio.move_on_after(0.05):
                await ask_many(client, range(8), at_once=8)
        assert server.most_at_once == most


async def test_a_ledger_of_the_first_schema_is_brought_to_the_present_one(path: Path) -> None:
    async with Ledger.open(path) as ledger:
        await client_of(Server(), ledger, Budget(Caps())).chat(asked(1))
    with closing(sqlite3.connect(path)) as connection:
        for table in ("calls", "failures"):
            for column in ("uncounted_prompt", "uncounted_completion"):
                connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("ALTER TABLE calls DROP COLUMN batched")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    server = Server()
    async with Ledger.open(path) as ledger:
        assert (await client_of(server, ledger, Budget(Caps())).chat(asked(1))).replayed
        assert not (await client_of(server, ledger, Budget(Caps())).chat(asked(2))).replayed
    assert server.count == 1
