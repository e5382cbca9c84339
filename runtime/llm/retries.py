"""Retries and the circuit breaker; the only layer that repeats a failed call."""

import random as randomness

import msgspec

from ...scenarios.endpoints import Retry
from ..errors import CallFailed, CircuitOpen, ParameterRefused, ServerFault, Unreachable
from ..formatting import plural
from ._call import Admit, Call, Deadline, Layer, counted
from .chat import ChatResponse, Clock, SystemClock


class Breaker:
    """The circuit breaker of one endpoint, shared by all its models.

    It opens after `failures` in a row (ServerFault or Unreachable, with no other answer between) that also
    lasted for `seconds`, so that many calls that fail at the same moment do not open it. While open, `check`
    raises CircuitOpen. Every `cool_down` seconds one call is let through to try; the first answer of any
    kind, also a 429 or a 4xx, closes the circuit.
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
        """True while calls fail fast."""
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
            f"{self._endpoint} does not respond: {self._failures} calls in a row failed within"
            f" {now - self._since:.0f} s, the last with: {self._last}. It is tried again in"
            f" {self._next_try - now:.0f} s; until then calls fail at once. Is the server running?"
        )


class Retrying(msgspec.Struct, frozen=True):
    """The reason for retries of a model's calls, and the seconds for which none has been answered since."""

    reason: str
    seconds: float


FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
_MOST_FORMS = 12
"""Forms of one request that are tried; a model refuses fewer parameters than there are."""


class RetryingClient(Layer):
    """Makes a call, and again while it fails with a retryable CallFailed, within the policy.

    Waits double from half a second to 30 s, jittered down by up to half, and are never shorter than what the
    endpoint asked for. No attempt starts later than `policy.seconds` after the first failure. It is outside
    the limits, so that a wait occupies no place. `admit` is asked before each further attempt; a wait ends at
    the `deadline`, when `admit` refuses what is left. `breaker` may fail any attempt with CircuitOpen.

    The last error is raised as it is: of its own kind, with the call's `attempts`, and saying how often and
    for how long it was tried. `last_reason` is that of the latest retry, None where there was none.
    """

    def __init__(
        self,
        inner: Layer,
        policy: Retry,
        *,
        breaker: Breaker | None = None,
        admit: Admit | None = None,
        deadline: Deadline | None = None,
        random: randomness.Random | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._breaker = breaker
        self._admit = admit
        self._deadline = deadline
        self._random = random or randomness.Random()
        self._clock = clock or SystemClock()
        self._reason: str | None = None
        self._since = 0.0
        self.last_reason: str | None = None

    def retrying(self) -> Retrying | None:
        """The last reason for a retry, as long as no call has been answered since; None otherwise."""
        if self._reason is None:
            return None
        return Retrying(self._reason, self._clock.now() - self._since)

    async def send(self, call: Call) -> ChatResponse:
        try:
            return await self._attempt(call)
        except CallFailed as error:
            failed = error
        return await self._again(call, failed)

    async def _attempt(self, call: Call) -> ChatResponse:
        breaker = self._breaker
        if breaker is None:
            response = await self._inner.send(call)
            self._reason = None
            return response
        breaker.check()
        try:
            response = await self._inner.send(call)
        except CallFailed as error:
            breaker.failed(error)
            raise
        breaker.answered()
        self._reason = None
        return response

    async def _again(self, call: Call, failed: CallFailed) -> ChatResponse:
        begin = self._clock.now()
        tries, forms = 1, 0
        while failed.retryable:
            if isinstance(failed, ParameterRefused):
                # The client has changed the form of the request: no wait, and no attempt of the policy.
                forms += 1
                if forms > _MOST_FORMS:
                    break
            else:
                wait = self._wait(tries, failed.retry_after)
                if tries >= self._policy.attempts or self._clock.now() + wait > begin + self._policy.seconds:
                    break
                if self._reason is None:
                    self._since = self._clock.now()
                self._reason = self.last_reason = str(failed)
                await self._clock.sleep(min(wait, self._deadline.seconds_left()) if self._deadline else wait)
                tries += 1
            if self._admit is not None:
                self._admit(call)
            try:
                return counted(call, await self._attempt(call))
            except CallFailed as error:
                failed = error
        self._describe(failed, call.attempts, tries, self._clock.now() - begin)
        raise failed

    def _wait(self, tries: int, retry_after: float | None) -> float:
        backoff = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (tries - 1))
        return max(backoff * self._random.uniform(0.5, 1.0), retry_after or 0.0)

    def _describe(self, failed: CallFailed, calls: int, tries: int, seconds: float) -> None:
        """Add all attempts to the last error; it stays the same object, with its cause."""
        failed.attempts = calls
        if not failed.retryable:
            return
        made = max(calls, tries)
        tried = f"gave up after {plural(made, 'call')} in {seconds:.0f} s"
        if failed.retry_after is not None and failed.retry_after > self._policy.seconds - seconds:
            tried += f"; it asks to wait {failed.retry_after:.0f} s"
        failed.args = (f"{failed} ({tried})",)
