"""Many things at once: bounds, order, and whose error is whose."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from transfer_prompting.runtime.concurrency import Done, Raised, settle


async def test_ends_come_in_the_order_of_the_items_whatever_ends_first():
    last = anyio.Event()

    async def one(item: int) -> int:
        if item == 3:
            last.set()
        await last.wait()
        return item * item

    with anyio.fail_after(5):
        ends = await settle(range(4), one, limit=4, catch=())
    assert ends == [Done(0), Done(1), Done(4), Done(9)]


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
    assert ends == [Done(item) for item in range(20)]


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

    assert await settle("abc", one, limit=2, catch=(KeyError,)) == [Done("a"), Raised(error), Done("c")]


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
