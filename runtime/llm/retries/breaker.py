"""Failing fast while an endpoint is dead."""

from ...errors import CallFailed, CircuitOpen, ServerFault, Unreachable
from ..clock import Clock, SystemClock


class Breaker:
    """The circuit breaker of one endpoint, shared by all its models.

    It opens after `failures` in a row (ServerFault or Unreachable, with no other answer between) that also
    lasted for `seconds`, so that many calls failing in the same moment are not taken for a dead endpoint.
    While open, `check` raises CircuitOpen. Every `cool_down` seconds one call is let through to try; the
    first answer of any kind closes the circuit. A 429 or a 4xx is an answer: the endpoint lives.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        failures: int = 10,
        seconds: float = 20.0,
        cool_down: float = 15.0,
        clock: Clock | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._most = failures
        self._seconds = seconds
        self._cool_down = cool_down
        self._clock = clock or SystemClock()
        self._failures = 0
        self._since = 0.0
        self._next_try: float | None = None
        self._last: CallFailed | None = None

    @property
    def open(self) -> bool:
        """Whether calls fail fast."""
        return self._next_try is not None

    def check(self) -> None:
        """Pass when a call may be made. Raises CircuitOpen, naming the endpoint and the last cause."""
        if self._next_try is None:
            return
        now = self._clock.now()
        if now < self._next_try:
            raise CircuitOpen(self._message(now)) from self._last
        self._next_try = now + self._cool_down

    def answered(self) -> None:
        """The endpoint gave an answer."""
        if self._failures:
            self._failures = 0
            self._next_try = self._last = None

    def failed(self, error: CallFailed) -> None:
        """A call failed."""
        if not isinstance(error, ServerFault | Unreachable):
            self.answered()
            return
        now = self._clock.now()
        if not self._failures:
            self._since = now
        self._failures += 1
        self._last = error
        if self._failures >= self._most and now - self._since >= self._seconds:
            self._next_try = now + self._cool_down

    def _message(self, now: float) -> str:
        assert self._next_try is not None
        return (
            f"{self._endpoint} seems to be dead: {self._failures} calls in a row failed over"
            f" {now - self._since:.0f} s, the last with: {self._last}. Calls fail at once for another"
            f" {self._next_try - now:.0f} s; is the server running?"
        )
