"""The supply of candidates of a search: when the reference LLM is asked for more, and what it gave."""

import math

from ...runtime.search.race import Race
from .allotment import Amount
from .plan import Plan

AHEAD = 4
"""Candidates that are untried or being written at least, so that nobody waits for the reference LLM."""

ROWS_PER_CANDIDATE = 4
"""Rows answered for every candidate proposed at least; more where writing one costs more than rows do."""

LAG_WEIGHT = 0.2
HASTE = 1.5
"""Weight of the newest reply in the mean number of rows answered while one is written; and candidates asked
for, over those that were first tried in that time: rows that wait for a candidate are not counted there."""

UPFRONT = 1 / 40
"""Candidates that may be asked for at once in the beginning, as a share of the rows of the search."""

BARREN = 12
"""Replies in a row without a new candidate after which no more are asked for."""

FAILED_REPLIES = 4
"""Calls of the reference LLM that failed in a row after which it counts as lost."""


class Supply:
    """Replies of the reference LLM: `asked` for in all, `writing` now; `proposed` candidates came of them.

    `rows_answered` counts the rows that the prompts of the search have answered, whatever came out.
    """

    def __init__(self, plan: Plan, race: Race) -> None:
        self.asked = self.writing = self.proposed = self.rows_answered = 0
        self._plan = plan
        self._race = race
        self._barren = self._failures = 0
        self._cost = Amount(calls=1)
        self._asked_at: dict[int, int] = {}
        self._lag = 0.0

    @property
    def rows_asked(self) -> int:
        """Rows that prompts of the search were given."""
        return int(self._race.asked.sum())

    @property
    def count(self) -> int:
        """Candidates that one reply is asked for."""
        left = math.inf if self._plan.most is None else self._plan.most - self.proposed
        return int(max(1, min(self._plan.per_reply, left)))

    def wanted(self, left: float, row: Amount, window: int) -> bool:
        """True when another reply should be asked for now; arguments as of `Search.next`."""
        plan = self._plan
        if plan.proposals is not None and self.asked >= plan.proposals:
            return False
        if plan.most is not None and self.proposed + self.writing * self.count >= plan.most:
            return False
        if self._barren >= BARREN or not self._race.answered.any():
            return False
        per_reply = max(1.0, self.proposed / max(1, self.asked - self.writing))
        untried = len(self._race.untried())
        coming = untried + self.writing * per_reply
        price = self._price(row) / per_reply
        asked = self.rows_asked
        upfront = AHEAD if math.isinf(left) else max(AHEAD, UPFRONT * (asked + left))
        most = upfront + asked / max(ROWS_PER_CANDIDATE, 2 * price)
        meanwhile = self._lag * (len(self._race) - untried) / max(1, self.rows_answered)
        ahead = AHEAD + max(window / plan.block, HASTE * meanwhile)
        worthwhile = left > max(plan.block, self._lag)
        return coming < ahead and self.proposed + self.writing * per_reply < most and worthwhile

    def rows_for_first(self, left: float, row: Amount) -> float:
        """Rows that the original must leave to a first candidate and the reply that holds it."""
        plan = self._plan
        if len(self._race) > 1 or plan.proposals == 0 or plan.most == 0 or self._barren >= BARREN:
            return 0.0
        if self.writing:
            return plan.block
        return plan.block + self._price(row) if left > plan.block else 0.0

    def ask(self) -> int:
        """Count one more reply that is asked for; its number, from 1."""
        self.writing += 1
        self.asked += 1
        self._asked_at[self.asked] = self.rows_answered
        return self.asked

    def take(self, number: int, fresh: int) -> None:
        """A reply came, with so many candidates that were admitted."""
        lag = self.rows_answered - self._end(number)
        self._lag += LAG_WEIGHT * (lag - self._lag)
        self._failures = 0
        self.proposed += fresh
        self._barren = 0 if fresh else self._barren + 1

    def fail(self, number: int) -> bool:
        """A reply failed; True when the reference LLM counts as lost."""
        self._end(number)
        self._failures += 1
        self._barren += 1
        return self._failures >= FAILED_REPLIES

    def drop(self, number: int) -> None:
        """A reply was not waited for."""
        self._end(number)

    def learn_price(self, cost: Amount) -> None:
        """A reply cost this much."""
        if cost.calls:
            self._cost = self._cost * 0.8 + cost * 0.2 if self._cost.usd else cost

    def _end(self, number: int) -> int:
        """The rows that had been answered when the reply was asked for, which is on its way no more."""
        self.writing -= 1
        return self._asked_at.pop(number)

    def _price(self, row: Amount) -> float:
        """The cost of one reply, in rows of this search: in dollars where prices are known, else in calls."""
        if row.usd > 0 and self._cost.usd > 0:
            return self._cost.usd / row.usd
        return self._cost.calls / max(1.0, row.calls)
