"""Ctrl-C, SIGTERM and SIGHUP: the first ends a run gracefully, the second at once."""

import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from anyio.abc import TaskStatus

from ._start import end_signals

__all__ = ["Interrupted", "Interruption", "end_signals", "interruptible"]


class Interrupted(Exception):
    """The run was ended by the user; what is complete is on disk."""


class Interruption:
    """Effect of signals: the first asks to `stop` (ends the scope where nothing runs), the second ends it."""

    def __init__(self, scope: anyio.CancelScope, say: Callable[[str], None]) -> None:
        self._scope = scope
        self._say = say
        self.stop: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.ended = False

    async def watch(self, *, task_status: TaskStatus[None]) -> None:
        """Receive signals until cancelled. A third one ends the process as Python does."""
        with anyio.open_signal_receiver(*end_signals()) as signals:
            task_status.started()
            async with anyio.create_task_group() as tasks:
                stopping = False
                async for _ in signals:
                    if stopping or self.stop is None:
                        break
                    stopping = True
                    with suppress(OSError):  # after a SIGHUP the terminal may be gone
                        self._say(
                            "stopping: calls in flight finish, nothing else starts; again to stop at once"
                        )
                    tasks.start_soon(self.stop)
                tasks.cancel_scope.cancel()
        self.ended = True
        self._scope.cancel()


@asynccontextmanager
async def interruptible(say: Callable[[str], None]) -> AsyncGenerator[Interruption]:
    """Scope that signals end. Raises Interrupted when one ended it before it was done.

    Where signals cannot be received in an event loop (Windows), Ctrl-C cancels the run at once.
    """
    tasks = anyio.create_task_group()
    interruption = Interruption(tasks.cancel_scope, say)
    async with tasks:
        if sys.platform != "win32":
            await tasks.start(interruption.watch)
        yield interruption
        tasks.cancel_scope.cancel()
    if interruption.ended:
        raise Interrupted
