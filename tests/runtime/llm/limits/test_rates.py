"""Rates: even pacing, those learned from refusals or stated in headers, and estimates of tokens."""

import pytest

from transfer_prompting.runtime.llm.chat import Usage
from transfer_prompting.runtime.llm.http._refusals import Quota
from transfer_prompting.runtime.llm.limits._rates import LearnedRate, Pace, TokenEstimate, stated_rate

from support.load import asking


@pytest.mark.parametrize("rate", [0.0, 1e-9])
def test_a_rate_that_a_jump_of_the_clock_made_absurd_still_lets_a_call_start_every_minute(rate: float):
    learned = LearnedRate()
    for episode in range(3):
        learned.refused(float(episode), rate, paced=False)
        assert learned.pace is not None
        learned.take(float(episode))
    assert learned.pace is not None
    assert learned.pace.due() <= 2 + 3 * 60


@pytest.mark.parametrize(
    ("late", "due"), [(0.0, 11.0), (-0.25, 11.0), (0.04, 11.0), (0.06, 11.06), (9.0, 20.0)]
)
def test_a_start_that_is_late_by_what_timers_are_does_not_move_those_after_it(late: float, due: float):
    pace = Pace(2)
    assert pace.due() < -1e9
    pace.take(10.0)
    assert pace.due() == 10.5
    pace.take(10.5 + late)
    assert pace.due() == pytest.approx(due)


def test_many_units_delay_the_next_start_and_those_not_used_bring_it_forward():
    pace = Pace(2)
    pace.take(0.0, 10)
    assert pace.due() == 5.0
    pace.give_back(4)
    assert pace.due() == 3.0
    pace.give_back(-2)
    assert pace.due() == 4.0


def per_second(learned: LearnedRate) -> float:
    assert learned.pace is not None
    return learned.pace.per_second


def use(learned: LearnedRate, seconds: float = 1e9, *, up_to: float = float("inf")) -> float:
    """Call at the learned rate for so long, or until it has risen so far; the seconds that took."""
    used = 0.0
    while used < seconds and per_second(learned) < up_to:
        used += 1 / per_second(learned)
        learned.take(used)
    return used


def serve(learned: LearnedRate, calls: int) -> None:
    for _ in range(calls):
        learned.served()


@pytest.mark.parametrize(("paced", "share"), [(True, 0.7), (False, 1 / 8)])
def test_a_share_of_the_first_rate_that_was_refused_is_tried_and_doubled_every_two_seconds(
    paced: bool, share: float
):
    learned = LearnedRate()
    learned.refused(0.0, 1000, paced=paced)
    assert per_second(learned) == pytest.approx(1000 * share)
    use(learned, 2)
    assert per_second(learned) == pytest.approx(2000 * share, rel=0.02)
    use(learned, 4)
    assert per_second(learned) == pytest.approx(8000 * share, rel=0.02)


def refused_at(rate: float, served_per_second: float) -> LearnedRate:
    """A rate that was refused first, when it was served at the other for ten seconds since."""
    learned = LearnedRate()
    learned.refused(100.0, rate / 0.7, paced=True)
    serve(learned, int(10 * served_per_second))
    learned.refused(110.0, 10 * rate, paced=True)
    return learned


@pytest.mark.parametrize(
    ("rate", "served", "start"),
    [(1000, 810, 900), (1000, 10, 100), (1000, 990, 970), (1000, 5000, 970)],
)
def test_after_a_second_refusal_the_rate_starts_between_what_was_served_and_what_was_refused(
    rate: float, served: float, start: float
):
    assert per_second(refused_at(rate, served)) == pytest.approx(start)


@pytest.mark.parametrize(("served", "rise"), [(810, 15), (510, 15), (490, 4), (400, 4)])
def test_it_rises_to_what_was_refused_in_fifteen_seconds_or_four_where_that_is_far(
    served: float, rise: float
):
    learned = refused_at(1000, served)
    gap = 1000 - per_second(learned)
    use(learned, rise / 2)
    assert 1000 - per_second(learned) == pytest.approx(gap / 8, rel=0.02)
    use(learned, rise / 2 + 0.01)
    assert per_second(learned) == pytest.approx(1000, rel=1e-3)


def test_beyond_what_was_refused_it_is_exceeded_by_one_three_and_seven_per_cent():
    learned = refused_at(1000, 810)
    use(learned, 15)
    for excess in (10, 30, 70):
        use(learned, 8)
        assert per_second(learned) - 1000 == pytest.approx(excess, rel=0.02)


def test_the_rise_and_the_probing_of_low_rates_take_at_least_thirty_calls():
    learned = refused_at(1, 0.8)
    gap = 1 - per_second(learned)
    use(learned, 15)
    assert 1 - per_second(learned) == pytest.approx(gap / 8, rel=0.2)
    use(learned, 15 + 30)
    assert per_second(learned) == pytest.approx(1.01, abs=0.002)


def rise_of(learned: LearnedRate, high: float) -> float:
    """The seconds of a cubic rise, from those until half of it is done."""
    return use(learned, up_to=(per_second(learned) + high) / 2) / (1 - 0.5 ** (1 / 3))


def test_an_upper_bound_that_is_confirmed_is_approached_more_slowly_up_to_half_a_minute():
    learned = refused_at(1000, 810)
    at, rises = 110.0, list[float]()
    for high in (1000, 1000, 1000, 800):
        at += 10
        serve(learned, 8100)
        use(learned, 60, up_to=high)
        learned.refused(at, high, paced=True)
        rises.append(rise_of(learned, high))
    assert rises == pytest.approx([22.5, 30, 30, 15], rel=0.02)


def test_a_refusal_after_fewer_than_five_served_calls_starts_lower_and_forgets_the_earlier_ones():
    learned = refused_at(1000, 810)
    serve(learned, 4)
    learned.refused(111.0, 500, paced=False)
    assert per_second(learned) == pytest.approx(350)
    assert rise_of(learned, 500) == pytest.approx(4, rel=0.02)
    serve(learned, 100)
    learned.refused(121.0, 500, paced=True)
    assert per_second(learned) == pytest.approx((10 * 250) ** 0.5, rel=0.4)


@pytest.mark.parametrize(("seconds", "rate"), [(5.0, 10), (0.2, 50), (0.0, 97)])
def test_after_exactly_five_served_calls_it_is_measured(seconds: float, rate: float):
    learned = LearnedRate()
    learned.refused(0.0, 100 / 0.7, paced=True)
    serve(learned, 5)
    learned.refused(seconds, 100, paced=True)
    assert per_second(learned) == pytest.approx(rate)


def test_what_is_served_is_measured_over_at_least_thirty_calls_where_there_were_so_many():
    learned = LearnedRate()
    for at, calls in ((0.0, 0), (10.0, 100), (15.0, 10)):
        serve(learned, calls)
        learned.refused(at, 100, paced=True)
    serve(learned, 20)
    use(learned, up_to=20)
    learned.refused(20.0, 20, paced=True)
    # Thirty calls in the ten seconds since the second refusal; twenty in the five since the last.
    assert per_second(learned) == pytest.approx((3 * 20) ** 0.5)


@pytest.mark.parametrize(
    ("quota", "rate"),
    [
        (Quota(600), 10),
        (Quota(), None),
        (Quota(0, 0, 60), None),
        (Quota(600, 540, 6), 10),  # a tenth comes back in six seconds
        (Quota(60, 50, 1), 60),
        (Quota(1000, 999, 86.4), None),
        (Quota(6000, 5999, 1), 100),  # a reset that is rounded up says nothing
        (Quota(6000, 5999, 2), None),
        (Quota(100, 0, 0.5), 100),
        (Quota(600, 590, 1), 10),
        (Quota(100, 100, 500), 100 / 60),
        (Quota(100, None, 500), 100 / 60),
        (Quota(100, 0, 480), 100 / 60),
        (Quota(100, 0, 481), None),
        (Quota(100, 0, 8), 100),
        (Quota(100, 0, 9), 100 / 60),
    ],
)
def test_the_period_of_a_stated_limit_shows_in_its_reset(quota: Quota, rate: float | None):
    assert stated_rate(quota) == (None if rate is None else pytest.approx(rate))


HUNDRED = asking("x" * 96, max_tokens=50)  # a message counts as four characters more


def learned_estimate(*completions: int) -> TokenEstimate:
    estimate = TokenEstimate()
    for tokens in completions:
        estimate.learn(HUNDRED, Usage(50, tokens))
    return estimate


def test_tokens_are_estimated_from_the_length_and_the_most_a_reply_may_have_until_eight_are_counted():
    assert TokenEstimate().of(HUNDRED) == pytest.approx(30 + 50)
    assert learned_estimate(*[7] * 7).of(HUNDRED) == pytest.approx(50 + 50)
    assert learned_estimate(*[7] * 8).of(HUNDRED) == pytest.approx(50 + 7)
    assert learned_estimate(*[7] * 8).of(asking("x" * 196, max_tokens=3)) == pytest.approx(100 + 3)


@pytest.mark.parametrize(("before", "mean"), [(7, 8.0), (20, 7.8)])
def test_the_means_are_plain_at_first_and_follow_with_a_tenth(before: int, mean: float):
    estimate = learned_estimate(*[7] * before, 15)
    assert estimate.of(HUNDRED) == pytest.approx(50 + mean)
    first = TokenEstimate()
    first.learn(HUNDRED, Usage(40, 1))
    first.learn(HUNDRED, Usage(60, 1))
    assert first.of(HUNDRED) == pytest.approx(50 + 50)
