"""What the intervals promise: their cover, their seed, and what they say where resampling cannot."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from scipy.stats import bootstrap as scipy_bootstrap

from transfer_prompting.runtime.evaluation._resampling import bca, counts, leave_outs, wilson
from transfer_prompting.runtime.evaluation.evaluate import points
from transfer_prompting.runtime.evaluation.metrics import METRICS, shown
from transfer_prompting.runtime.evaluation.objective import Objective
from transfer_prompting.runtime.evaluation.outcomes import Graded, Outcomes
from transfer_prompting.runtime.evaluation.statistics import bootstrap

from support.graded import drawn, graded, responses

OBJECTIVE = Objective()


def intervals(rows: list[Graded], seed: int = 7) -> dict[str, tuple[float, float]]:
    outcomes = Outcomes.of(rows)
    return bootstrap(outcomes, OBJECTIVE, points(outcomes), seed=seed)


def test_every_metric_and_the_objective_has_an_interval_around_it():
    rows = drawn(200, seed=1)
    found, values = intervals(rows), shown(points(Outcomes.of(rows)))
    assert set(found) == {*METRICS, "objective"}
    for name, value in values.items():
        low, high = found[name]
        assert value is not None
        assert low < value < high


@given(responses(most=12), st.integers(0, 3))
@settings(deadline=None, max_examples=25)
def test_intervals_hold_their_metric_and_depend_on_the_seed_alone(rows: list[Graded], seed: int):
    values = points(Outcomes.of(rows))
    found = intervals(rows, seed)
    assert found == intervals(rows[::-1], seed)
    for name in found.keys() & values.keys():
        value = values[name]
        assert value is not None
        assert found[name][0] <= value <= found[name][1]


def test_another_seed_draws_other_resamples():
    rows = drawn(60, seed=1)
    assert intervals(rows, 1) != intervals(rows, 2)


def test_one_row_has_no_interval():
    assert intervals([graded("1")]) == {}
    assert intervals([]) == {}


def test_rows_all_right_get_an_interval_that_still_admits_doubt():
    found = intervals([graded(str(i)) for i in range(20)])
    assert (
        found["accuracy"]
        == found["ifr"]
        == pytest.approx(tuple(binomtest(20, 20).proportion_ci(method="wilson")))
    )
    assert found["accuracy"][0] == pytest.approx(0.839, abs=1e-3)


@given(st.integers(1, 300), st.data())
def test_wilson_agrees_with_scipy(rows: int, data: st.DataObject):
    successes = data.draw(st.integers(0, rows))
    expected = binomtest(successes, rows).proportion_ci(method="wilson")
    assert wilson(successes, rows) == pytest.approx(tuple(expected), abs=1e-12)


def test_a_metric_undefined_in_too_many_resamples_has_no_interval():
    rows = [graded(f"{i:02d}", right=i > 0, confidence=i / 40) for i in range(40)]
    found = intervals(rows)
    assert points(Outcomes.of(rows))["auroc"] == 1.0
    assert "auroc" not in found
    assert "auprc_n" not in found
    assert {"accuracy", "ece", "auprc_p", "objective"} <= set(found)


def test_a_metric_undefined_on_the_rows_has_no_interval():
    rows = [graded(str(i), right=i % 2 == 0, confidence=None) for i in range(20)]
    assert "ece" not in intervals(rows)
    assert "accuracy" in intervals(rows)


def test_intervals_agree_with_scipys_bca():
    """On ten seeds' draws together, so that both sides are drawn often enough to be compared."""
    sample = np.random.default_rng(5).exponential(size=80)
    ours = bca(
        float(sample.mean()),
        np.concatenate([weights @ sample / 80 for seed in range(10) for weights in counts(80, seed=seed)]),
        np.concatenate([weights @ sample / 79 for weights in leave_outs(80, seed=1)]),
    )
    theirs = scipy_bootstrap((sample,), np.mean, n_resamples=9999, rng=np.random.default_rng(1))
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.02)


def test_an_interval_holds_its_point_and_needs_four_fifths_of_its_draws():
    flat = np.zeros(9)
    draws = np.array([*np.linspace(0, 1, 8), np.nan, np.nan])
    found = bca(0.5, draws, flat)
    assert found is not None
    assert 0 <= found[0] < 0.5 < found[1] <= 1
    assert bca(2.0, draws, flat) == (pytest.approx(1.0, abs=0.2), 2.0)
    assert bca(-1.0, draws, flat) == (-1.0, pytest.approx(0.0, abs=0.2))
    assert bca(0.5, np.array([*draws[:7], np.nan, np.nan, np.nan]), flat) is None
    assert bca(0.5, np.array([0.5]), flat) is None
    assert bca(0.5, draws, np.array([0.5, np.nan])) == found


def test_an_interval_leans_against_the_rows_that_move_the_statistic_most():
    draws, few = np.linspace(0, 1, 1001), np.array([0.0] * 9 + [1.0])
    lower, upper = bca(0.5, draws, few), bca(0.5, draws, 1 - few)
    assert lower is not None
    assert upper is not None
    assert 0 < lower[0] < 0.02 < 0.9 < lower[1] < 0.96
    assert lower == pytest.approx((1 - upper[1], 1 - upper[0]))
    assert bca(0.5, draws, np.zeros(9)) == pytest.approx((0.025, 0.975), abs=1e-3)


def test_many_rows_are_resampled_in_pieces_of_bounded_size():
    assert [piece.size for piece in counts(3_000, seed=1)] == [9_000] * 333 + [3_000]
    assert next(counts(20_000, seed=1)).shape == (1, 20_000)
    assert sum(len(piece) for piece in leave_outs(150, seed=1)) == 100


def test_resamples_have_as_many_rows_as_there_are():
    drawn_rows = np.concatenate(list(counts(30, seed=1)))
    assert drawn_rows.shape == (1000, 30)
    assert (drawn_rows.sum(axis=1) == 30).all()
    assert drawn_rows.mean() == 1
    assert drawn_rows.var() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("rows", "groups"), [(7, 7), (100, 100), (250, 100)])
def test_the_jackknife_leaves_every_row_out_exactly_once(rows: int, groups: int):
    kept = np.concatenate(list(leave_outs(rows, seed=1)))
    assert kept.shape == (groups, rows)
    assert ((1 - kept).sum(axis=0) == 1).all()


def test_nineteen_of_twenty_intervals_hold_the_truth():
    """200 samples of 60 rows from a known world; 95 % within three standard errors, 4.6 points."""
    truth = points(Outcomes.of(_world(20_000, 999)))
    truth["objective"] = OBJECTIVE.value(truth)
    hits = dict.fromkeys(("accuracy", "brier", "auroc", "auprc_p", "aurc", "macro_f1", "objective"), 0)
    for sample in range(200):
        found = intervals(_world(60, sample), seed=sample)
        for name in hits:
            low, high = found[name]
            hits[name] += low <= (truth[name] or 0.0) <= high
    assert {name: count / 200 for name, count in hits.items() if not 0.90 <= count / 200 <= 0.99} == {}


def _world(rows: int, seed: int) -> list[Graded]:
    return drawn(rows, seed=seed, digits=6, salt=seed)
