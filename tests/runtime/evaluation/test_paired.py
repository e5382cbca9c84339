"""What a gain promises: paired rows, honest p-values, and nothing from nothing."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest, kstest

from transfer_prompting.runtime.evaluation._resampling import (
    bca,
    counts,
    holm,
    leave_outs,
    mcnemar,
    permutation,
)
from transfer_prompting.runtime.evaluation.evaluate import evaluate
from transfer_prompting.runtime.evaluation.metrics import METRICS, Binning
from transfer_prompting.runtime.evaluation.objective import Objective
from transfer_prompting.runtime.evaluation.outcomes import Failed, Graded, Outcomes
from transfer_prompting.runtime.evaluation.scorecard import Gain
from transfer_prompting.runtime.evaluation.statistics import corrected, gains

from support.graded import drawn, graded, responses

OBJECTIVE = Objective()


def compared(
    best: list[Graded], baseline: list[Graded], objective: Objective = OBJECTIVE, *, seed: int = 7
) -> dict[str, Gain]:
    return gains(Outcomes.of(best), Outcomes.of(baseline), objective, seed=seed)


def test_a_gain_is_the_difference_of_the_scorecards():
    best, baseline = Outcomes.of(drawn(80, seed=1, skill=0.8)), Outcomes.of(drawn(80, seed=2))
    found = gains(best, baseline, OBJECTIVE, seed=7)
    one = evaluate(best, OBJECTIVE, seed=7, intervals=True)
    other = evaluate(baseline, OBJECTIVE, seed=7, intervals=True)
    assert set(found) == {*METRICS, "objective"}
    for name, gain in found.items():
        assert gain.difference == pytest.approx(getattr(one, name) - getattr(other, name))
        assert gain.low is not None
        assert gain.high is not None
        assert gain.low <= gain.difference <= gain.high


def test_the_interval_of_a_gain_in_ece_is_bca_over_resampled_rows_in_bins_of_equal_width():
    sides = [drawn(20, seed=seed) for seed in (1, 2)]

    def ece(weights: NDArray[np.int32], rows: list[Graded]) -> NDArray[np.float64]:
        gaps = np.zeros((20, 10))
        for i, row in enumerate(rows):
            sure = row.confidence or 0.0
            gaps[i, min(9, int(sure * 10 + 1e-9))] = row.correct - sure
        return np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1)

    def difference(pieces: Iterable[NDArray[np.int32]]) -> NDArray[np.float64]:
        weights = np.concatenate(list(pieces))
        return ece(weights, sides[0]) - ece(weights, sides[1])

    gain = compared(sides[0], sides[1])["ece"]
    point = float(difference([np.ones((1, 20), dtype=np.int32)])[0])
    assert gain.difference == pytest.approx(point)
    interval = bca(point, difference(counts(20, seed=7)), difference(leave_outs(20, seed=7)))
    assert (gain.low, gain.high) == pytest.approx(interval)


def test_a_gain_says_which_way_is_better():
    found = compared(drawn(30, seed=1), drawn(30, seed=2))
    lower = {name for name, gain in found.items() if gain.better == "lower"}
    assert lower == {"ece", "brier", "aurc", "output_tokens", "seconds"}


@given(responses(least=2, most=10))
@settings(deadline=None, max_examples=15)
def test_a_prompt_gains_nothing_over_itself(rows: list[Graded]):
    for gain in compared(rows, rows).values():
        assert (gain.difference, gain.p) == (0.0, 1.0) or gain.p is None
        assert gain.low in (0.0, None)


def test_swapping_the_prompts_turns_every_sign():
    one, other = drawn(40, seed=1, skill=0.8), drawn(40, seed=2)
    forth, back = compared(one, other), compared(other, one)
    for name, gain in forth.items():
        assert gain.difference == pytest.approx(-back[name].difference)
        assert gain.p == pytest.approx(back[name].p)


def test_only_rows_that_both_have_graded_are_compared():
    best = [graded("1"), graded("2"), graded("3", right=False)]
    baseline = [Failed("1", "503"), graded("2", right=False), graded("3", right=False), graded("4")]
    found = gains(Outcomes.of(best), Outcomes.of(baseline), OBJECTIVE, seed=7)
    assert found["accuracy"].difference == 0.5


def test_without_common_rows_there_is_no_gain():
    assert compared([graded("1")], [graded("2")]) == {}


def test_one_common_row_has_a_difference_and_no_interval():
    gain = compared([graded("1")], [graded("1", right=False)])["accuracy"]
    assert gain == Gain(1.0, None, None, 1.0)


def test_a_metric_undefined_for_one_prompt_has_no_gain():
    found = compared([graded(f"{i:04d}") for i in range(20)], drawn(20, seed=1))
    assert "auroc" not in found
    assert "accuracy" in found


def test_a_clear_gain_is_significant_and_its_interval_excludes_zero():
    found = compared(drawn(150, seed=1, skill=0.9), drawn(150, seed=2, skill=0.5))
    for name in ("accuracy", "objective", "balanced_accuracy", "macro_f1"):
        gain = found[name]
        assert gain.low is not None
        assert gain.p is not None
        assert gain.low > 0
        assert gain.p < 0.01


def test_labels_that_only_one_prompt_answers_are_aligned():
    best = [graded("1", gold="B"), graded("2", gold="C")]
    baseline = [
        graded("1", gold="B", answer="A", right=False),
        graded("2", gold="C", answer="A", right=False),
    ]
    assert compared(best, baseline)["macro_f1"].difference == 1.0
    assert compared(best, baseline)["balanced_accuracy"].difference == 1.0


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_under_no_difference_p_values_are_uniform(binning: Binning):
    """120 pairs of equally good prompts; accuracy's p is discrete, so it is held to its level alone."""
    objective = Objective(binning=binning)
    found = [
        compared(drawn(30, seed=2 * i, digits=6), drawn(30, seed=2 * i + 1, digits=6), objective)
        for i in range(120)
    ]
    for name in ("objective", "auroc", "ece", "brier", "aurc"):
        assert (
            kstest([gain.p for one in found if (gain := one[name]).p is not None], "uniform").pvalue > 0.001
        )
    early = np.mean([(one["accuracy"].p or 0.0) <= 0.05 for one in found])
    assert early <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 120)


def test_fractional_credit_is_tested_by_permutation():
    best = [graded(f"{i:02d}", credit=0.9) for i in range(12)]
    baseline = [graded(f"{i:02d}", credit=0.6) for i in range(12)]
    p = compared(best, baseline)["accuracy"].p
    assert p is not None
    assert p < 0.005


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_mcnemar_agrees_with_the_exact_binomial_test(pairs: list[tuple[bool, bool]]):
    one, other = (np.array([pair[side] for pair in pairs], dtype=bool) for side in (0, 1))
    won, lost = int((one & ~other).sum()), int((other & ~one).sum())
    expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert mcnemar(one, other) == pytest.approx(expected)


def test_accuracy_is_tested_by_mcnemar():
    best = [graded(str(i)) for i in range(8)]
    baseline = [graded(str(i), right=i > 5) for i in range(8)]
    assert compared(best, baseline)["accuracy"].p == pytest.approx(2 / 2**6)


def test_permutation_counts_the_difference_itself_and_drops_the_undefined():
    assert permutation(0.5, np.array([0.1, -0.6, 0.5, np.nan, 0.2])) == pytest.approx(3 / 5)
    assert permutation(0.5, np.array([0.1, np.nan])) is None


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_and_keeps_their_order(ps: list[float]):
    adjusted = holm(ps)
    assert all(after >= before and after <= 1 for before, after in zip(ps, adjusted, strict=True))
    order = sorted(range(len(ps)), key=ps.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_ratings_shift_the_objective_and_leave_it_without_a_p():
    objective = Objective({"accuracy": 0.5, "judged.relevance": 0.5})
    best, baseline = Outcomes.of(drawn(30, seed=1)), Outcomes.of(drawn(30, seed=1))
    gain = gains(best, baseline, objective, seed=7, judged=({"relevance": 5.0}, {"relevance": 3.0}))[
        "objective"
    ]
    assert gain.difference == pytest.approx(0.25)
    assert gain.p is None


def test_corrected_gains_hold_each_metric_against_itself_over_all_comparisons():
    best, baseline = drawn(60, seed=1, skill=0.8), drawn(60, seed=2)
    comparisons = [compared(best, baseline), compared(baseline, best[:40]), {}]
    found = corrected(comparisons)
    assert found[2] == {}
    for name in comparisons[0]:
        ps = [one[name].p for one in comparisons[:2]]
        adjusted = [one[name].p_adjusted for one in found[:2]]
        told = [p for p in ps if p is not None]
        assert [p for p in adjusted if p is not None] == holm(told)
        assert [p is None for p in adjusted] == [p is None for p in ps]


def test_one_comparison_needs_no_correction():
    (found,) = corrected([compared(drawn(40, seed=1), drawn(40, seed=2))])
    assert all(gain.p_adjusted == gain.p for gain in found.values())
