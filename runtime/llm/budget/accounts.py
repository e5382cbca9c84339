"""One account under the caps: what is spent, what calls in flight have reserved, what is held back."""

import math
from dataclasses import dataclass
from typing import Literal

import anyio

from ....scenarios.stages import BudgetSettings as Caps
from .._attempts import Attempts

Cap = Literal["calls", "tokens", "usd", "minutes"]


@dataclass(slots=True)
class Amounts:
    """HTTP calls, tokens and US dollars."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def add(self, more: "Amounts") -> None:
        self.calls += more.calls
        self.tokens += more.tokens
        self.usd += more.usd


@dataclass(frozen=True, slots=True)
class Held:
    """What is kept back for later: the `calls` that must still be made and, of what a cap leaves beside
    `beside` calls, the part `share` in [0, 1], at most `most` calls."""

    calls: int = 0
    beside: int = 0
    share: float = 0.0
    most: int = 0

    def of(self, cap: float, each: float) -> float:
        """How much of a cap that is, where a call takes `each` of it."""
        later = min(self.most * each, self.share * max(0.0, cap - self.beside * each)) if self.most else 0.0
        return self.calls * each + later


NOTHING_HELD = Held()

ENOUGH = 20
"""Calls from which the cost of one is known well enough to keep back what others will cost."""


SLACK = 1.1
"""Times the mean cost so far: prompts grow longer as they get better, and the last calls need room too."""


class Reservation(Attempts):
    """What one model call may cost at most, and which accounts know of it. `calls` grows with each retry."""

    __slots__ = ("calls", "paid", "tokens", "usd")

    def __init__(self, tokens: int, usd: float) -> None:
        super().__init__()
        self.calls = 1
        self.tokens = tokens
        self.usd = usd
        self.paid = False


class CapReached(Exception):
    """The account cannot take the reservation, whatever becomes of the calls in flight."""

    def __init__(self, cap: Cap) -> None:
        super().__init__(cap)
        self.cap: Cap = cap


class Account:
    """Spent plus reserved passes no cap less what is held.

    Of tokens and dollars as much is held as so many calls cost at `SLACK` times the mean of those spent so
    far; nothing until there are `ENOUGH`.
    """

    def __init__(self, caps: Caps) -> None:
        self.spent = Amounts()
        self.reserved = Amounts()
        self.held = NOTHING_HELD
        self.held_calls = 0
        self._calls = caps.calls or math.inf
        self._tokens = caps.tokens or math.inf
        self._usd = caps.usd or math.inf
        self._line = anyio.Lock()
        self._settled = anyio.Event()
        self._waits = False

    def hold(self, held: Held) -> None:
        """Hold so much from now on, in the place of what was held before."""
        self.held = held
        self.held_calls = math.floor(held.of(self._calls, 1))

    def take(self, call: Reservation) -> bool:
        """Reserve what the call may cost; False while others in flight or in line stand in its way.

        Raises CapReached when it would not fit even if those in flight cost nothing.
        """
        return not self._line.locked() and self._take(call)

    async def wait_and_take(self, call: Reservation) -> None:
        """Reserve as soon as calls in flight have settled for less, first come first served."""
        async with self._line:
            while not self._take(call):
                self._settled = anyio.Event()
                self._waits = True
                await self._settled.wait()

    def take_retry(self) -> None:
        """Reserve one further HTTP call of a call in flight. Raises CapReached."""
        if self.spent.calls + self.reserved.calls + 1 > self._calls - self.held_calls:
            raise CapReached("calls")
        self.reserved.calls += 1

    def settle(self, call: Reservation, calls: int, tokens: int, usd: float) -> None:
        """Turn the reservation into what the call came to."""
        reserved, spent = self.reserved, self.spent
        reserved.calls -= call.calls
        reserved.tokens -= call.tokens
        reserved.usd = reserved.usd - call.usd if reserved.calls else 0.0
        spent.calls += calls
        spent.tokens += tokens
        spent.usd += usd
        if self._waits:
            self._waits = False
            self._settled.set()

    def _take(self, call: Reservation) -> bool:
        spent, reserved = self.spent, self.reserved
        calls = self._calls - self.held_calls - spent.calls - call.calls
        tokens = self._tokens - spent.tokens - call.tokens
        usd = self._usd - spent.usd - call.usd
        if self.held is not NOTHING_HELD and spent.calls >= ENOUGH:
            tokens -= self.held.of(self._tokens, SLACK * spent.tokens / spent.calls)
            usd -= self.held.of(self._usd, SLACK * spent.usd / spent.calls)
        if calls < 0:
            raise CapReached("calls")
        if tokens < 0:
            raise CapReached("tokens")
        if usd < 0:
            raise CapReached("usd")
        if calls < reserved.calls or tokens < reserved.tokens or usd < reserved.usd:
            return False
        reserved.calls += call.calls
        reserved.tokens += call.tokens
        reserved.usd += call.usd
        return True
