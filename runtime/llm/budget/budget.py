"""The budget: caps on calls, tokens, dollars and minutes that nothing passes, in flight or resumed."""

import time
from collections.abc import Awaitable, Callable

import anyio
import msgspec

from ....scenarios.stages import BudgetSettings as Caps
from ...errors import BudgetReached
from .._attempts import CURRENT
from ..chat import ChatRequest
from .accounts import ENOUGH, NOTHING_HELD, Account, Amounts, Cap, CapReached, Held, Reservation


class Remaining(msgspec.Struct, frozen=True):
    """One cap, for displays: spent so far on the run's path, and left (None where there is no cap)."""

    spent: float
    cap: float | None
    left: float | None


class Budget:
    """Two accounts under the same caps, and a clock.

    The *path* counts every call the run asks for, replayed ones as what they cost when they were paid: a
    resumed run comes to the same point as before, and a shared ledger favours nobody. *Paid* counts what was
    sent, in every invocation of the run: whatever is asked anew, the caps hold for what the world was asked.
    Minutes count the time of all invocations and stop what would be sent, never a replay.
    """

    def __init__(self, caps: Caps, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._caps = caps
        self._path = Account(caps)
        self._paid = Account(caps)
        self._clock = clock
        self._started = clock()
        self._quiet = anyio.Event()

    def resume(self, *, paid: Amounts, seconds: float) -> None:
        """Count in what earlier invocations of the run `paid` for, and how many seconds they ran."""
        self._paid.spent.add(paid)
        self._started -= seconds

    def hold(self, held: Held) -> None:
        """Keep calls back for later, and of tokens, dollars and minutes what so many cost on average so far.

        Replaces what was held before. A run that reaches a cap while searching can so still choose and test.
        """
        self._path.hold(held)
        self._paid.hold(held)

    def reserve(self, calls: int) -> None:
        """Keep so many calls for the final test, and of tokens, dollars and minutes what they cost on
        average."""
        self.hold(Held(calls))

    def release(self) -> None:
        """Give back what was held."""
        self.hold(NOTHING_HELD)

    def take(self, call: Reservation) -> bool:
        """Reserve the call on the path; False when it must `wait_and_take`. Raises BudgetReached."""
        try:
            return self._path.take(call)
        except CapReached as reached:
            raise self._reached(reached.cap, self._path) from None

    async def wait_and_take(self, call: Reservation) -> None:
        """Reserve the call on the path once calls in flight have settled. Raises BudgetReached."""
        try:
            await self._path.wait_and_take(call)
        except CapReached as reached:
            raise self._reached(reached.cap, self._path) from None

    def admit(self, _request: ChatRequest) -> Awaitable[None] | None:
        """Reserve the call of this task as one that will be sent; what it returns must be awaited first.

        Raises BudgetReached.
        """
        call = _call_of_this_task()
        self._check_clock()
        try:
            if self._paid.take(call):
                call.paid = True
                return None
        except CapReached as reached:
            raise self._reached(reached.cap, self._paid) from None
        return self._admit_later(call)

    def admit_retry(self, _request: ChatRequest) -> None:
        """Reserve one more HTTP call for the call of this task. Raises BudgetReached."""
        call = _call_of_this_task()
        self._check_clock()
        for account in (self._path, self._paid):
            try:
                account.take_retry()
            except CapReached as reached:
                if account is self._paid:
                    self._path.reserved.calls -= 1
                raise self._reached(reached.cap, account) from None
        call.calls += 1

    def settle(self, call: Reservation, calls: int, tokens: int, usd: float) -> None:
        """The call ended and cost so much (nothing of tokens and dollars where it gave no response)."""
        self._path.settle(call, calls + call.earlier, tokens, usd)
        if call.paid:
            self._paid.settle(call, calls, tokens, usd)
        if not self._path.reserved.calls:
            self._quiet.set()

    async def quiet(self) -> None:
        """Return when no call is in flight: who is refused waits for it, so that its error, which ends the
        run, cuts no paid call short."""
        while self._path.reserved.calls:
            if self._quiet.is_set():
                self._quiet = anyio.Event()
            await self._quiet.wait()

    def remaining(self) -> dict[Cap, Remaining]:
        """A snapshot of every cap."""
        caps, spent = self._caps, self._path.spent
        return {
            "calls": _remaining(caps.calls, spent.calls),
            "tokens": _remaining(caps.tokens, spent.tokens),
            "usd": _remaining(caps.usd, spent.usd),
            "minutes": _remaining(caps.minutes, self._minutes()),
        }

    async def _admit_later(self, call: Reservation) -> None:
        try:
            await self._paid.wait_and_take(call)
        except CapReached as reached:
            raise self._reached(reached.cap, self._paid) from None
        call.paid = True

    def _minutes(self) -> float:
        return (self._clock() - self._started) / 60

    def _check_clock(self) -> None:
        cap = self._caps.minutes
        if cap is not None and self._minutes() + self._held_minutes(cap) >= cap:
            raise self._reached("minutes", self._paid)

    def _held_minutes(self, cap: float) -> float:
        """At most half the cap: how long a call takes is known only roughly, least of all at the start."""
        calls = self._paid.spent.calls
        return min(self._paid.held.of(cap, self._minutes() / calls), cap / 2) if calls >= ENOUGH else 0.0

    def _reached(self, cap: Cap, account: Account) -> BudgetReached:
        most = getattr(self._caps, cap)
        spent = self._minutes() if cap == "minutes" else getattr(account.spent, cap)
        kept = account.held_calls
        held = f", what up to {kept} calls take is held back for what follows" if kept else ""
        return BudgetReached(
            f"budget.{cap} is reached: {spent:g} of {most:g} {cap} spent{held}, the next call might pass it; "
            f"raise budget.{cap} and run the same command again to go on from here"
        )


def _remaining(cap: float | None, spent: float) -> Remaining:
    return Remaining(spent=spent, cap=cap, left=None if cap is None else max(0.0, cap - spent))


def _call_of_this_task() -> Reservation:
    call = CURRENT.get()
    if not isinstance(call, Reservation):
        raise TypeError("only a call made through a BudgetedClient can be admitted by its budget")
    return call
