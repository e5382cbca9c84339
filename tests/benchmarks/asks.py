"""Rate and latency of anything that is asked and answers."""

from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter

import anyio

Ask = Callable[[], Awaitable[object]]

TASKS = 64
"""Tasks that ask at once."""


async def rate(ask: Ask, seconds: float) -> float:
    """Asks a second from many tasks."""
    asked, end = 0, perf_counter() + seconds

    async def work() -> None:
        nonlocal asked
        while perf_counter() < end:
            await ask()
            asked += 1

    start = perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(TASKS):
            tasks.start_soon(work)
    return asked / (perf_counter() - start)


async def latency(ask: Ask, asks: int) -> float:
    """The median of one ask after the other, in milliseconds."""
    taken: list[float] = []
    for _ in range(asks):
        start = perf_counter()
        await ask()
        taken.append(1000 * (perf_counter() - start))
    return median(taken)
