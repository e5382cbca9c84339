"""A counting server without a network, and the layers that stand between it and a budget."""

from collections.abc import Callable

import anyio

from transfer_prompting.runtime.errors import BudgetReached, RateLimited
from transfer_prompting.runtime.llm._call import Call, Layer, Sender
from transfer_prompting.runtime.llm.budget.budget import Amounts, Budget, BudgetedClient
from transfer_prompting.runtime.llm.budget.usage import Tally
from transfer_prompting.runtime.llm.chat import ChatClient, ChatRequest, ChatResponse, Message, Usage
from transfer_prompting.runtime.llm.ledger.ledger import Ledger
from transfer_prompting.runtime.llm.ledger.replay import LedgeredClient
from transfer_prompting.scenarios.endpoints import Price
from transfer_prompting.scenarios.stages import BudgetSettings as Caps

FREE = Price()
PRICE = Price(input_per_million=1_000_000, output_per_million=2_000_000)  # a dollar, two dollars a token
NOTHING = Usage()


class Counter:
    """A server that counts, takes a moment, and can be told to cost tokens, or to fail now and then."""

    def __init__(
        self,
        usage: Usage = NOTHING,
        fails: Callable[[int], bool] = lambda number: False,
    ) -> None:
        self.served = 0
        self.most_at_once = 0
        self.usage = usage
        self._fails = fails
        self._at_once = 0

    async def chat(self, request: ChatRequest) -> ChatResponse:
        self.served += 1
        number = self.served
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await anyio.sleep(0.001 * (number % 3))
        finally:
            self._at_once -= 1
        if self._fails(number):
            raise RateLimited("busy")
        return ChatResponse(text="B", usage=self.usage)


class Retrying(Layer):
    """Tries a failed call again, having asked the budget."""

    def __init__(self, inner: Layer, budget: Budget, attempts: int) -> None:
        self._inner = inner
        self._budget = budget
        self._attempts = attempts

    async def send(self, call: Call) -> ChatResponse:
        for number in range(1, self._attempts + 1):
            try:
                return await self._inner.send(call)
            except RateLimited:
                if number == self._attempts:
                    raise
                self._budget.admit_another(call)
        raise AssertionError


def asked(number: int = 0, most: int = 10) -> ChatRequest:
    return ChatRequest(model="m", messages=(Message("user", "What?"),), max_tokens=most, sample=number)


def stack(
    server: ChatClient, budget: Budget, ledger: Ledger, *, price: Price = FREE, attempts: int = 1
) -> BudgetedClient:
    retrying = Retrying(Sender(server), budget, attempts)
    ledgered = LedgeredClient(retrying, ledger, "http://host/v1", admit=budget.admit)
    return BudgetedClient(ledgered, budget, price, Tally())


def budget_over(ledger: Ledger, caps: Caps) -> Budget:
    before = ledger.earlier
    paid = Amounts(
        calls=sum(row.attempts for row in before.paid) + before.failed_attempts,
        tokens=sum(row.prompt_tokens + row.completion_tokens for row in before.paid),
    )
    budget = Budget(caps)
    budget.resume(paid=paid, seconds=before.seconds)
    return budget


async def ask_many(client: ChatClient, numbers: range, *, at_once: int) -> tuple[int, int, int]:
    """How many of the calls were answered, refused by the budget, failed."""
    ends = {"answered": 0, "refused": 0, "failed": 0}
    todo = iter(numbers)

    async def work() -> None:
        for number in todo:
            try:
                await client.chat(asked(number))
                ends["answered"] += 1
            except BudgetReached:
                ends["refused"] += 1
            except RateLimited:
                ends["failed"] += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(work)
    return ends["answered"], ends["refused"], ends["failed"]
