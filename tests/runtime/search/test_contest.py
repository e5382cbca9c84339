"""Contests: the objective taken apart into shares, and who is told to be beaten."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from transfer_prompting.runtime.evaluation.evaluate import evaluate
from transfer_prompting.runtime.evaluation.objective import Objective
from transfer_prompting.runtime.evaluation.outcomes import Failed, Graded, Outcomes
from transfer_prompting.runtime.search.race import Racer, beaten, standings

from support.graded import drawn

PAIR: tuple[str, str] = ("task", "model")
OBJECTIVE = Objective()
PLAIN = Objective({"accuracy": 1.0})


def racer(id: str, responses: Sequence[Graded | Failed], *, fresh: bool = True) -> Racer:
    return Racer(id, {PAIR: Outcomes.of(responses)}, fresh)


def skilled(skills: dict[str, float], rows: int = 60) -> list[Racer]:
    return [racer(id, drawn(rows, seed, skill=skill)) for seed, (id, skill) in enumerate(skills.items())]


def test_the_mean_of_the_shares_of_accuracy_is_accuracy():
    responses = drawn(50, 1)
    (standing,) = standings([racer("a", responses)], PLAIN, seed=1)
    assert standing.value == pytest.approx(np.mean([one.correct for one in responses]))


def test_the_shares_of_the_whole_objective_have_about_its_value_as_their_mean():
    outcomes = Outcomes.of(drawn(100, 2))
    (standing,) = standings([Racer("a", {PAIR: outcomes})], OBJECTIVE, seed=1)
    whole = evaluate(outcomes, OBJECTIVE, seed=1, intervals=False).objective
    assert standing.value == pytest.approx(whole, abs=0.05)


def test_racers_meet_on_the_rows_that_all_of_them_have_answered():
    long, short = drawn(60, 1, skill=0.9), drawn(60, 1, skill=0.9)[:20]
    one, other = standings([racer("long", long, fresh=False), racer("short", short)], PLAIN, seed=1)
    assert one.value == other.value
    assert len(one.shares[PAIR]) == len(other.shares[PAIR]) == 20


def test_a_failed_row_leaves_the_comparison_for_all():
    whole = drawn(20, 1)
    holed = [Failed(whole[0].example, "no answer"), *whole[1:]]
    ranked = standings([racer("a", whole), racer("b", holed)], PLAIN, seed=1)
    assert {len(standing.shares[PAIR]) for standing in ranked} == {19}
    assert ranked[0].value == ranked[1].value


def test_ties_are_ranked_by_id():
    responses = drawn(20, 1)
    ranked = standings([racer("b", responses), racer("a", responses)], OBJECTIVE, seed=1)
    assert [standing.id for standing in ranked] == ["a", "b"]


def test_a_much_worse_racer_is_beaten_and_an_equal_one_is_not():
    ranked = standings(skilled({"best": 0.9, "equal": 0.88, "worst": 0.2}), OBJECTIVE, seed=1)
    assert beaten(ranked, places=1, alpha=0.1) == {"worst"}


def test_who_may_still_come_in_among_the_places_is_not_beaten():
    ranked = standings(skilled({"first": 0.95, "second": 0.4, "third": 0.38}), OBJECTIVE, seed=1)
    assert beaten(ranked, places=1, alpha=0.1) == {"second", "third"}
    assert beaten(ranked, places=2, alpha=0.1) == frozenset()
    assert beaten(ranked, places=3, alpha=0.1) == frozenset()


def test_one_row_beats_nobody():
    ranked = standings(skilled({"a": 1.0, "b": 0.0}, rows=1), PLAIN, seed=1)
    assert beaten(ranked, places=1, alpha=0.2) == frozenset()


def test_equally_good_racers_are_stopped_about_as_rarely_as_alpha_says():
    stopped = 0
    for trial in range(200):
        equal = [racer(str(i), drawn(40, 1000 * trial + i, skill=0.6)) for i in range(2)]
        ranked = standings(equal, PLAIN, seed=1)
        stopped += bool(beaten(ranked, places=1, alpha=0.1))
    # The better half of a fair pair is tested one-sided, so twice alpha of the pairs may part.
    assert stopped / 200 < 0.27


def test_shares_are_finite_where_leaving_out_a_row_leaves_a_metric_undefined():
    one_wrong = [*drawn(12, 1, skill=1.0)]
    ranked = standings([racer("a", one_wrong)], Objective({"auroc": 1.0, "accuracy": 0.5}), seed=1)
    assert all(np.isfinite(standing.shares[PAIR]).all() for standing in ranked)


def test_one_that_meets_the_bounds_is_beaten_by_none_that_does_not():
    weak, strong = drawn(60, 1, skill=0.3), drawn(60, 2, skill=0.95)
    for able, expected in ((True, set[str]()), (False, {"weak"})):
        racers = [racer("strong", strong), racer("weak", weak)]
        bounded = [msgspec.structs.replace(one, able=one.id == "weak" and able) for one in racers]
        ranked = standings(bounded, PLAIN, seed=1)
        assert [one.id for one in ranked] == (["weak", "strong"] if able else ["strong", "weak"])
        assert beaten(ranked, places=1, alpha=0.2) == expected


def test_one_that_misses_a_bound_is_still_beaten_by_a_better_one():
    racers = [racer("strong", drawn(60, 2, skill=0.95)), racer("weak", drawn(60, 1, skill=0.3))]
    bounded = [racers[0], msgspec.structs.replace(racers[1], able=False)]
    assert beaten(standings(bounded, PLAIN, seed=1), places=1, alpha=0.2) == {"weak"}


def test_the_shares_bin_ece_as_the_objective_says():
    outcomes = {PAIR: Outcomes.of(drawn(60, 3))}
    (width,) = standings([Racer("a", outcomes)], Objective({"ece": 1.0}), seed=1)
    (mass,) = standings([Racer("a", outcomes)], Objective({"ece": 1.0}, binning="mass"), seed=1)
    assert width.value != mass.value
