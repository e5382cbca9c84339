"""The budget: caps on calls, tokens, dollars and minutes that nothing passes, in flight or resumed."""

import time
from collections.abc import Awaitable, Callable
from math import inf

import anyio
import msgspec

from ....scenarios.endpoints import Price
from ....scenarios.stages import BudgetSettings as Caps
from ...errors import BudgetReached
from .._call import Call, Layer, Reservation, most_prompt_tokens, most_usage
from ..chat import ChatRequest, ChatResponse, Usage
from ._account import ENOUGH, Account, Amounts, Cap, CapReached
from .usage import Tally

__all__ = [
    "Amounts",
    "Budget",
    "BudgetedClient",
    "Cap",
    "Remaining",
    "ReplyLengths",
    "cost",
    "most_prompt_tokens",
]


class Remaining(msgspec.Struct, frozen=True):
    """One cap, for displays: spent so far on the run's path, and left (None where there is no cap)."""

    spent: float
    cap: float | None
    left: float | None


class Budget:
    """Two accounts under the same caps, and a clock.

    The *path* counts every call the run makes, replayed ones as what they cost when they were paid: a
    resumed run comes to the same point as before, and a shared ledger favours nobody. *Paid* counts what was
    sent, in every invocation of the run: the caps hold for everything that was ever sent. Minutes count the
    time of all invocations and stop what would be sent, never a replay.
    """

    def __init__(self, caps: Caps, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.caps = caps
        self._path = Account(caps)
        self._paid = Account(caps)
        self._clock = clock
        self._started = clock()
        self._quiet = anyio.Event()

    def resume(self, *, paid: Amounts, seconds: float) -> None:
        """Count in what earlier invocations of the run `paid` for, and how many seconds they ran."""
        self._paid.spent.add(paid)
        self._started -= seconds

    def reserve(self, calls: int) -> None:
        """Keep so many calls for the final test, and of tokens, dollars and minutes what so many cost on
        average so far. Replaces what was reserved before."""
        self._path.reserved = self._paid.reserved = calls

    def release(self) -> None:
        """Give back what was reserved for the final test."""
        self.reserve(0)

    def path_spent(self) -> Amounts:
        """A snapshot of what the run's path has cost: HTTP calls, tokens and US dollars."""
        return msgspec.structs.replace(self._path.spent)

    def remaining(self) -> dict[Cap, Remaining]:
        """A snapshot of every cap."""
        caps, spent = self.caps, self._path.spent
        return {
            "calls": _remaining(caps.calls, spent.calls),
            "tokens": _remaining(caps.tokens, spent.tokens),
            "usd": _remaining(caps.usd, spent.usd),
            "minutes": _remaining(caps.minutes, self._minutes()),
        }

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

    def admit(self, call: Call) -> Awaitable[None] | None:
        """Reserve the call as one that will be sent; what it returns must be awaited first.

        Raises BudgetReached.
        """
        reservation = _reservation(call)
        self.check_clock()
        try:
            if self._paid.take(reservation):
                reservation.paid = True
                return None
        except CapReached as reached:
            raise self._reached(reached.cap, self._paid) from None
        return self._admit_later(reservation)

    def admit_another(self, call: Call) -> None:
        """Reserve one more HTTP call for a call that was admitted, and what it may use where earlier ones may
        be billed too. Raises BudgetReached."""
        reservation = _reservation(call)
        self.check_clock()
        shares = call.uncounted + (call.sent_at is not None) + 1 - reservation.shares
        more = Amounts(1, shares * reservation.tokens, shares * reservation.usd) if shares > 0 else Amounts(1)
        for account in (self._path, self._paid):
            try:
                account.take_another(more)
            except CapReached as reached:
                if account is self._paid:
                    self._path.give_back(more)
                raise self._reached(reached.cap, account) from None
        reservation.calls += 1
        reservation.shares += max(0, shares)

    def settle(self, call: Call, cost: Amounts, earlier: Amounts) -> None:
        """Replace the call's reservation by its cost, and on the path by what it cost `earlier` too."""
        reservation = _reservation(call)
        self._path.settle(reservation, cost)
        self._path.spent.add(earlier)
        if reservation.paid:
            self._paid.settle(reservation, cost)
        if not self._path.in_flight.calls:
            self._quiet.set()

    async def quiet(self) -> None:
        """Return when no call is in flight. A refused caller waits for it, so that its error, which ends the
        run, interrupts no paid call."""
        while self._path.in_flight.calls:
            if self._quiet.is_set():
                self._quiet = anyio.Event()
            await self._quiet.wait()

    def seconds_left(self) -> float:
        """Seconds until the cap on minutes is reached; infinite where there is none, never negative."""
        cap = self.caps.minutes
        if cap is None:
            return inf
        return max(0.0, 60 * (cap - self._minutes() - self._reserved_minutes(cap)))

    def check_clock(self) -> None:
        """Raises BudgetReached when no time is left for further calls."""
        if not self.seconds_left():
            raise self._reached("minutes", self._paid)

    async def _admit_later(self, call: Reservation) -> None:
        try:
            await self._paid.wait_and_take(call)
        except CapReached as reached:
            raise self._reached(reached.cap, self._paid) from None
        call.paid = True

    def _minutes(self) -> float:
        return (self._clock() - self._started) / 60

    def _reserved_minutes(self, cap: float) -> float:
        """At most half the cap: how long a call takes is known only roughly, least of all at the start."""
        calls, reserved = self._paid.spent.calls, self._paid.reserved
        return min(reserved * self._minutes() / calls, cap / 2) if calls >= ENOUGH else 0.0

    def _reached(self, cap: Cap, account: Account) -> BudgetReached:
        kept = account.reserved
        if cap == "calls":
            # Equal in every invocation, whatever is in flight, and where the final test has been made before.
            most = self.caps.calls or 0
            spent = min(account.spent.calls + account.in_flight.calls, max(0, most - kept))
            reserved = f", {kept} calls are reserved for the final test" if kept else ""
        else:
            most = getattr(self.caps, cap)
            spent = self._minutes() if cap == "minutes" else getattr(account.spent, cap)
            reserved = f", and what {kept} calls cost is reserved for the final test" if kept else ""
        return BudgetReached(
            f"budget.{cap} is reached: {spent:g} of {most:g} {cap} spent{reserved}; "
            f"raise budget.{cap} and run the same command again to go on from here"
        )


def _remaining(cap: float | None, spent: float) -> Remaining:
    return Remaining(spent=spent, cap=cap, left=None if cap is None else max(0.0, cap - spent))


def _reservation(call: Call) -> Reservation:
    if call.reservation is None:
        raise TypeError("only a call made through a BudgetedClient can be admitted by its budget")
    return call.reservation


class ReplyLengths:
    """Lengths of the replies of one model that were longer than was asked for, in tokens.

    `most` is the longest of them, 0 while the model keeps to its limit. Until a first reply is `known`, a
    budget with a cap on tokens or dollars sends one call alone: a server that ignores `max_tokens` must not
    pass the cap by all calls in flight.
    """

    def __init__(self) -> None:
        self.most = 0
        self.known = False
        self.first = anyio.Lock()

    def add(self, request: ChatRequest, response: ChatResponse) -> None:
        """Count a reply."""
        self.known = True
        if response.usage.completion_tokens > request.max_tokens:
            self.most = max(self.most, response.usage.completion_tokens)


class BudgetedClient:
    """The outermost layer: reserves the most a call can cost, makes it, and settles for what it did cost.

    HTTP calls that may be billed though the endpoint gave no count are settled for what was reserved. Raises
    BudgetReached, once nothing is in flight any more, and what `inner` raises. `tally` counts for one model
    in one role. `extra_body` is added to requests without one; clients of one model share its `lengths`.
    """

    def __init__(
        self,
        inner: Layer,
        budget: Budget,
        price: Price,
        tally: Tally,
        *,
        extra_body: str = "",
        lengths: ReplyLengths | None = None,
    ) -> None:
        self._inner = inner
        self._budget = budget
        self._price = price
        self._tally = tally
        self._extra_body = extra_body
        self._lengths = lengths or ReplyLengths()
        self._careful = budget.caps.tokens is not None or budget.caps.usd is not None

    async def chat(self, request: ChatRequest) -> ChatResponse:
        if self._extra_body and not request.extra_body:
            request = msgspec.structs.replace(request, extra_body=self._extra_body)
        try:
            if self._careful and not self._lengths.known:
                return await self._first(request)
            return await self._reserved(request)
        except BudgetReached:
            await self._budget.quiet()
            raise

    async def _first(self, request: ChatRequest) -> ChatResponse:
        async with self._lengths.first:
            if not self._lengths.known:  # one call alone makes no batch
                return await self._reserved(msgspec.structs.replace(request, can_wait=False))
        return await self._reserved(request)

    async def _reserved(self, request: ChatRequest) -> ChatResponse:
        budget, most = self._budget, most_usage(request, self._lengths.most)
        usd = cost(self._price, most, batched=request.can_wait)
        reservation = Reservation(most.prompt_tokens + most.completion_tokens, usd)
        call = Call(request, reservation, most)
        if not budget.take(reservation):
            await budget.wait_and_take(reservation)
        try:
            response = await self._inner.send(call)
        except BaseException:
            spent = self._amounts(call.attempts, call.most_uncounted())
            budget.settle(call, spent, self._earlier(call))
            self._tally.failed_after(call.attempts, call.most_uncounted(), spent.usd)
            raise
        self._lengths.add(request, response)
        spent = self._amounts(response.attempts, response.usage, response.uncounted, batched=response.batched)
        budget.settle(call, spent, self._earlier(call))
        self._tally.add(response, spent.usd)
        return response

    def _earlier(self, call: Call) -> Amounts:
        return self._amounts(call.earlier.attempts, call.earlier.most)

    def _amounts(self, calls: int, *usages: Usage, batched: bool = False) -> Amounts:
        tokens = sum(usage.prompt_tokens + usage.completion_tokens for usage in usages)
        return Amounts(calls, tokens, sum(cost(self._price, usage, batched=batched) for usage in usages))


def cost(price: Price, usage: Usage, *, batched: bool = False) -> float:
    """US dollars."""
    return price.usd(usage.prompt_tokens, usage.completion_tokens, batched=batched)
