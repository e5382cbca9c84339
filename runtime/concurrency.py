"""Doing many things at once without losing an error."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import anyio
import msgspec

T = TypeVar("T")
R = TypeVar("R")


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


class Done(msgspec.Struct, Generic[R], frozen=True):
    """What an item came to."""

    value: R


class Raised(msgspec.Struct, frozen=True):
    """The error an item ended with."""

    error: Exception


async def settle(
    items: Iterable[T], do: Callable[[T], Awaitable[R]], *, limit: int, catch: tuple[type[Exception], ...]
) -> list[Done[R] | Raised]:
    """Do all items, at most `limit` at once, and return how each ended, in the order of the items.

    Errors of the kinds in `catch` end only their own item. Any other error cancels the rest and is raised
    alone, not in a group, when it is the only one.
    """
    numbered = enumerate(items)
    ends: dict[int, Done[R] | Raised] = {}

    async def work() -> None:
        for i, item in numbered:
            try:
                ends[i] = Done(await do(item))
            except catch as error:
                ends[i] = Raised(error)

    async with ungrouped(), anyio.create_task_group() as tasks:
        for _ in range(limit - 1):
            tasks.start_soon(work)
        await work()
    return [ends[i] for i in sorted(ends)]
