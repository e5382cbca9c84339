"""When an endpoint counts as dead, and when it lives again."""

import pytest

from transfer_prompting.runtime.errors import CallFailed, CircuitOpen, RateLimited, ServerFault, Unreachable
from transfer_prompting.runtime.llm.retries import Breaker


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def breaker(clock: Hand) -> Breaker:
    return Breaker("lab", failures=3, seconds=20, cool_down=15, clock=clock)


def fail(
    breaker: Breaker, clock: Hand, times: int, error: CallFailed | None = None, every: float = 10
) -> None:
    for _ in range(times):
        breaker.check()
        breaker.failed(error or Unreachable("connection refused"))
        clock.time += every


def test_a_dead_endpoint_fails_fast_and_the_message_names_it_and_the_cause(breaker: Breaker, clock: Hand):
    fail(breaker, clock, 3)
    assert breaker.open
    with pytest.raises(CircuitOpen, match=r"lab.*3 calls.*connection refused") as raised:
        breaker.check()
    assert isinstance(raised.value.__cause__, Unreachable)


def test_many_failures_in_the_same_moment_do_not_open_it(breaker: Breaker, clock: Hand):
    fail(breaker, clock, 500, every=0.01)
    breaker.check()


def test_a_few_failures_over_a_long_time_do_not_open_it(breaker: Breaker, clock: Hand):
    fail(breaker, clock, 2, every=100)
    breaker.check()


def test_any_answer_between_starts_the_count_again(breaker: Breaker, clock: Hand):
    fail(breaker, clock, 2)
    breaker.answered()
    fail(breaker, clock, 2)
    breaker.failed(RateLimited("a 429 is an answer"))
    fail(breaker, clock, 2, ServerFault("500"))
    breaker.check()


def test_after_the_cool_down_one_call_tries_and_the_others_still_fail_fast(breaker: Breaker, clock: Hand):
    fail(breaker, clock, 3)
    clock.time += 15
    breaker.check()
    with pytest.raises(CircuitOpen):
        breaker.check()


def test_a_try_that_succeeds_closes_it(breaker: Breaker, clock: Hand):
    fail(breaker, clock, 3)
    clock.time += 15
    breaker.check()
    breaker.answered()
    assert not breaker.open
    breaker.check()


def test_a_try_that_fails_opens_it_for_another_cool_down(breaker: Breaker, clock: Hand):
    fail(breaker, clock, 3)
    clock.time += 15
    fail(breaker, clock, 1)
    with pytest.raises(CircuitOpen):
        breaker.check()
    clock.time += 15
    breaker.check()


def test_a_try_that_never_ends_does_not_keep_it_open_for_ever(breaker: Breaker, clock: Hand):
    fail(breaker, clock, 3)
    clock.time += 15
    breaker.check()
    clock.time += 15
    breaker.check()
