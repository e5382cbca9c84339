"""Rates: even pacing, rates learned from refusals or stated in headers, and token estimates."""

from collections import deque
from math import sqrt

from ..chat import ChatRequest, Usage
from ..http._refusals import Quota

# A start that came late by up to this (seconds) does not move those after it: timers are never quite on time.
SLACK = 0.05


class Pace:
    """Lets `per_second` units start per second, evenly spaced; what was not used is not saved up.

    The generic cell rate algorithm (ITU-T I.371): a bucket that holds one unit. A start of many units is
    never refused: it delays those after it.
    """

    __slots__ = ("_next", "per_second")

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._next = float("-inf")

    def due(self) -> float:
        """The time from which the next unit may start."""
        return self._next

    def take(self, now: float, units: float = 1.0) -> None:
        base = self._next if now - self._next < SLACK else now
        self._next = base + units / self.per_second

    def give_back(self, units: float) -> None:
        """Units that were taken and not used; negative for more used than taken."""
        self._next -= units / self.per_second


# Of a rate that nothing paced when it was refused (a burst), this share is tried first.
_AFTER_BURST = 1 / 8
_AFTER_PACED = 0.7
# Seconds in which the rate doubles while no lower bound is known, and rises from the lower to the upper.
_DOUBLING = 2.0
_RISE, _LONGEST_RISE, _WIDE_RISE = 15.0, 30.0, 4.0
# Beyond the upper bound: the excess is 1 % after so many seconds, 3 % after twice, 7 % after three times.
_PROBE, _PROBE_SHARE = 8.0, 0.01
# At low rates both last at least for as many calls.
_CALLS = 30
_BELOW = 0.97
# Calls a second that are tried at least: a latency measured while the clock jumped says nothing of a rate.
_LEAST = 1 / 60
_ENOUGH = 30
_FEW = 5


class LearnedRate:
    """The pace learned from refusals; `pace` is None until the first one.

    `refused` is for the first refusal of an episode only. Time in which nothing was asked does not count:
    the rate rises only while it is used.
    """

    __slots__ = ("_high", "_marks", "_rise", "_served", "_start", "_used", "pace")

    def __init__(self) -> None:
        self.pace: Pace | None = None
        self._served = 0
        self._marks: deque[tuple[float, int]] = deque(maxlen=5)
        self._start = self._high = self._used = 0.0
        self._rise: float | None = None

    def served(self) -> None:
        """The endpoint let one call through."""
        self._served += 1

    def take(self, now: float) -> None:
        """One call starts; to be called only when `pace` is there."""
        assert self.pace is not None
        self._used += 1 / self.pace.per_second
        self.pace.per_second = self._rate()
        self.pace.take(now)

    def refused(self, now: float, rate: float, *, paced: bool) -> None:
        """An episode begins; calls were sent at `rate` a second, by a pace or (not `paced`) in a burst."""
        if self.pace is not None:
            rate = min(rate, self.pace.per_second)
        if self._marks and self._served - self._marks[-1][1] < _FEW:
            self._begin(rate * _AFTER_PACED, rate, _WIDE_RISE)
            self._marks.clear()
        elif self._marks:
            self._narrow(now, rate)
        else:
            self._begin(rate * (_AFTER_PACED if paced else _AFTER_BURST), rate, None)
        self._marks.append((now, self._served))

    def _narrow(self, now: float, high: float) -> None:
        low = min(self._low(now), high)
        wide = high > 2 * low
        confirmed = abs(high - self._high) < 0.1 * high and self._rise is not None
        rise = min(_LONGEST_RISE, 1.5 * (self._rise or 0.0)) if confirmed else _RISE
        self._begin(min(sqrt(low * high), _BELOW * high), high, _WIDE_RISE if wide else max(rise, _RISE))

    def _low(self, now: float) -> float:
        """Served per second since the latest refusal that is old enough to measure a rate from."""
        at, served = next(
            (mark for mark in reversed(self._marks) if self._served - mark[1] >= _ENOUGH), self._marks[0]
        )
        return (self._served - served) / max(now - at, 1e-3)

    def _begin(self, start: float, high: float, rise: float | None) -> None:
        start, high = max(start, _LEAST), max(high, _LEAST)
        self._start, self._high, self._used = start, high, 0.0
        self._rise = None if rise is None else max(rise, _CALLS / high)
        if self.pace is None:
            self.pace = Pace(start)
        self.pace.per_second = start

    def _rate(self) -> float:
        if self._rise is None:
            return self._start * 2 ** (self._used / _DOUBLING)
        left = 1 - self._used / self._rise
        if left > 0:
            return self._high - (self._high - self._start) * left**3
        probes = (self._used - self._rise) / max(_PROBE, _CALLS / self._high)
        return self._high * (1 + _PROBE_SHARE * (2**probes - 1))


MINUTE = 60.0


def stated_rate(quota: Quota) -> float | None:
    """Units per second, where the headers state a limit per minute or per second; None for longer periods.

    The headers do not name the period. It shows in how long what was used takes to come back: an endpoint
    that counts by the day (some do for requests) says so with a reset of seconds for a single call.
    """
    if not quota.limit:
        return None
    period = _period(quota)
    if period > 8 * MINUTE:
        return None
    return quota.limit / (MINUTE if period > 8 else 1.0)


def _period(quota: Quota) -> float:
    if quota.limit is None or quota.remaining is None or not quota.reset:
        return MINUTE
    used = quota.limit - quota.remaining
    if used <= 0 or (quota.reset <= 1 and used < quota.limit / MINUTE):
        # Resets rounded up to a second say nothing about so small a share.
        return MINUTE
    return quota.reset * quota.limit / used


_PER_CHARACTER = 0.3
_PER_MESSAGE = 4
_SHARE = 0.1
_ENOUGH_REPLIES = 8


class TokenEstimate:
    """Prompt tokens from the length of the messages, completion tokens from what replies came to so far.

    Until eight replies have been counted, a reply is taken to be as long as it may be (`max_tokens`). Both
    means follow the endpoint's own counts, each new one with a weight of a tenth.
    """

    def __init__(self) -> None:
        self._per_character = _PER_CHARACTER
        self._completion = 0.0
        self._seen = 0

    def of(self, request: ChatRequest) -> float:
        completion = float(request.max_tokens)
        if self._seen >= _ENOUGH_REPLIES:
            completion = min(completion, self._completion)
        return self._per_character * _characters(request) + completion

    def learn(self, request: ChatRequest, usage: Usage) -> None:
        """Update the means with the tokens that the call used."""
        share = max(_SHARE, 1 / (self._seen + 1))
        self._per_character += share * (usage.prompt_tokens / _characters(request) - self._per_character)
        self._completion += share * (usage.completion_tokens - self._completion)
        self._seen += 1


def _characters(request: ChatRequest) -> int:
    return sum(len(message.content) + _PER_MESSAGE for message in request.messages)
