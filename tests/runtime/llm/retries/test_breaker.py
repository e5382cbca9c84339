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


def test_without_settings_ten_failures_over_twenty_seconds_open_it_for_fifteen(clock: Hand):
    breaker = Breaker("lab", clock=clock)
    fail(breaker, clock, 1, every=20)
    fail(breaker, clock, 8, every=0)
    assert not breaker.open
    fail(breaker, clock, 1, every=0)
    assert breaker.open
    with pytest.raises(CircuitOpen, match=r"10 calls .* within 20 s.* again in 15 s"):
        breaker.check()
    clock.time += 14
    with pytest.raises(CircuitOpen, match=r"within 34 s.* again in 1 s"):
        breaker.check()
    clock.time += 1
    breaker.check()


def test_ten_failures_in_less_than_twenty_seconds_do_not_open_it(clock: Hand):
    breaker = Breaker("lab", clock=clock)
    fail(breaker, clock, 1, every=19.5)
    fail(breaker, clock, 30, every=0)
    assert not breaker.open


def test_after_an_answer_as_many_failures_are_needed_as_at_first(breaker: Breaker, clock: Hand):
    fail(breaker, clock, 1, every=30)
    breaker.answered()
    fail(breaker, clock, 2, every=30)
    assert not breaker.open
    fail(breaker, clock, 1)
    assert breaker.open


def test_it_goes_by_real_time_where_no_clock_is_given():
    breaker = Breaker("lab", failures=2, seconds=0)
    for _ in range(2):
        breaker.failed(Unreachable("connection refused"))
    with pytest.raises(CircuitOpen, match=r"2 calls .* within 0 s.* again in 15 s"):
        breaker.check()
