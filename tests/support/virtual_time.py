"""Time that passes only when nothing else is left to do, so that minutes of waiting take no time to test.

    def test_…():
        async def main() -> float:
            await anyio.sleep(3600)
            return anyio.current_time()

        assert in_virtual_time(main) >= 3600

Everything that waits by the event loop (anyio's sleeps and timeouts) follows. While a thread works
(`anyio.to_thread.run_sync`) no time passes. Processes and other machines do not follow, so nothing real can
be talked to.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import anyio
from anyio.to_thread import current_default_thread_limiter

T = TypeVar("T")

THREAD_SECONDS = 60.0
"""Real seconds to wait for a thread where nothing else is left to do."""


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.threads: anyio.CapacityLimiter | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            working = self.threads is not None and self.threads.borrowed_tokens > 0
            if timeout is not None and (timeout <= 0 or not working):
                self.now += max(timeout, 0.0)
            elif not (ready := super().select(THREAD_SECONDS)):
                raise RuntimeError("every task waits for something that will never happen")
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def watch_threads(self) -> None:
        self._virtual.threads = current_default_thread_limiter()


class VirtualClock:
    """The `Clock` of the loop that runs; after its end, the time it last showed."""

    def __init__(self) -> None:
        self._last = 0.0

    def now(self) -> float:
        with suppress(RuntimeError):  # no event loop runs
            self._last = anyio.current_time()
        return self._last

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


def in_virtual_time(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `main` to its end on an event loop whose time is virtual, starting at 0."""

    async def watched() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, _Loop)
        loop.watch_threads()
        return await main()

    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(watched())
