"""Even spacing of what may start, at a rate."""

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
