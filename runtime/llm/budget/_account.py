"""One account under the caps: spent, reserved for calls in flight, reserved for the final test."""

import math
from typing import Literal

import anyio
import msgspec

from ....scenarios.stages import BudgetSettings as Caps
from .._call import Reservation

Cap = Literal["calls", "tokens", "usd", "minutes"]


class Amounts(msgspec.Struct):
    """HTTP calls, tokens and US dollars."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def add(self, more: "Amounts") -> None:
        self.calls += more.calls
        self.tokens += more.tokens
        self.usd += more.usd


ENOUGH = 20
"""Calls from which the mean cost of a call is known well enough to reserve what others will cost."""


SLACK = 1.1
"""Times the mean cost so far: prompts grow longer as they get better, and the last calls need room too."""


class CapReached(Exception):
    """The account cannot take the reservation, even if the calls in flight cost nothing."""

    def __init__(self, cap: Cap) -> None:
        super().__init__(cap)
        self.cap: Cap = cap


class Account:
    """Spent plus reserved passes no cap.

    `in_flight` is reserved for calls that are being made, `reserved` is the number of calls kept for the
    final test. Of tokens and dollars as much is kept as so many calls cost at `SLACK` times the mean of
    those spent so far; nothing until there are `ENOUGH`.
    """

    def __init__(self, caps: Caps) -> None:
        self.spent = Amounts()
        self.in_flight = Amounts()
        self.reserved = 0
        self._calls = caps.calls or math.inf
        self._tokens = caps.tokens or math.inf
        self._usd = caps.usd or math.inf
        self._queue = anyio.Lock()
        self._settled = anyio.Event()
        self._waits = False

    def take(self, call: Reservation) -> bool:
        """Reserve what the call may cost; False while it must wait for calls in flight or before it.

        Raises CapReached when it would not fit even if those in flight cost nothing.
        """
        return not self._queue.locked() and self._take(call)

    async def wait_and_take(self, call: Reservation) -> None:
        """Reserve as soon as calls in flight have settled for less, first come first served."""
        async with self._queue:
            while not self._take(call):
                self._settled = anyio.Event()
                self._waits = True
                await self._settled.wait()

    def take_another(self, more: Amounts) -> None:
        """Reserve one further HTTP call of a call in flight, which may use `more`. Raises CapReached."""
        spent, in_flight = self.spent, self.in_flight
        if spent.calls + in_flight.calls + more.calls > self._calls - self.reserved:
            raise CapReached("calls")
        if more.tokens and spent.tokens + in_flight.tokens + more.tokens > self._tokens:
            raise CapReached("tokens")
        if more.usd and spent.usd + in_flight.usd + more.usd > self._usd:
            raise CapReached("usd")
        in_flight.add(more)

    def give_back(self, more: Amounts) -> None:
        """Give back what `take_another` reserved."""
        self.in_flight.add(Amounts(-more.calls, -more.tokens, -more.usd))

    def settle(self, call: Reservation, cost: Amounts) -> None:
        """Replace the reservation by what the call cost."""
        in_flight = self.in_flight
        in_flight.calls -= call.calls
        in_flight.tokens -= call.shares * call.tokens
        in_flight.usd = in_flight.usd - call.shares * call.usd if in_flight.calls else 0.0
        self.spent.add(cost)
        if self._waits:
            self._waits = False
            self._settled.set()

    def _take(self, call: Reservation) -> bool:
        spent, in_flight = self.spent, self.in_flight
        calls = self._calls - self.reserved - spent.calls - call.calls
        tokens = self._tokens - spent.tokens - call.tokens
        usd = self._usd - spent.usd - call.usd
        if self.reserved and spent.calls >= ENOUGH:
            each = SLACK * self.reserved / spent.calls
            tokens -= each * spent.tokens
            usd -= each * spent.usd
        if calls < 0:
            raise CapReached("calls")
        if tokens < 0:
            raise CapReached("tokens")
        if usd < 0:
            raise CapReached("usd")
        if calls < in_flight.calls or tokens < in_flight.tokens or usd < in_flight.usd:
            return False
        in_flight.calls += call.calls
        in_flight.tokens += call.tokens
        in_flight.usd += call.usd
        return True
