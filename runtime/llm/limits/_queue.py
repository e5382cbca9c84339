"""The queue of calls that wait for their turn, first come first served, without a task of its own."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

import anyio

from ..chat import Clock


class Turns(Protocol):
    """Decides when the next call may go."""

    def free(self) -> bool:
        """True while there is a free place; one becomes free by an event, which calls `Queue.admit`."""
        ...

    def due(self) -> float:
        """The time from which the next may go, a place provided; -inf where time does not limit."""
        ...

    def take(self, units: float) -> int:
        """Start a call that will use `units`; returns its number."""
        ...

    def put_back(self, units: float) -> None:
        """A call that was started is given back: it was cancelled before it was sent."""
        ...


class Waiter:
    """One call in the queue; `number` is set when its turn has come, `error` when waiting is in vain."""

    __slots__ = ("called", "error", "number", "units")

    def __init__(self, units: float) -> None:
        self.units = units
        self.called = anyio.Event()
        self.number: int | None = None
        self.error: Exception | None = None


class Queue:
    """Gives turns in the order of arrival; no call overtakes another.

    While time is what limits, the first in the queue (the timer) sleeps until it is due and wakes the next;
    while places are, a call that ends calls `admit`. A waiter that is cancelled leaves the queue, and gives
    back a turn that it got at the same moment.
    """

    def __init__(self, turns: Turns, clock: Clock) -> None:
        self._turns = turns
        self._clock = clock
        self._waiting: deque[Waiter] = deque()
        self._timer: Waiter | None = None
        self._sleep: anyio.CancelScope | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self, units: float) -> int:
        """Wait for a turn; returns its number. Raises what `dismiss` was given."""
        waiter = Waiter(units)
        self._waiting.append(waiter)
        try:
            if self._waiting[0] is waiter:
                self.admit()
            while waiter.number is None:
                await self._sleep_or_wait(waiter)
                if waiter.error is not None:
                    raise waiter.error
        except BaseException:
            self._leave(waiter)
            raise
        return waiter.number

    def admit(self) -> None:
        """Give a turn to each that may go now; to be called whenever a place came free."""
        waiting, turns = self._waiting, self._turns
        while waiting and turns.free():
            if self._clock.now() < turns.due():
                self._wake_timer()
                return
            waiter = waiting.popleft()
            if self._timer is waiter:
                # Its turn came before its sleep was over: another must sleep from here on.
                self._timer = None
                if self._sleep is not None:
                    self._sleep.cancel()
            waiter.number = turns.take(waiter.units)
            waiter.called.set()

    def dismiss(self, error: Callable[[], Exception]) -> None:
        """End the waiting of all calls in the queue, each with an error of its own."""
        for waiter in self._waiting:
            waiter.error = error()
            waiter.called.set()

    def _wake_timer(self) -> None:
        if self._timer is None:
            self._timer = self._waiting[0]
            self._timer.called.set()

    async def _sleep_or_wait(self, waiter: Waiter) -> None:
        if self._timer is not waiter:
            await waiter.called.wait()
            return
        waiter.called = anyio.Event()
        with anyio.CancelScope() as self._sleep:
            await self._clock.sleep(max(0.0, self._turns.due() - self._clock.now()))
        if self._timer is waiter:
            self._timer = None
        self.admit()

    def _leave(self, waiter: Waiter) -> None:
        if self._timer is waiter:
            self._timer = None
        if waiter.number is not None:
            self._turns.put_back(waiter.units)
        else:
            self._waiting.remove(waiter)
        self.admit()
