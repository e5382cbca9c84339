"""The pool: candidates on one footing, whether they answered every row or left their race early."""

import pytest

from transfer_prompting.runtime.evaluation.scorecard import Scorecard
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.search.candidates import (
    Behind,
    Candidate,
    Pool,
    Scores,
    feasible,
    mean_objective,
)


def measure(scores: Scores) -> float | None:
    return mean_objective(scores, max_failed=0.02)


def candidate(
    text: str, objective: float | None, *, behind: Behind | None = None, failed: int = 0
) -> Candidate:
    card = Scorecard(n=10, failed=failed, objective=objective)
    return Candidate(
        prompt=Prompt(text=text),
        step=1,
        scores={"task": {"model": card}},
        complete=behind is None,
        behind=behind,
    )


def pool(*candidates: Candidate) -> Pool:
    found = Pool(measure, feasible)
    for one in candidates:
        found.add(one)
    return found


def test_candidates_are_ranked_by_measure_and_ties_by_id():
    candidates = [candidate(text, value) for text, value in (("a", 0.5), ("b", 0.7), ("c", 0.5))]
    ranked = [(one.prompt.id, value) for one, value in pool(*candidates).ranked()]
    tied = sorted(one.prompt.id for one in candidates if one.prompt.text != "b")
    assert ranked == [(candidates[1].prompt.id, 0.7), *((id, 0.5) for id in tied)]


def test_a_candidate_that_left_early_counts_as_the_leader_less_what_it_lay_behind():
    leader = candidate("leader", 0.6)
    left = candidate("left", 0.9, behind=Behind(leader.prompt.id, 0.1))
    found = pool(leader, left)
    assert found.value(left) == pytest.approx(0.5)
    assert [one.prompt.text for one, _ in found.ranked()] == ["leader", "left"]
    assert [one.prompt.text for one, _ in found.finishers()] == ["leader"]


def test_who_lay_behind_one_that_left_later_is_measured_through_both():
    last = candidate("last", 0.6)
    later = candidate("later", 0.8, behind=Behind(last.prompt.id, 0.1))
    early = candidate("early", 0.8, behind=Behind(later.prompt.id, 0.2))
    assert pool(last, later, early).value(early) == pytest.approx(0.3)


def test_an_estimate_stays_between_nought_and_one():
    leader = candidate("leader", 0.1)
    left = candidate("left", 0.9, behind=Behind(leader.prompt.id, 0.4))
    assert pool(leader, left).value(left) == 0.0


def test_a_candidate_with_too_many_failed_calls_is_never_chosen():
    assert pool(candidate("holed", 0.9, failed=5)).ranked() == []


def test_a_candidate_without_an_objective_is_never_chosen():
    assert pool(candidate("undefined", None)).ranked() == []
