"""The allotment of a search: what is issued and settled, what is kept for the final test, parts of it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.agents.coordinator.allotment import MARGIN, RETRIED, UNITS, Allotment, Amount
from transfer_prompting.scenarios.stages import BudgetSettings

CALL = Amount(calls=1, evaluations=1)
amounts = st.builds(Amount, *[st.integers(0, 50).map(float) for _ in UNITS])


def allotment(reserve: int = 0, spent: Amount | None = None, **caps: float) -> Allotment:
    return Allotment(caps, spent=spent or Amount(), reserve=reserve)


def test_the_final_test_is_kept_back_of_the_calls_alone():
    assert allotment(reserve=30, calls=100).times(CALL) == 70
    assert allotment(reserve=30, evaluations=100).times(CALL) == 100
    assert allotment(reserve=30, calls=100, spent=Amount(calls=5)).times(CALL) == 65


def test_the_tightest_cap_counts_and_without_one_there_is_no_end():
    assert allotment(calls=100, evaluations=40).times(CALL) == 40
    assert allotment(calls=100, evaluations=40).times(Amount(calls=10, evaluations=1)) == 10
    assert allotment().times(CALL) == math.inf
    assert not allotment().bounded
    assert allotment(usd=1).bounded


@given(st.lists(st.tuples(amounts, amounts, st.booleans()), max_size=20))
def test_what_is_spent_is_what_was_settled_and_what_is_planned(works: list[tuple[Amount, Amount, bool]]):
    one = allotment(calls=1000)
    spent = Amount()
    for planned, actual, ended in works:
        one.issue(planned)
        if ended:
            one.settle(planned, actual)
        spent += actual if ended else planned
    assert one.spent == spent
    assert one.times(Amount(calls=1)) == max(0, 1000 - spent.calls)


def test_work_that_costs_less_than_planned_gives_back_the_rest():
    one = allotment(calls=10)
    one.issue(Amount(calls=8))
    assert one.times(CALL) == 2
    one.settle(Amount(calls=8), Amount(calls=3))
    assert one.times(CALL) == 7


def test_of_tokens_the_final_test_takes_what_calls_cost_so_far_and_some_more():
    one = allotment(reserve=10, tokens=1000)
    assert one.times(Amount(tokens=1)) == 1000
    one.issue(Amount(calls=4, tokens=100))
    one.settle(Amount(calls=4, tokens=100), Amount(calls=4, tokens=80))
    assert one.times(Amount(tokens=1)) == pytest.approx(1000 - 80 - MARGIN * 10 * 20)


def test_where_calls_are_retried_the_final_test_is_granted_retries_too():
    one = allotment(reserve=100, calls=1000)
    one.issue(Amount(calls=200))
    one.settle(Amount(calls=200), Amount(calls=210))
    assert one.times(Amount(calls=1)) == pytest.approx(1000 - 210 - 100 * (1 + RETRIED * 0.05))


def test_more_than_all_is_nothing_left_not_less():
    one = allotment(calls=5)
    one.issue(Amount(calls=9))
    assert one.times(CALL) == 0
    assert one.progress() == 1.0


def test_progress_is_the_share_of_what_the_search_may_spend():
    one = allotment(reserve=20, calls=120)
    assert one.progress() == 0.0
    one.issue(Amount(calls=25))
    assert one.progress() == pytest.approx(0.25)
    assert allotment().progress() == 0.0


def test_a_part_ends_at_its_share_of_what_is_left_and_counts_in_the_whole():
    whole = allotment(reserve=20, calls=140, spent=Amount(calls=20))
    part = whole.part(0.3, usual=9000)
    assert part.times(CALL) == pytest.approx(30)
    part.issue(Amount(calls=12))
    part.settle(Amount(calls=12), Amount(calls=10))
    assert part.times(CALL) == pytest.approx(20)
    assert whole.times(CALL) == 100
    whole.absorb(part)
    assert whole.times(CALL) == 90


def test_a_part_of_what_no_cap_bounds_is_a_share_of_the_usual_rows():
    part = allotment(spent=Amount(evaluations=7)).part(0.1, usual=300)
    assert part.times(Amount(evaluations=1)) == pytest.approx(30)


def test_calls_left_are_whole_and_of_the_tighter_cap():
    assert allotment(calls=10.7).calls_left == 10
    assert allotment(calls=100, evaluations=40).calls_left == 40
    assert allotment(tokens=100).calls_left is None


def test_the_caps_of_a_scenario_and_the_rows_of_its_search():
    caps = BudgetSettings(calls=500, usd=2.0)
    one = Allotment.of(caps, 300, spent=Amount(), reserve=100)
    assert one.times(Amount(calls=1)) == 400
    assert one.times(Amount(evaluations=1)) == 300
    assert one.times(Amount(usd=0.5)) == 4
