"""Hedged calls: a call that takes unusually long is sent a second time, and the first answer is taken."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from math import ceil

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ..errors import BudgetReached, CallFailed, EndpointError
from ._call import Admit, Call, Layer, counted
from .chat import ChatResponse
from .limits.limiter import Limiter

QUANTILE = 0.95
"""Quantile of recent latencies that a call must exceed to be sent again."""

MOST_SHARE = 0.05
"""Hedges sent are at most this share of the calls that were made."""

FLOOR = 0.5
"""Seconds before which no call is sent again."""

_ENOUGH = 20
_RECENT = 200


class Latencies:
    """Seconds of the latest 200 calls; `threshold` is their 95 % quantile, None until there are 20."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._threshold: float | None = None
        self._since = 0

    def add(self, seconds: float) -> None:
        """Count one more call."""
        self._recent.append(seconds)
        self._since += 1
        # Sorting after every call would cost more than the layer; a tenth of the window moves little.
        if len(self._recent) >= _ENOUGH and (self._threshold is None or self._since >= _RECENT // 10):
            ordered = sorted(self._recent)
            self._threshold = ordered[ceil(QUANTILE * len(ordered)) - 1]
            self._since = 0

    @property
    def threshold(self) -> float | None:
        return self._threshold


class HedgingClient(Layer):
    """Sends a call a second time when it outlives the 95 % quantile of comparable calls of its model.

    The first response is the response, the other call is cancelled (Dean and Barroso, The Tail at Scale, CACM
    56(2), 2013). Comparable are calls with the same `max_tokens`, at least 20 of which have finished. Time in
    queues and between retries does not count. At most 5 % of calls are sent again, none before half a second,
    none while the limits leave no room, and none that `admit` refuses with BudgetReached.

    `inner` makes the first call, with its retries; `second` is the layer below them, so that a hedge is one
    HTTP call. A hedge that fails changes nothing. Hedges are sent in `tasks`.
    """

    def __init__(
        self, inner: Layer, second: Layer, limiter: Limiter, *, admit: Admit, tasks: TaskGroup
    ) -> None:
        self._inner = inner
        self._second = second
        self._limiter = limiter
        self._admit = admit
        self._tasks = tasks
        self._latencies: dict[int, Latencies] = {}
        self._calls = 0
        self._hedges = 0
        self._overdue: deque[_Race] = deque()
        self._news = anyio.Event()
        tasks.start_soon(self._watch)

    async def send(self, call: Call) -> ChatResponse:
        self._calls += 1
        latencies = self._latencies.setdefault(call.request.max_tokens, Latencies())
        if latencies.threshold is None:
            response = await self._inner.send(call)
        else:
            response = await self._hedged(call, max(FLOOR, latencies.threshold))
        if call.seconds is not None:
            latencies.add(call.seconds)
        return response

    async def _hedged(self, call: Call, threshold: float) -> ChatResponse:
        race = _Race(call, threshold, self._note)
        failed: CallFailed | None = None
        try:
            with race.first:
                race.response = await self._inner.send(call)
        except CallFailed as error:
            failed = error
        finally:
            race.timer.cancel()
            if race.hedge is not None:
                await race.hedge.end(wait=failed is not None)
        if race.error is not None:
            raise race.error
        if race.response is not None:
            return counted(call, race.response)
        assert failed is not None
        raise failed

    def _note(self, race: "_Race") -> None:
        self._overdue.append(race)
        self._news.set()

    async def _watch(self) -> None:
        """Send calls that are overdue again. Few are, so that a timer a call costs less than a task would."""
        while True:
            await self._news.wait()
            await anyio.lowlevel.checkpoint()  # a call that is answered at this moment needs no hedge
            self._news = anyio.Event()
            while self._overdue:
                race = self._overdue.popleft()
                if not race.timer.cancelled() and self._may_hedge(race.call):
                    race.hedge = hedge = _Hedge()
                    race.context.run(self._tasks.start_soon, self._send_again, race, hedge)

    async def _send_again(self, race: "_Race", hedge: "_Hedge") -> None:
        twin = race.call.twin()
        try:
            with hedge.scope:
                race.answer(await self._second.send(twin))
                race.call.seconds = twin.seconds
        except (BudgetReached, CallFailed, EndpointError):
            pass
        except Exception as error:  # noqa: BLE001 - of any kind, it is the caller's
            race.error = error
            race.first.cancel()
        finally:
            race.call.add(twin)
            hedge.ended.set()

    def _may_hedge(self, call: Call) -> bool:
        if self._hedges + 1 > MOST_SHARE * self._calls or not self._limiter.has_room():
            return False
        try:
            self._admit(call)
        except BudgetReached:
            return False
        self._hedges += 1
        return True


class _Race:
    """A call, its response or the error that ends it, and its hedge once there is one.

    `first` is the scope of the call, `context` that of its caller. `overdue` is called once when the call is.
    """

    context: Context

    def __init__(self, call: Call, threshold: float, overdue: Callable[["_Race"], None]) -> None:
        self.call = call
        self.first = anyio.CancelScope()
        self.response: ChatResponse | None = None
        self.error: Exception | None = None
        self.hedge: _Hedge | None = None
        self._threshold = threshold
        self._overdue = overdue
        self._loop = asyncio.get_running_loop()
        self.timer = self._loop.call_at(self._due(), self._check)

    def answer(self, response: ChatResponse) -> None:
        """Take the answer of the hedge, and end the first call. It is paid: a cancellation that comes now
        must not lose it on its way."""
        self.response = response
        self.first.shield = True
        self.first.cancel()

    def _check(self) -> None:
        # A retry or a wait in a queue moves the time at which the call is overdue.
        if self._loop.time() < (due := self._due()):
            self.timer = self._loop.call_at(due, self._check)
        else:
            self.context = copy_context()
            self._overdue(self)

    def _due(self) -> float:
        """The time at which the HTTP call in flight is overdue, or one that started now would be."""
        sent = self.call.sent_at
        return (self._loop.time() if sent is None else sent) + self._threshold


class _Hedge:
    """The second call of a race, while it is in flight."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.ended = anyio.Event()

    async def end(self, *, wait: bool) -> None:
        """Return once the call has ended, by itself where it is to be waited for."""
        try:
            if wait:
                await self.ended.wait()
        finally:
            self.scope.cancel()
            with anyio.CancelScope(shield=True):
                await self.ended.wait()
