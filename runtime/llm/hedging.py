"""Hedged calls: a call that takes unusually long is sent a second time, and the first answer is taken."""

from collections import deque
from math import ceil

import anyio

from ..concurrency import first_error
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
    HTTP call. A hedge that fails changes nothing.
    """

    def __init__(self, inner: Layer, second: Layer, limiter: Limiter, *, admit: Admit) -> None:
        self._inner = inner
        self._second = second
        self._limiter = limiter
        self._admit = admit
        self._latencies: dict[int, Latencies] = {}
        self._calls = 0
        self._hedges = 0

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
        race = _Race()
        with race.whole:
            async with first_error(), anyio.create_task_group() as tasks:
                tasks.start_soon(self._hedge, call, threshold, race)
                with race.first:
                    try:
                        race.answer(await self._inner.send(call))
                    except CallFailed as error:
                        race.failed = error
                if race.failed is None or not race.under_way:
                    tasks.cancel_scope.cancel()
        if race.response is not None:
            return counted(call, race.response)
        assert race.failed is not None
        raise race.failed

    async def _hedge(self, call: Call, threshold: float, race: "_Race") -> None:
        """Wait until the call is overdue, send it again, and end the first when the second has answered."""
        # A retry or a wait in a queue moves the time at which the call is overdue.
        while anyio.current_time() < (due := _due(call, threshold)):  # noqa: ASYNC110
            await anyio.sleep_until(due)
        if not self._may_hedge(call):
            return
        twin = call.twin()
        race.under_way = True
        try:
            response = await self._second.send(twin)
        except (CallFailed, EndpointError):
            return
        finally:
            race.under_way = False
            call.add(twin)
        race.answer(response)
        call.seconds = twin.seconds
        race.first.cancel()

    def _may_hedge(self, call: Call) -> bool:
        if self._hedges + 1 > MOST_SHARE * self._calls or not self._limiter.has_room():
            return False
        try:
            self._admit(call)
        except BudgetReached:
            return False
        self._hedges += 1
        return True


def _due(call: Call, threshold: float) -> float:
    """The time at which the HTTP call in flight is overdue, or one that started now would be."""
    return (anyio.current_time() if call.sent_at is None else call.sent_at) + threshold


class _Race:
    """A call and its hedge: `whole` is the scope of both, `first` that of the call, `under_way` is True while
    the hedge is sent."""

    def __init__(self) -> None:
        self.whole = anyio.CancelScope()
        self.first = anyio.CancelScope()
        self.response: ChatResponse | None = None
        self.failed: CallFailed | None = None
        self.under_way = False

    def answer(self, response: ChatResponse) -> None:
        """Take the first answer. It is paid: a cancellation that comes now must not lose it on its way."""
        self.response = response
        self.whole.shield = True
