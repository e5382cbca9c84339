"""Evidence of the cause of refusals: a limit, or an endpoint that refuses at random."""

from collections import deque
from math import log

# Shares of calls refused: by noise at most, and of what is sent on to a limit that is far exceeded at least.
_NOISE, _LIMIT = 0.2, 0.6
_SERVED = log((1 - _LIMIT) / (1 - _NOISE))
_REFUSED = log(_LIMIT / _NOISE)
# Three refusals more than the served calls make up for; four served calls; some twenty.
_FOR_LIMIT, _FOR_RANDOM, _FLOOR = 2.9 * _REFUSED, 3.9 * _SERVED, 20 * _SERVED
_FOUND_RANDOM = 8 * _SERVED


class Evidence:
    """Weighs outcomes of calls that were sent regardless of refusals: log-likelihood ratio of a limit (six in
    ten refused) to noise (two in ten).

    Wald's sequential test while the cause is open (1945), a cumulative sum for its change from noise to a
    limit afterwards (Page 1954): what speaks for noise counts up to a floor. Noise refuses the same share at
    every rate; the share that a limit refuses grows with the rate, and ends beyond.
    """

    __slots__ = ("_ratio",)

    def __init__(self) -> None:
        self._ratio = 0.0

    def served(self) -> None:
        """A call was served."""
        self._ratio = max(_FLOOR, self._ratio + _SERVED)

    def refused(self) -> None:
        """A call was refused."""
        self._ratio += _REFUSED

    @property
    def for_limit(self) -> bool:
        return self._ratio >= _FOR_LIMIT

    @property
    def for_random(self) -> bool:
        return self._ratio <= _FOR_RANDOM

    def find_random(self) -> None:
        """Start over with some evidence of noise."""
        self._ratio = min(self._ratio, _FOUND_RANDOM)


class Intervals:
    """Distinguishes random refusals from those of a limit, by what was served between episodes.

    A token bucket is empty at each refusal, so that between two of them as much is served as it fills by:
    equal rates. An interval that served few calls at a rate far below another one's contradicts that.
    """

    def __init__(self) -> None:
        self._served = 0
        self._last: tuple[float, int] | None = None
        self._intervals: deque[tuple[int, float]] = deque(maxlen=12)

    def served(self) -> None:
        """A call was served."""
        self._served += 1

    def episode(self, now: float) -> None:
        """An episode begins."""
        if self._last is not None:
            at, served = self._last
            self._intervals.append((self._served - served, max(now - at, 1e-3)))
        self._last = (now, self._served)

    def clear(self) -> None:
        """Forget the episodes."""
        self._intervals.clear()
        self._last = None

    def random(self) -> bool:
        """True where the latest episodes cannot all go back to one limit."""
        most = max(((served - 3) / seconds for served, seconds in self._intervals), default=0.0)
        odd = [(served + 1) / seconds < 0.4 * most and served <= 8 for served, seconds in self._intervals]
        return sum(odd) >= 2
