"""Required bounds: prompts that meet them all rank before those that do not."""

from transfer_prompting.runtime.evaluation.scorecard import Scorecard
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.search.candidates import Candidate, Pool, Scores, feasible, mean_objective


def scores(objective: float, *missed: str) -> Scores:
    """On two tasks; what is missed is missed on the second alone."""
    unmet = dict.fromkeys(missed, "0.1000 is below 0.9")
    first, second = Scorecard(n=9, objective=objective), Scorecard(n=9, objective=objective, unmet=unmet)
    return {"reviews": {"small": first}, "mails": {"small": second}}


def ranked(found: dict[str, Scores]) -> list[str]:
    pool = Pool(lambda one: mean_objective(one, max_failed=0.02), feasible)
    for text, one in found.items():
        pool.add(Candidate(prompt=Prompt(text=text), step=1, scores=one))
    return [candidate.prompt.text for candidate, _ in pool.ranked()]


def test_a_bound_missed_on_one_task_ranks_a_prompt_behind_all_that_meet_every_bound():
    found = {"best": scores(0.9, "ifr"), "good": scores(0.6), "fair": scores(0.5), "bad": scores(0.4, "ece")}
    assert ranked(found) == ["good", "fair", "best", "bad"]


def test_where_none_meets_the_bounds_the_objective_alone_decides():
    assert ranked({"good": scores(0.6, "ifr"), "best": scores(0.9, "ifr", "ece")}) == ["best", "good"]


def test_what_a_lost_model_misses_is_not_counted():
    missed = scores(0.5, "ifr")
    missed["mails"]["large"] = Scorecard(n=9, objective=0.5)
    assert not feasible(missed)
    assert feasible(missed, without=["small"])
