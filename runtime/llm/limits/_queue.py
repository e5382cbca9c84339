"""Calls waiting for their turn, first come first served, without a task of their own."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

import anyio

from ..chat import Clock


class Turns(Protocol):
    """What decides when the next may go."""

    def free(self) -> bool:
        """Whether there is a place at all; a place comes free by an event, which calls `Line.admit`."""
        ...

    def due(self) -> float:
        """The time from which the next may go, a place provided; -inf where time does not limit."""
        ...

    def take(self, units: float) -> int:
        """Let one go that will use `units`; returns the epoch it belongs to."""
        ...

    def put_back(self, units: float) -> None:
        """The one that was let go did not go after all."""
        ...


class Waiter:
    """One in the line; `epoch` is set when its turn has come, `error` when it need not wait any longer."""

    __slots__ = ("called", "epoch", "error", "units")

    def __init__(self, units: float) -> None:
        self.units = units
        self.called = anyio.Event()
        self.epoch: int | None = None
        self.error: Exception | None = None


class Line:
    """Gives turns in the order of arrival; a newcomer never overtakes.

    While time is what limits, the first in line sleeps until it is due and wakes the next; while places are,
    whoever leaves one calls `admit`. A waiter that is cancelled leaves the line, and gives back a turn that
    it was given at the same moment.
    """

    def __init__(self, turns: Turns, clock: Clock) -> None:
        self._turns = turns
        self._clock = clock
        self._waiting: deque[Waiter] = deque()
        self._keeper: Waiter | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self, units: float) -> int:
        """Wait for a turn; returns its epoch. Raises what `dismiss` was given."""
        waiter = Waiter(units)
        self._waiting.append(waiter)
        try:
            if self._waiting[0] is waiter:
                self.admit()
            while waiter.epoch is None:
                await self._pass_time(waiter)
                if waiter.error is not None:
                    raise waiter.error
        except BaseException:
            self._leave(waiter)
            raise
        return waiter.epoch

    def admit(self) -> None:
        """Give a turn to each that may go now; to be called whenever a place came free."""
        waiting, turns = self._waiting, self._turns
        while waiting and turns.free():
            if self._clock.now() < turns.due():
                self._appoint()
                return
            waiter = waiting.popleft()
            if self._keeper is waiter:
                # Its turn came before its sleep was over: another must keep the time from here.
                self._keeper = None
            waiter.epoch = turns.take(waiter.units)
            waiter.called.set()

    def dismiss(self, error: Callable[[], Exception]) -> None:
        """End the waiting of all who are in line, each with an error of its own."""
        for waiter in self._waiting:
            waiter.error = error()
            waiter.called.set()

    def _appoint(self) -> None:
        if self._keeper is None:
            self._keeper = self._waiting[0]
            self._keeper.called.set()

    async def _pass_time(self, waiter: Waiter) -> None:
        if self._keeper is not waiter:
            await waiter.called.wait()
            return
        waiter.called = anyio.Event()
        await self._clock.sleep(max(0.0, self._turns.due() - self._clock.now()))
        if self._keeper is waiter:
            self._keeper = None
        self.admit()

    def _leave(self, waiter: Waiter) -> None:
        if self._keeper is waiter:
            self._keeper = None
        if waiter.epoch is not None:
            self._turns.put_back(waiter.units)
        else:
            self._waiting.remove(waiter)
        self.admit()
