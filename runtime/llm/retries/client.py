"""Trying failed calls again; the only layer that does.

| what happened                                               | error                     | again |
|-------------------------------------------------------------|---------------------------|-------|
| 429; 503 with Retry-After                                   | RateLimited               | yes   |
| other 5xx; a truncated or malformed body                    | ServerFault               | yes   |
| connection refused, reset or lost; no answer in time; 408   | Unreachable               | yes   |
| the messages do not fit the model's context                 | ContextTooLong            | no    |
| 400, 404, 413, 422 and other 4xx; 3xx                       | Rejected                  | no    |
| 401, 403; no quota left; a certificate that is not trusted  | EndpointError             | no    |
| the endpoint is dead                                        | CircuitOpen               | no    |
| the budget refuses another attempt                          | BudgetReached             | no    |
"""

import random as randomness
from collections.abc import Callable

import msgspec

from ....scenarios.endpoints import Retry
from ...errors import CallFailed
from ..clock import Clock, SystemClock
from ..protocol import ChatClient, ChatRequest, ChatResponse
from .breaker import Breaker

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0

OnRetry = Callable[[ChatRequest], None]


class RetryingClient:
    """Makes a call, and again while it fails with a retryable CallFailed, within the policy.

    Waits double from half a second to 30 s, jittered down by up to half, and are never shorter than what the
    endpoint asked for. No attempt starts later than `policy.seconds` after the first failure. It stands
    outside the limits, so that a wait holds no place. `on_retry` is called before each further attempt; what
    it raises goes to the caller. `breaker` may fail any attempt with CircuitOpen.

    The response's `attempts` counts HTTP calls. The last error goes to the caller: of its own kind, with
    `attempts`, and saying how often and for how long it was tried.
    """

    def __init__(
        self,
        inner: ChatClient,
        policy: Retry,
        *,
        breaker: Breaker | None = None,
        on_retry: OnRetry | None = None,
        random: randomness.Random | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._breaker = breaker
        self._on_retry = on_retry
        self._random = random or randomness.Random()
        self._clock = clock or SystemClock()

    async def chat(self, request: ChatRequest) -> ChatResponse:
        try:
            return await self._attempt(request)
        except CallFailed as error:
            failed = error
        return await self._again(request, failed)

    async def _attempt(self, request: ChatRequest) -> ChatResponse:
        breaker = self._breaker
        if breaker is None:
            return await self._inner.chat(request)
        breaker.check()
        try:
            response = await self._inner.chat(request)
        except CallFailed as error:
            breaker.failed(error)
            raise
        breaker.answered()
        return response

    async def _again(self, request: ChatRequest, failed: CallFailed) -> ChatResponse:
        begin = self._clock.now()
        calls, tries = failed.attempts, 1
        while failed.retryable and tries < self._policy.attempts:
            wait = self._wait(tries, failed.retry_after)
            if self._clock.now() + wait > begin + self._policy.seconds:
                break
            await self._clock.sleep(wait)
            if self._on_retry is not None:
                self._on_retry(request)
            tries += 1
            try:
                response = await self._attempt(request)
            except CallFailed as error:
                failed = error
                calls += failed.attempts
            else:
                return msgspec.structs.replace(response, attempts=calls + response.attempts)
        self._conclude(failed, calls, self._clock.now() - begin)
        raise failed

    def _wait(self, tries: int, retry_after: float | None) -> float:
        backoff = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (tries - 1))
        return max(backoff * self._random.uniform(0.5, 1.0), retry_after or 0.0)

    def _conclude(self, failed: CallFailed, calls: int, seconds: float) -> None:
        """Make the last error tell of all attempts; it stays the same object, with its cause."""
        failed.attempts = calls
        if not failed.retryable:
            return
        tried = f"gave up after {calls} {'call' if calls == 1 else 'calls'} in {seconds:.0f} s"
        if failed.retry_after is not None and failed.retry_after > self._policy.seconds - seconds:
            tried += f"; it asks to wait {failed.retry_after:.0f} s"
        failed.args = (f"{failed} ({tried})",)
