"""Spending of searches: planned when work is issued, settled when its results are taken in.

Decisions see planned and settled amounts only, never what happens to be in flight, so that a run which its
budget ends takes the same path however fast its endpoints are.
"""

import math
from collections.abc import Mapping

import msgspec

from ...runtime.messages import CallCost, Unit
from ...scenarios.endpoints import Price
from ...scenarios.stages import BudgetSettings as Caps

MARGIN = 1.1
"""Factor on the mean cost of a call so far at which the final test is reserved: good prompts are longer."""

RETRIED = 2.0
"""Factor on the share of retries so far at which retries of the final test are reserved."""


class Amount(msgspec.Struct, frozen=True):
    """HTTP calls, rows answered by targets, tokens and US dollars."""

    calls: float = 0.0
    evaluations: float = 0.0
    tokens: float = 0.0
    usd: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.calls + other.calls,
            self.evaluations + other.evaluations,
            self.tokens + other.tokens,
            self.usd + other.usd,
        )

    def __mul__(self, times: float) -> "Amount":
        return Amount(self.calls * times, self.evaluations * times, self.tokens * times, self.usd * times)


UNITS = ("calls", "evaluations", "tokens", "usd")


def priced(cost: CallCost, price: Price, *, evaluations: int = 0) -> Amount:
    """The actual cost of calls."""
    usd = price.usd(cost.prompt_tokens, cost.completion_tokens)
    return Amount(cost.calls, evaluations, cost.tokens, usd)


class Allotment:
    """The caps of a run less the reserve for its final test, and how much of them is issued or settled.

    `spent` is what the run cost before (probes), `reserve` the calls of the final test. A search that is only
    to have a share of the whole gets a `part` of it.
    """

    def __init__(self, caps: Mapping[str, float], *, spent: Amount, reserve: int) -> None:
        self._caps = {unit: caps.get(unit, math.inf) for unit in UNITS}
        self._spent = spent
        self._reserve = reserve
        self._answered = Amount()
        self._planned_calls = 0.0

    @classmethod
    def of(cls, caps: Caps, evaluations: int | None, *, spent: Amount, reserve: int) -> "Allotment":
        """Under the scenario's caps; `evaluations` is the cap on rows answered while searching."""
        named = {"calls": caps.calls, "evaluations": evaluations, "tokens": caps.tokens, "usd": caps.usd}
        return cls(
            {unit: float(cap) for unit, cap in named.items() if cap is not None},
            spent=spent,
            reserve=reserve,
        )

    @property
    def spent(self) -> Amount:
        """Settled, and planned for what is in flight."""
        return self._spent

    @property
    def bounded(self) -> bool:
        """True when any cap bounds the search."""
        return any(math.isfinite(cap) for cap in self._caps.values())

    def times(self, each: Amount) -> float:
        """The number of times `each` can still be paid for; infinite where no cap bounds it."""
        most = math.inf
        for unit in UNITS:
            cost = getattr(each, unit)
            if cost > 0 and math.isfinite(self._caps[unit]):
                most = min(most, self._left(unit) / cost)
        return max(0.0, most)

    def progress(self) -> float:
        """The share in [0, 1] of the tightest cap that is spent; 0 without caps."""
        shares = [0.0]
        for unit in UNITS:
            cap = self._caps[unit] - self._reserved(unit)
            if math.isfinite(cap) and cap > 0:
                shares.append(getattr(self._spent, unit) / cap)
        return min(1.0, max(shares))

    def issue(self, planned: Amount) -> None:
        """Work of this cost begins."""
        self._spent += planned

    def settle(self, planned: Amount, actual: Amount) -> None:
        """Work ended: the actual cost takes the place of the planned one."""
        self._spent += planned * -1.0 + actual
        self._answered += actual
        self._planned_calls += planned.calls

    def part(self, share: float, *, usual: int, before: int | None = None) -> "Allotment":
        """An allotment of this share of what is left; `absorb` it when it is done with. Where no cap bounds
        the search (a cap on minutes says nothing of rows), the share is of the `usual` number of rows. What
        was allotted `before` is allotted again, however the caps were raised."""
        if before is not None:
            unit = self.unit
            return Allotment({unit: getattr(self._spent, unit) + before}, spent=self._spent, reserve=0)
        left = {unit: self._left(unit) for unit in UNITS if math.isfinite(self._caps[unit])}
        left = left or {"evaluations": usual}
        caps = {unit: getattr(self._spent, unit) + share * amount for unit, amount in left.items()}
        return Allotment(caps, spent=self._spent, reserve=0)

    def absorb(self, part: "Allotment") -> None:
        """Count in what a part of this allotment spent."""
        self._spent = part._spent
        self._answered += part._answered
        self._planned_calls += part._planned_calls

    @property
    def calls_left(self) -> int | None:
        """Calls, or evaluations where these are the tighter cap, that searches may still make; None where
        neither is capped."""
        left = [self._left(unit) for unit in ("calls", "evaluations") if math.isfinite(self._caps[unit])]
        return max(0, int(min(left))) if left else None

    @property
    def unit(self) -> Unit:
        """The unit of `calls_left`."""
        return "evaluations" if self._left("evaluations") < self._left("calls") else "calls"

    def _left(self, unit: str) -> float:
        return self._caps[unit] - getattr(self._spent, unit) - self._reserved(unit)

    def _reserved(self, unit: str) -> float:
        if unit == "evaluations":
            return 0.0
        calls = self._answered.calls
        if unit == "calls":
            retried = max(0.0, calls / self._planned_calls - 1) if self._planned_calls else 0.0
            return self._reserve * (1 + RETRIED * retried)
        return MARGIN * self._reserve * getattr(self._answered, unit) / calls if calls else 0.0
