"""Ctrl-C and SIGTERM: the first ends a run gracefully, the second at once."""

import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskStatus

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """The run was ended by the user; what is complete is on disk."""


class Interruption:
    """What signals do: the first asks to `stop`, or ends the scope where nothing runs; the second ends it."""

    def __init__(self, scope: anyio.CancelScope, tell: Callable[[str], None]) -> None:
        self._scope = scope
        self._tell = tell
        self.stop: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.ended = False

    async def watch(self, *, task_status: TaskStatus[None]) -> None:
        """Heed signals until cancelled. A third one ends the process as Python does."""
        with anyio.open_signal_receiver(*SIGNALS) as signals:
            task_status.started()
            async with anyio.create_task_group() as tasks:
                stopping = False
                async for _ in signals:
                    if stopping or self.stop is None:
                        break
                    stopping = True
                    self._tell("stopping: calls in flight finish, nothing else starts; again to stop at once")
                    tasks.start_soon(self.stop)
                tasks.cancel_scope.cancel()
        self.ended = True
        self._scope.cancel()


@asynccontextmanager
async def interruptible(tell: Callable[[str], None]) -> AsyncGenerator[Interruption]:
    """A scope that signals end. Raises Interrupted when one has ended it before it was done.

    Where signals cannot be received in an event loop (Windows), Ctrl-C cancels the run at once.
    """
    tasks = anyio.create_task_group()
    interruption = Interruption(tasks.cancel_scope, tell)
    async with tasks:
        if sys.platform != "win32":
            await tasks.start(interruption.watch)
        yield interruption
        tasks.cancel_scope.cancel()
    if interruption.ended:
        raise Interrupted
