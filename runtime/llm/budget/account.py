"""One account under the caps: what is spent, what calls in flight have reserved, what is held back."""

import math
from dataclasses import dataclass
from typing import Literal

import anyio

from ....scenarios.stages import Budget as Caps
from .attempts import Attempts

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

    `held` calls are kept back, and with them as much of tokens and dollars as so many calls cost at the mean
    of those spent so far.
    """

    def __init__(self, caps: Caps) -> None:
        self.spent = Amounts()
        self.reserved = Amounts()
        self.held = 0
        self._calls = caps.calls or math.inf
        self._tokens = caps.tokens or math.inf
        self._usd = caps.usd or math.inf
        self._line = anyio.Lock()
        self._settled = anyio.Event()
        self._waits = False

    @property
    def held_share(self) -> float:
        """What is held as a share of what is spent."""
        return self.held / self.spent.calls if self.held and self.spent.calls else 0.0

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
        if self.spent.calls + self.reserved.calls + 1 > self._calls - self.held:
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
        grown = 1 + self.held_share if self.held else 1
        calls = self._calls - self.held - spent.calls - call.calls
        tokens = self._tokens - spent.tokens * grown - call.tokens
        usd = self._usd - spent.usd * grown - call.usd
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
