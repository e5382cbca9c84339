"""Many things at once: bounds, order, and whose error is whose."""

import threading
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import anyio
import pytest
from anyio.lowlevel import checkpoint

from transfer_prompting.runtime.concurrency import (
    SLICE_SECONDS,
    Held,
    Turns,
    off_loop,
    run_all,
    settle,
)


async def test_ends_come_in_the_order_of_the_items_whatever_ends_first():
    last = anyio.Event()

    async def one(item: int) -> int:
        if item == 3:
            last.set()
        await last.wait()
        return item * item

    with anyio.fail_after(5):
        ends = await settle(range(4), one, limit=4, catch=())
    assert ends == [0, 1, 4, 9]


@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_no_more_than_the_limit_run_at_once_and_all_are_done(limit: int):
    running = most = 0

    async def one(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await checkpoint()
        running -= 1
        return item

    ends = await settle(range(20), one, limit=limit, catch=())
    assert most == min(limit, 20)
    assert ends == [*range(20)]


async def test_nothing_to_do_is_done_at_once():
    async def one(item: int) -> int:
        raise AssertionError(item)

    assert await settle([], one, limit=0, catch=()) == []


async def test_an_expected_error_ends_only_its_own_item():
    error = KeyError("b")

    async def one(item: str) -> str:
        if item == "b":
            raise error
        return item

    assert await settle("abc", one, limit=2, catch=(KeyError,)) == ["a", error, "c"]


@pytest.mark.parametrize("culprit", [0, 2])
async def test_any_other_error_cancels_the_rest_and_is_raised_alone(culprit: int):
    cancelled: list[int] = []

    async def one(item: int) -> None:
        if item == culprit:
            await checkpoint()
            raise ValueError(item)
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.append(item)
            raise

    with anyio.fail_after(5), pytest.raises(ValueError, match=str(culprit)):
        await settle(range(3), one, limit=3, catch=(KeyError,))
    assert sorted(cancelled) == [item for item in range(3) if item != culprit]


async def test_of_errors_at_the_same_moment_the_first_is_raised_bare_and_names_the_others():
    all_there = anyio.Event()
    begun: list[int] = []

    async def one(item: int) -> None:
        begun.append(item)
        if len(begun) == 3:
            all_there.set()
        with anyio.CancelScope(shield=True):
            await all_there.wait()
        raise ValueError(item) from KeyError(item)

    with anyio.fail_after(5), pytest.raises(ValueError) as caught:  # noqa: PT011 - any of the three
        await settle(range(3), one, limit=3)
    assert isinstance(caught.value.__cause__, KeyError)
    assert len(caught.value.__notes__) == 2


async def test_of_expected_errors_the_first_in_order_is_raised_once_every_item_has_ended():
    ended: list[int] = []
    later = anyio.Event()

    async def one(item: int) -> None:
        if item == 1:
            await later.wait()
        ended.append(item)
        later.set()
        if item in (1, 2):
            raise KeyError(item)

    with anyio.fail_after(5), pytest.raises(KeyError, match="1"):
        await run_all(range(5), one, limit=5, catch=(KeyError,))
    assert sorted(ended) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("together", [settle, run_all])
async def test_under_cancellation_it_raises_and_never_returns_a_part(
    together: Callable[..., Awaitable[object]],
):
    returned: list[object] = []

    async def one(item: int) -> int:
        if item:
            await anyio.sleep_forever()
        return item

    async def ask() -> None:
        returned.append(await together(range(3), one, limit=2))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert returned == []


async def test_work_on_many_rows_is_done_in_a_thread_and_on_few_where_it_is():
    here = threading.get_ident()
    assert await off_loop(threading.get_ident, rows=10, quick=10) == here
    assert await off_loop(threading.get_ident, rows=11, quick=10) != here


async def test_short_steps_let_others_run_once_they_have_held_the_loop_for_long():
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        held = Held()
        time.sleep(2 * SLICE_SECONDS)  # noqa: ASYNC251 - a step that holds the loop
        await held.release()
        tasks.cancel_scope.cancel()
    assert others > 0


async def test_tasks_that_are_ready_together_take_turns():
    turns, done, seen = Turns(), list[int](), list[int]()

    async def step(number: int) -> None:
        await turns.wait()
        time.sleep(2 * SLICE_SECONDS)  # noqa: ASYNC251 - a step that holds the loop
        done.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(step, number)
        while len(done) < 6:
            await checkpoint()
            seen.append(len(done))
    assert sorted(done) == [*range(6)]
    assert max(after - before for before, after in pairwise([0, *seen])) <= 2
