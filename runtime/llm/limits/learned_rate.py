"""The rate of calls an undeclared limit lets through, learned from the refusals alone.

Two facts bound it. Whatever was served between two refusals, divided by the time between them, was served:
the true rate is not lower (for a token bucket, empty at both, it is exactly that). And the rate at which
calls were sent when one was refused cannot be kept up: the true rate is not higher. The next rate starts
between the two, climbs to the upper one, rests near it and then probes beyond, ever faster; so it finds a
limit within a few refusals, stays near it, and notices when it is raised.
"""

from collections import deque
from math import sqrt

from .pace import Pace

# Of a rate that nothing paced when it was refused (a burst), this share is tried first.
_AFTER_BURST = 1 / 8
_AFTER_PACED = 0.7
# Seconds in which the rate doubles while no lower bound is known, and climbs from the lower to the upper.
_DOUBLING = 2.0
_CLIMB, _LONGEST_CLIMB, _WIDE_CLIMB = 15.0, 30.0, 4.0
# Beyond the upper bound: the excess is 1 % after so many seconds, 3 % after twice, 7 % after three times.
_PROBE, _PROBE_SHARE = 8.0, 0.01
# At low rates both last at least for as many calls.
_CALLS = 30
_BELOW = 0.97
_ENOUGH = 30
_FEW = 5


class LearnedRate:
    """The pace that refusals have taught; `pace` is None until the first one.

    `refused` is for the first refusal of an episode only. Time in which nothing was asked does not count:
    the rate climbs only while it is used.
    """

    __slots__ = ("_climb", "_high", "_marks", "_served", "_start", "_used", "pace")

    def __init__(self) -> None:
        self.pace: Pace | None = None
        self._served = 0
        self._marks: deque[tuple[float, int]] = deque(maxlen=5)
        self._start = self._high = self._used = 0.0
        self._climb: float | None = None

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
            self._begin(rate * _AFTER_PACED, rate, _WIDE_CLIMB)
            self._marks.clear()
        elif self._marks:
            self._narrow(now, rate)
        else:
            self._begin(rate * (_AFTER_PACED if paced else _AFTER_BURST), rate, None)
        self._marks.append((now, self._served))

    def _narrow(self, now: float, high: float) -> None:
        low = min(self._low(now), high)
        wide = high > 2 * low
        confirmed = abs(high - self._high) < 0.1 * high and self._climb is not None
        climb = min(_LONGEST_CLIMB, 1.5 * (self._climb or 0.0)) if confirmed else _CLIMB
        self._begin(min(sqrt(low * high), _BELOW * high), high, _WIDE_CLIMB if wide else max(climb, _CLIMB))

    def _low(self, now: float) -> float:
        """Served per second since the latest refusal that is far enough back to tell."""
        at, served = next(
            (mark for mark in reversed(self._marks) if self._served - mark[1] >= _ENOUGH), self._marks[0]
        )
        return (self._served - served) / max(now - at, 1e-3)

    def _begin(self, start: float, high: float, climb: float | None) -> None:
        self._start, self._high, self._used = start, high, 0.0
        self._climb = None if climb is None else max(climb, _CALLS / high)
        if self.pace is None:
            self.pace = Pace(start)
        self.pace.per_second = start

    def _rate(self) -> float:
        if self._climb is None:
            return self._start * 2 ** (self._used / _DOUBLING)
        left = 1 - self._used / self._climb
        if left > 0:
            return self._high - (self._high - self._start) * left**3
        probes = (self._used - self._climb) / max(_PROBE, _CALLS / self._high)
        return self._high * (1 + _PROBE_SHARE * (2**probes - 1))
