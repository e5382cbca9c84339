"""Sibling races: how alike they are, and what they offer each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.randomness import generator
from transfer_prompting.runtime.search.siblings import (
    CAUTION,
    GATE,
    GRID,
    LEAST,
    OFFERS,
    Evidence,
    correlation,
    expected,
    offers,
)

Found = dict[str, Evidence]


def races(prompts: int, *, shared: float, seed: int = 0, error: float = 0.3) -> list[Found]:
    """Three races over the same prompts, whose abilities correlate so much."""
    draw = generator(seed, "races")
    found: list[Found] = [{}, {}, {}]
    for number in range(prompts):
        common = draw.gauss(0, 1)
        for race in found:
            ability = shared**0.5 * common + (1 - shared) ** 0.5 * draw.gauss(0, 1)
            race[f"p{number}"] = Evidence(ability + error**0.5 * draw.gauss(0, 1), error)
    return found


def test_races_that_share_much_are_found_alike_and_those_that_share_nothing_are_not():
    alike = [correlation(races(60, shared=0.8, seed=seed)) for seed in range(10)]
    apart = [correlation(races(60, shared=0.0, seed=seed)) for seed in range(10)]
    assert min(alike) > 0.4
    assert max(apart) < 0.2


def test_few_prompts_show_no_likeness():
    assert correlation(races(3, shared=0.9)) < 0.2
    assert correlation([{"a": Evidence(2.0, 0.1)}, {"b": Evidence(2.0, 0.1)}]) == 0.0


@given(st.floats(-3, 3), st.floats(0.01, 10), st.floats(0, 0.9))
def test_an_expectation_is_never_further_out_than_what_was_found(
    estimate: float, error: float, correlated: float
):
    found: list[Found] = [{}, {"p": Evidence(estimate, error)}]
    value = expected("p", 0, found, correlated)
    assert abs(value) <= abs(estimate) * correlated + 1e-9
    assert value * estimate >= 0


def test_two_races_say_more_than_one_and_a_races_own_answers_are_not_counted_again():
    good = {"p": Evidence(1.5, 0.5)}
    once = expected("p", 0, [{}, good], 0.5)
    assert expected("p", 0, [{}, good, good], 0.5) > once > 0
    assert expected("p", 0, [{"p": Evidence(-3.0, 0.1)}, good], 0.5) == once
    assert expected("q", 0, [{}, good], 0.5) == 0.0


def test_good_prompts_that_a_race_does_not_know_are_offered_the_best_first():
    found = races(40, shared=0.8)
    unknown = {f"p{number}" for number in range(20)}
    own: Found = {key: value for key, value in found[0].items() if key not in unknown}
    given_races = [own, found[1], found[2]]
    made = offers(0, given_races, frozenset(own), 0.7)
    leans = [expected(key, 0, given_races, 0.7) for key in made]
    assert 1 <= len(made) <= OFFERS
    assert set(made) <= unknown
    assert leans == sorted(leans, reverse=True)
    assert leans[0] == pytest.approx(max(expected(key, 0, given_races, 0.7) for key in unknown))


def test_races_that_share_nothing_offer_nothing():
    found = races(40, shared=0.8)
    assert offers(0, [{}, found[1], found[2]], frozenset(), 0.01) == []


def factor(errors: list[float], shared: float) -> np.ndarray:
    """The covariance of measured abilities that share one factor."""
    return shared * np.ones((len(errors), len(errors))) + np.diag([1 - shared + error for error in errors])


@pytest.mark.parametrize(("prompts", "shared", "seed"), [(5, 0.8, 1), (12, 0.3, 2), (40, 0.6, 3)])
def test_the_correlation_is_the_posterior_mean_under_one_normal_factor(
    prompts: int, shared: float, seed: int
):
    """By the density of the multivariate normal distribution, prompt by prompt."""
    found = races(prompts, shared=shared, seed=seed)
    del found[2]["p0"]
    del found[0]["p1"], found[1]["p1"]
    found[0]["alone"] = Evidence(4.0, 0.1)
    logs = CAUTION * np.log(1 - GRID)
    for key in (f"p{number}" for number in range(prompts) if number != 1):
        known = [race[key] for race in found if key in race]
        at = np.array([one.estimate for one in known])
        for i, correlated in enumerate(GRID):
            covariance = factor([one.error for one in known], float(correlated))
            logs[i] -= (np.linalg.slogdet(covariance)[1] + at @ np.linalg.solve(covariance, at)) / 2
    weights = np.exp(logs - logs.max())
    assert correlation(found) == pytest.approx(float(weights @ GRID / weights.sum()), rel=1e-9)


def test_an_expectation_is_the_conditional_mean_under_one_normal_factor():
    found: list[Found] = [
        {"p": Evidence(9.0, 0.1)},
        {"p": Evidence(1.5, 0.5)},
        {},
        {"p": Evidence(-0.5, 0.2), "q": Evidence(2.0, 0.1)},
    ]
    weights = np.linalg.solve(factor([0.5, 0.2], 0.6), np.array([1.5, -0.5]))
    assert expected("p", 0, found, 0.6) == pytest.approx(0.6 * float(weights.sum()))


def test_offers_are_above_the_gate_in_other_races_and_unknown_here():
    good, fair = Evidence(3.0, 0.1), Evidence(0.1, 0.1)
    found: list[Found] = [{"own": good}, {"a": good, "b": fair, "known": good, "twin": good}]
    assert offers(0, found, frozenset({"own", "known"}), 0.5) == ["a", "twin"]
    assert offers(0, found, frozenset({"own", "known"}), LEAST) == []
    many: list[Found] = [{}, {f"p{number}": Evidence(3 + number, 0.1) for number in range(9)}]
    assert offers(0, many, frozenset(), 0.5) == ["p8", "p7", "p6", "p5"]


@pytest.mark.parametrize(("correlated", "offered"), [(LEAST, ["p"]), (LEAST - 1e-9, [])])
def test_a_correlation_below_the_least_offers_nothing(correlated: float, offered: list[str]):
    assert offers(0, [{}, {"p": Evidence(1000.0, 0.0)}], frozenset(), correlated) == offered


def test_a_prompt_is_offered_above_the_gate_and_not_at_it():
    at_gate = Evidence(GATE * 2, 0.0)
    assert expected("p", 0, [{}, {"p": at_gate}], 0.5) == GATE
    assert offers(0, [{}, {"p": at_gate}], frozenset(), 0.5) == []
    assert offers(0, [{}, {"p": Evidence(GATE * 2 + 0.01, 0.0)}], frozenset(), 0.5) == ["p"]
