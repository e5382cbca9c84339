"""The clock of tests in virtual time."""

import threading

import anyio
import anyio.to_thread

from support.virtual_time import in_virtual_time


def test_hours_of_waiting_take_no_time():
    async def main() -> float:
        await anyio.sleep(36_000)
        return anyio.current_time()

    assert in_virtual_time(main) == 36_000


def test_no_time_passes_while_a_thread_works_and_others_go_on():
    begun, go_on = threading.Event(), threading.Event()
    times: list[float] = []

    def work() -> None:
        begun.set()
        assert go_on.wait(60)

    async def release() -> None:
        """Runs in turns of its own until the thread works, and for some more."""
        while not begun.is_set():
            await anyio.lowlevel.checkpoint()
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        go_on.set()

    async def main() -> float:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 5)
            tasks.start_soon(release)
            await anyio.to_thread.run_sync(work)
            times.append(anyio.current_time())
        return anyio.current_time()

    assert in_virtual_time(main) == 5
    assert times == [0]
