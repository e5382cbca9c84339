"""What temperature scaling and the diagrams' numbers promise."""

import numpy as np
import pytest
from hypothesis import given
from scipy.special import expit, logit

from transfer_prompting.runtime.evaluation.calibration import (
    calibration,
    fit_temperature,
    reliability,
    risk_coverage,
    scaled,
)
from transfer_prompting.runtime.evaluation.evaluate import points
from transfer_prompting.runtime.evaluation.outcomes import Graded, Outcomes

from support.graded import graded, responses, unanswered


def overconfident(rows: int, seed: int, temperature: float) -> Outcomes:
    """Confidences whose log-odds are `temperature` times the true ones."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.3, 0.95, rows)
    told = expit(logit(truth) * temperature)
    right = rng.random(rows) < truth
    return Outcomes.of(
        graded(f"{i:05d}", right=bool(right[i]), confidence=float(told[i])) for i in range(rows)
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_distorted_the_confidences_is_found(temperature: float):
    assert fit_temperature(overconfident(4000, 1, temperature)) == pytest.approx(temperature, rel=0.15)


def test_scaling_mends_overconfidence_on_rows_it_was_not_fitted_on():
    test = overconfident(2000, 2, 3.0)
    found = calibration(overconfident(2000, 1, 3.0), test)
    assert found is not None
    assert found.ece == pytest.approx(points(test)["ece"])
    assert found.scaled_ece < found.ece / 2
    assert found.fitted_on == 2000


def test_confidences_at_temperature_1_stay():
    told = np.array([0.0, 0.2, 0.5, 0.9])
    assert scaled(told, 1.0) == pytest.approx(told)


def test_certainty_can_be_softened_and_an_unread_answer_stays_at_0():
    softened = scaled(np.array([0.0, 1.0]), 5.0)
    assert softened[0] == 0.0
    assert 0.8 < softened[1] < 0.9


@pytest.mark.parametrize("right", [True, False])
def test_answers_all_alike_tell_no_temperature(right: bool):
    assert fit_temperature(Outcomes.of(graded(str(i), right=right) for i in range(5))) is None


def test_without_confidences_there_is_no_calibration():
    bare = Outcomes.of(graded(str(i), right=i > 2, confidence=None) for i in range(5))
    assert fit_temperature(bare) is None
    assert calibration(overconfident(50, 1, 2.0), bare) is None
    assert reliability(bare) == ()
    assert risk_coverage(bare) == ()
    assert fit_temperature(Outcomes()) is None


def test_replies_without_an_answer_have_no_calibration():
    unread = Outcomes.of(graded(str(i), read=False) for i in range(5))
    assert calibration(overconfident(50, 1, 2.0), unread) is None


@given(responses())
def test_the_bars_of_the_diagram_add_up_to_the_ece(rows: list[Graded]):
    outcomes = Outcomes.of(rows)
    bars = reliability(outcomes)
    assert sum(bar.rows for bar in bars) == len(rows)
    assert all(bar.low - 1e-12 <= bar.confidence <= bar.high + 1e-12 for bar in bars)
    ece = sum(bar.rows * abs(bar.accuracy - bar.confidence) for bar in bars) / len(rows)
    assert points(outcomes)["ece"] == (None if unanswered(rows) else pytest.approx(ece))


def test_curve_and_bars_of_a_hand_made_table():
    rows = [(True, 0.95), (False, 0.95), (True, 0.6), (False, 0.0), (False, 0.62)]
    outcomes = Outcomes.of(graded(str(i), right=right, confidence=c) for i, (right, c) in enumerate(rows))
    curve = [(2 / 5, 1 / 2), (3 / 5, 2 / 3), (4 / 5, 1 / 2), (1, 3 / 5)]
    assert [one for point in risk_coverage(outcomes) for one in point] == pytest.approx(
        [one for point in curve for one in point]
    )
    bars = [(bar.low, bar.high, bar.rows, bar.confidence, bar.accuracy) for bar in reliability(outcomes)]
    assert bars == [
        (0.0, 0.1, 1, 0.0, 0.0),
        (0.6, 0.7, 2, pytest.approx(0.61), 0.5),
        (0.9, 1.0, 2, pytest.approx(0.95), 0.5),
    ]
    mass = reliability(outcomes, "mass")
    assert [(bar.low, bar.high, bar.rows) for bar in mass] == [
        (0.0, 0.6, 1), (0.6, 0.62, 1), (0.62, 0.95, 1), (0.95, 1.0, 2)
    ]  # fmt: skip


def test_calibration_bins_as_the_objective_does():
    validation, test = overconfident(300, 1, 3.0), overconfident(300, 2, 3.0)
    found = calibration(validation, test, "mass")
    assert found is not None
    assert found.ece == pytest.approx(points(test, binning="mass")["ece"])
    table = test.table()
    softened = scaled(table["confidence"], found.temperature)
    rescaled = Outcomes.of(
        graded(test.ids[i], right=bool(table["correct"][i]), confidence=float(softened[i]))
        for i in range(300)
    )
    assert found.scaled_ece == pytest.approx(points(rescaled, binning="mass")["ece"])
    assert found.temperature == fit_temperature(validation)


@pytest.mark.parametrize(("right", "wrong", "bound"), [(0.9, 0.4, 0.05), (0.6, 0.9, 20.0)])
def test_a_temperature_has_bounds(right: float, wrong: float, bound: float):
    rows = [graded("1", confidence=right), graded("2", right=False, confidence=wrong)]
    assert fit_temperature(Outcomes.of(rows)) == pytest.approx(bound)


@given(responses())
def test_full_coverage_has_the_error_rate_as_its_risk(rows: list[Graded]):
    curve = risk_coverage(Outcomes.of(rows))
    coverage, risk = curve[-1]
    assert coverage == 1.0
    assert risk == pytest.approx(1 - np.mean([row.correct for row in rows]))
    assert [point[0] for point in curve] == sorted({point[0] for point in curve})
