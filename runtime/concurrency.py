"""Doing many things at once without losing an error."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TypeVar, cast

import anyio
import anyio.lowlevel
import anyio.to_thread

T = TypeVar("T")
R = TypeVar("R")

SLICE_SECONDS = 0.01
"""Time for which a loop of short steps may hold the event loop."""


def current_task() -> "asyncio.Task[object] | None":
    """The asyncio task that calls. Raises RuntimeError, with what to do instead, outside asyncio."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        raise RuntimeError(
            "transfer_prompting runs on asyncio (uvloop too), and none runs here: use asyncio.run, "
            "tp.run_sync, or anyio.run with its default backend. Under trio, give it a thread of its own: "
            "await trio.to_thread.run_sync(asyncio.run, main())"
        ) from None


async def off_loop(do: Callable[[], R], *, rows: int, quick: int) -> R:
    """`do()`, in a thread where it works on more than `quick` rows, for which it would hold the host's loop
    for more than some milliseconds. It is waited for under cancellation too."""
    if rows <= quick:
        return do()
    return await anyio.to_thread.run_sync(do)


class Held:
    """The time for which a loop of short steps holds the event loop."""

    def __init__(self) -> None:
        self._since = perf_counter()

    async def release(self) -> None:
        """Let others run where `SLICE_SECONDS` have passed since they could. To be called after each step."""
        if perf_counter() - self._since > SLICE_SECONDS:
            await anyio.lowlevel.checkpoint()
            self._since = perf_counter()


class Turns:
    """Turns of tasks that become ready together, so that others run after `SLICE_SECONDS` of their work."""

    _MOST = 8  # passes of the event loop that a task waits for its turn

    def __init__(self) -> None:
        self._until: float | None = None

    async def wait(self) -> None:
        """Return at once while this pass of the event loop has time, else in one of the next. A cancellation
        is not noticed here: who waits may hold an answer that was paid for."""
        for _ in range(self._MOST):
            now = perf_counter()
            if self._until is None:
                self._until = now + SLICE_SECONDS
                asyncio.get_running_loop().call_soon(self._end)
            if now < self._until:
                return
            await anyio.lowlevel.cancel_shielded_checkpoint()

    def _end(self) -> None:
        self._until = None


def unwrapped(error: BaseException) -> BaseException:
    """The one exception inside (nested) groups of one; any other error, or a group of several, as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


@asynccontextmanager
async def ungrouped() -> AsyncGenerator[None]:
    """Raise the single exception of a group instead of the group; its cause and traceback stay."""
    try:
        yield
    except BaseExceptionGroup as group:
        error = unwrapped(group)
        if error is group:
            raise
        raise error from error.__cause__


@asynccontextmanager
async def first_error() -> AsyncGenerator[None]:
    """Raise the first exception of a group instead of the group; its cause and traceback stay.

    For concurrent work of one caller, who handles errors by their kind: those of others that failed at the
    same moment are named in a note.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        error, *others = _leaves(group)
        for other in others:
            error.add_note(f"at the same moment another call failed: {type(other).__name__}: {other}")
        raise error from error.__cause__


def _leaves(error: BaseException) -> Generator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(inner)
    else:
        yield error


async def refuse_own_cancellation(error: BaseException, who: str) -> None:
    """Raise RuntimeError for a CancelledError that nobody caused who can cancel this task, as when code of a
    host waits for a future that was cancelled: a task group would end without a word, its work undone."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and not task.cancelling():
        await anyio.lowlevel.checkpoint_if_cancelled()  # a scope around this may be about to cancel it
        raise RuntimeError(f"{who} raised CancelledError, though nobody cancelled it") from error


async def settle(
    items: Iterable[T],
    do: Callable[[T], Awaitable[R]],
    *,
    limit: int,
    catch: tuple[type[Exception], ...] = (),
) -> list[R | Exception]:
    """Do all items, at most `limit` at once; the value or the error of each, in the order of the items.

    Errors of the kinds in `catch` end only their own item. Any other error cancels the rest and is raised,
    the first one where several items fail at the same moment; never in a group. Under cancellation it raises;
    it never returns less than it was given.
    """
    todo = list(items)
    if len(todo) == 1:  # needs no task group
        try:
            return [await do(todo[0])]
        except catch as error:
            return [error]
    numbered = iter(enumerate(todo))
    ends: dict[int, R | Exception] = {}

    async def work() -> None:
        for i, item in numbered:
            try:
                ends[i] = await do(item)
            except catch as error:
                ends[i] = error
            except asyncio.CancelledError as error:
                await refuse_own_cancellation(error, f"item {i}")
                raise

    async with first_error(), anyio.create_task_group() as tasks:
        for _ in range(min(limit, len(todo)) - 1):
            tasks.start_soon(work)
        await work()
    if len(ends) < len(todo):
        # A cancelled group may end without raising in its host task; what follows must not see a part.
        await anyio.lowlevel.checkpoint()
        raise RuntimeError("cancelled before every item was done")
    return [ends[i] for i in range(len(todo))]


async def run_all(
    items: Iterable[T],
    do: Callable[[T], Awaitable[R]],
    *,
    limit: int,
    catch: tuple[type[Exception], ...] = (),
) -> list[R]:
    """As `settle`, but once every item has ended, the first error of a kind in `catch` is raised."""
    values: list[R] = []
    for end in await settle(items, do, limit=limit, catch=catch):
        if isinstance(end, Exception):
            raise end
        values.append(end)
    return values
