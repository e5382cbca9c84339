"""What a run has already cost, from its ledger into its budget."""

from ....scenarios.endpoints import Price
from ....scenarios.scenario import Scenario
from ..ledger.key import endpoint_identity
from ..ledger.protocol import CallLedger
from ..protocol import Usage
from .account import Amounts
from .budget import Budget
from .client import cost

_FREE = Price()


def count_earlier(scenario: Scenario, ledger: CallLedger, budget: Budget) -> None:
    """Tell the budget what earlier invocations paid for, at the scenario's prices of today.

    Where two entries of `models` are one model of one endpoint, the dearer price counts.
    """
    before = ledger.earlier
    prices: dict[tuple[str, str], list[Price]] = {}
    for spec in scenario.models.values():
        identity = endpoint_identity(scenario.endpoints[spec.endpoint])
        prices.setdefault((identity, spec.model), []).append(spec.price)
    paid = Amounts(calls=before.failed_attempts)
    for row in before.paid:
        usage = Usage(row.prompt_tokens, row.completion_tokens)
        usd = max(cost(price, usage) for price in prices.get((row.endpoint, row.model), [_FREE]))
        paid.add(Amounts(row.attempts, row.prompt_tokens + row.completion_tokens, usd))
    budget.resume(paid=paid, seconds=before.seconds)
