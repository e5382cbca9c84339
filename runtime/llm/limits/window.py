"""How many calls may be in flight, adapted to an endpoint that says when it is overloaded."""

START = 16
_CUT = 0.7


class Window:
    """At most `most` calls at once: doubles a round until the first overload, then one more a round.

    `size` is the number in use. An overload takes it to 70 %, never below 1 (additive increase,
    multiplicative decrease: Chiu and Jain 1989). It grows only while it is what limits.
    """

    __slots__ = ("_doubling", "_most", "_size", "size")

    def __init__(self, most: int, start: int = START) -> None:
        self._most = most
        self._size = float(min(start, most))
        self._doubling = True
        self.size = int(self._size)

    def served(self, in_flight: int) -> None:
        """One call was answered while `in_flight` were under way, it included."""
        if self.size >= self._most or in_flight < self.size:
            return
        self._size = min(self._most, self._size + (1.0 if self._doubling else 1 / self._size))
        self.size = int(self._size)

    def cut(self) -> None:
        """The endpoint is overloaded."""
        self._doubling = False
        self._size = max(1.0, self._size * _CUT)
        self.size = int(self._size)
