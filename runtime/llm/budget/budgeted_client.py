"""The outermost layer: asks the budget before all else, and counts what each call came to."""

from ....scenarios.endpoints import Price
from ...errors import BudgetReached
from .._attempts import CURRENT
from ..chat import ChatClient, ChatRequest, ChatResponse, Usage
from .accounts import Reservation
from .budget import Budget
from .usage import Tally

# What chat templates add of their own, generously: a preamble and the marks around each turn.
_TEMPLATE_TOKENS = 64
_TURN_TOKENS = 8


class BudgetedClient:
    """Reserves the most a call can cost, makes it, and settles for what it did cost.

    A response without token counts is settled for what was reserved. Raises BudgetReached, once nothing is
    in flight any more, and what `inner` raises. `tally` counts for one model in one role.
    """

    def __init__(self, inner: ChatClient, budget: Budget, price: Price, tally: Tally) -> None:
        self._inner = inner
        self._budget = budget
        self._price = price
        self._tally = tally

    async def chat(self, request: ChatRequest) -> ChatResponse:
        most = Usage(most_prompt_tokens(request), request.max_tokens)
        call = Reservation(most.prompt_tokens + most.completion_tokens, cost(self._price, most))
        token = CURRENT.set(call)
        try:
            response = await self._reserved(call, request)
        except BudgetReached:
            await self._budget.quiet()
            raise
        finally:
            CURRENT.reset(token)
        return response

    async def _reserved(self, call: Reservation, request: ChatRequest) -> ChatResponse:
        budget = self._budget
        if not budget.take(call):
            await budget.wait_and_take(call)
        try:
            response = await self._inner.chat(request)
        except BaseException:
            budget.settle(call, call.started, 0, 0.0)
            self._tally.failed_after(call.started)
            raise
        usage = response.usage
        tokens = usage.prompt_tokens + usage.completion_tokens
        usd = cost(self._price, usage)
        if tokens:
            budget.settle(call, response.attempts, tokens, usd)
        else:
            budget.settle(call, response.attempts, call.tokens, call.usd)
        self._tally.add(response, usd)
        return response


def most_prompt_tokens(request: ChatRequest) -> int:
    """A bound on the prompt's tokens: byte-level tokenizers make no more tokens than UTF-8 has bytes."""
    content = sum(
        len(message.content) if message.content.isascii() else len(message.content.encode())
        for message in request.messages
    )
    return content + _TURN_TOKENS * len(request.messages) + _TEMPLATE_TOKENS


def cost(price: Price, usage: Usage) -> float:
    """US dollars."""
    return (
        usage.prompt_tokens * price.input_per_million + usage.completion_tokens * price.output_per_million
    ) / 1e6
