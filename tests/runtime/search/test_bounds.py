"""Scorecards of a prompt over tasks and models: its mean objective, and the bounds it must meet."""

import pytest

from transfer_prompting.runtime.evaluation.scorecard import Scorecard
from transfer_prompting.runtime.search.scores import Scores, feasible, mean_objective


def scores(*missed: str, failed: int = 0) -> Scores:
    """On two tasks; what is missed is missed on the second alone, and so are the calls that failed."""
    unmet = dict.fromkeys(missed, "0.1000 is below 0.9")
    first = Scorecard(n=9, objective=0.9)
    card = Scorecard(n=9, failed=failed, objective=0.5, unmet=unmet)
    return {"reviews": {"small": first}, "mails": {"small": card}}


def test_a_bound_missed_on_one_task_is_missed():
    assert feasible(scores())
    assert not feasible(scores("ifr"))


def test_what_a_lost_model_misses_is_not_counted():
    missed = scores("ifr")
    missed["mails"]["large"] = Scorecard(n=9, objective=0.5)
    assert not feasible(missed)
    assert feasible(missed, without=["small"])


def test_the_objective_is_the_mean_over_tasks_and_models_that_are_not_lost():
    found = scores()
    found["mails"]["large"] = Scorecard(n=9, objective=0.1)
    assert mean_objective(found, max_failed=0.02) == pytest.approx(0.5)
    assert mean_objective(found, max_failed=0.02, without=["large"]) == pytest.approx(0.7)


def test_a_prompt_with_too_many_failed_calls_on_one_task_has_no_objective():
    assert mean_objective(scores(failed=1), max_failed=0.02) is None
    assert mean_objective(scores(failed=1), max_failed=0.2) is not None
    assert mean_objective(scores(failed=1), max_failed=0.1) is not None  # one of ten: as many as may fail


def test_a_prompt_without_any_objective_has_none():
    assert mean_objective({"reviews": {"small": Scorecard(n=9)}}, max_failed=0.02) is None
