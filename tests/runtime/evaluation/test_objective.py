"""What the objective promises: a weighted mean in [0, 1], nulls shared out, wrong names refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.evaluation.evaluate import points
from transfer_prompting.runtime.evaluation.metrics import METRICS, Values
from transfer_prompting.runtime.evaluation.objective import Objective, named
from transfer_prompting.runtime.evaluation.outcomes import Graded, Outcomes
from transfer_prompting.scenarios.errors import InputError
from transfer_prompting.scenarios.stages import DEFAULT_OBJECTIVE, ScorerSettings

from support.graded import graded, responses

WEIGHABLE = [metric.name for metric in METRICS.values() if metric.unit]
weights = st.dictionaries(st.sampled_from(WEIGHABLE), st.floats(0.01, 10), min_size=1)
values = st.fixed_dictionaries({name: st.none() | st.floats(0, 1) for name in WEIGHABLE})


def test_errors_enter_as_one_minus_themselves():
    objective = Objective({"accuracy": 3, "ece": 1})
    assert objective.value({"accuracy": 0.5, "ece": 0.2}) == pytest.approx((3 * 0.5 + 0.8) / 4)


def test_the_weight_of_what_is_undefined_is_shared_out():
    objective = Objective({"accuracy": 0.4, "ifr": 0.4, "auroc": 0.2})
    assert objective.value({"accuracy": 0.5, "ifr": 1.0, "auroc": None}) == pytest.approx(0.75)
    said = objective.explained({"accuracy": 0.5, "ifr": 1.0, "auroc": None})
    assert said["auroc"] == "undefined here: its weight 0.2 is shared out"
    assert said["accuracy"] == "accuracy = 0.5000, weight 0.5"


def test_where_everything_is_undefined_so_is_the_objective():
    assert Objective().value({}) is None


@given(weights, values)
def test_the_objective_is_a_mean_of_its_parts(given_weights: dict[str, float], given_values: Values):
    objective = Objective(given_weights)
    parts = [part for _, _, part in objective.parts(given_values) if part is not None]
    value = objective.value(given_values)
    if not parts:
        assert value is None
        return
    assert value is not None
    assert min(parts) - 1e-9 <= value <= max(parts) + 1e-9


@given(weights, st.lists(values, min_size=1, max_size=5))
def test_the_objective_of_vectors_is_that_of_each_position(
    given_weights: dict[str, float], rows: list[Values]
):
    objective = Objective(given_weights)
    vectors = {
        name: np.array([np.nan if (value := row[name]) is None else value for row in rows])
        for name in WEIGHABLE
    }
    for got, row in zip(objective.vector(vectors).tolist(), rows, strict=True):
        expected = objective.value(row)
        assert np.isnan(got) if expected is None else got == pytest.approx(expected)


@given(weights, values, st.floats(0.1, 100))
def test_only_the_proportions_of_weights_matter(
    given_weights: dict[str, float], given_values: Values, factor: float
):
    scaled = {name: weight * factor for name, weight in given_weights.items()}
    assert Objective(scaled).value(given_values) == pytest.approx(
        Objective(given_weights).value(given_values)
    )


@given(responses(), st.integers(0, 40), st.floats(0, 1))
def test_breaking_the_format_never_raises_an_objective_of_accuracy_and_ifr(
    rows: list[Graded], place: int, share: float
):
    row = rows[place % len(rows)]
    broken = [graded(one.example, gold=one.gold, read=one is not row) if one is row else one for one in rows]
    objective = Objective({"accuracy": share + 0.01, "ifr": 1.01 - share})
    before, after = (objective.value(points(Outcomes.of(some))) for some in (rows, broken))
    assert before is not None
    assert after is not None
    assert after <= before + 1e-12


def test_ratings_from_1_to_5_enter_from_0_to_1():
    objective = Objective({"judged.relevance": 1.0})
    assert [objective.value(named({"relevance": rating})) for rating in (1, 3, 5)] == [0.0, 0.5, 1.0]
    assert objective.explained(named({"relevance": 3.0})) == {
        "judged.relevance": "(judged.relevance - 1) / 4 = 0.5000, weight 1"
    }


def test_an_objective_of_what_no_row_can_tell_is_undefined_for_rows():
    found = Objective({"judged.relevance": 1.0}).vector({"accuracy": np.ones(3)})
    assert found.shape == (3,)
    assert np.isnan(found).all()


def test_a_metric_of_ones_own_enters_as_it_is():
    assert Objective({"shop.metrics:brevity": 2.0}).value(
        named({"shop.metrics:brevity": 0.3})
    ) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("given_weights", "message"),
    [
        ({"acuracy": 1.0}, r"scorer\.objective: acuracy: no such metric; did you mean 'accuracy'"),
        ({"output_tokens": 1.0}, "output_tokens: no such metric"),
        ({"judged.": 1.0}, "judged.: no such metric"),
        ({"accuracy": -1.0}, "accuracy: a weight is a number of at least 0"),
        ({"accuracy": float("nan")}, "at least 0"),
        ({"accuracy": 0.0}, "at least one metric needs a weight above 0"),
        ({}, "at least one metric"),
    ],
)
def test_weights_that_make_no_sense_are_refused(given_weights: dict[str, float], message: str):
    with pytest.raises(InputError, match=message):
        Objective(given_weights)


def test_an_unknown_threshold_is_refused_with_the_nearest_known():
    with pytest.raises(InputError, match=r"scorer\.require: irf: no such metric; did you mean 'ifr'"):
        Objective(require={"irf": 0.9})


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"accuracy": 999}, "accuracy: a bound on it is from 0 to 1, not 999"),
        ({"ece": -0.1}, "ece: a bound on it is from 0 to 1, not -0.1"),
        ({"objective": math.nan}, "objective: a bound on it is from 0 to 1, not nan"),
        ({"judged.relevance": 0.8}, "judged.relevance: a bound on it is from 1 to 5, not 0.8"),
        ({"seconds": -1}, "seconds: a bound on it is at least 0, not -1"),
    ],
)
def test_a_threshold_that_no_value_can_meet_or_miss_is_refused(bounds: dict[str, float], said: str):
    with pytest.raises(InputError, match=said):
        Objective(require=bounds)


def test_thresholds_reach_to_the_ends_of_a_range():
    ends = {"accuracy": 1, "auprc_p_lift": -1, "judged.relevance": 5, "output_tokens": 1e6, "own:metric": -7}
    assert Objective(require=ends).require == ends


def test_thresholds_are_floors_and_for_errors_and_costs_ceilings():
    objective = Objective(require={"ifr": 0.9, "ece": 0.15, "output_tokens": 20, "judged.relevance": 4})
    met = {"ifr": 0.9, "ece": 0.15, "output_tokens": 20.0, "judged.relevance": 4.0}
    assert objective.unmet(met) == {}
    worse = {"ifr": 0.8, "ece": 0.2, "output_tokens": 21.0, "judged.relevance": 3.5}
    assert objective.unmet(worse) == {
        "ifr": "0.8000 is below 0.9",
        "ece": "0.2000 is above 0.15",
        "output_tokens": "21.0000 is above 20",
        "judged.relevance": "3.5000 is below 4",
    }


def test_the_shortfall_is_the_bound_that_is_missed_by_most_of_its_range():
    objective = Objective(require={"ifr": 0.9, "ece": 0.15, "judged.relevance": 4, "auroc": 0.5})
    assert objective.shortfall({"ifr": 0.95, "ece": 0.1, "judged.relevance": 4.5, "auroc": None}) == 0
    assert objective.shortfall({"ifr": 0.8, "ece": 0.2}) == pytest.approx(0.1)
    assert objective.shortfall({"ifr": 0.85, "ece": 0.45}) == pytest.approx(0.3)
    assert objective.shortfall({"judged.relevance": 2.0, "ece": 0.2}) == pytest.approx(0.5)


def test_an_undefined_metric_meets_no_threshold():
    assert Objective(require={"auroc": 0.5}).unmet({"auroc": None}) == {"auroc": "undefined on these rows"}


def test_a_scenario_without_weights_means_the_documented_ones():
    objective = Objective.of(ScorerSettings(require={"ifr": 0.9}))
    assert objective.weights == DEFAULT_OBJECTIVE
    assert objective.require == {"ifr": 0.9}


def test_what_no_row_can_tell_is_not_by_rows_whether_weighed_or_required():
    assert Objective(require={"ifr": 0.9, "objective": 0.5}).by_rows
    assert not Objective({"accuracy": 1.0, "judged.relevance": 0.5}).by_rows
    assert not Objective(require={"judged.relevance": 3.0}).by_rows
