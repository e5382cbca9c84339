"""Time, as limits and retries see it."""

from time import monotonic
from typing import Protocol

import anyio


class Clock(Protocol):
    """Seconds that only go forward, and waiting for them to pass; tests bring one that needs no waiting."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The computer's own."""

    def now(self) -> float:
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)
