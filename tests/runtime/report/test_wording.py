"""The answer in words never says more than the interval does."""

import msgspec
import pytest

from transfer_prompting.runtime.evaluation.evaluate import evaluate
from transfer_prompting.runtime.evaluation.objective import Objective
from transfer_prompting.runtime.evaluation.outcomes import Outcomes
from transfer_prompting.runtime.evaluation.ratings import Preference, Reliability
from transfer_prompting.runtime.evaluation.scorecard import Chance, Gain, Scorecard
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.record.results import (
    PromptEntry,
    Results,
    SearchSummary,
    Status,
    TargetResult,
    Targets,
)
from transfer_prompting.runtime.record.results import (
    PromptResult as Part,
)
from transfer_prompting.runtime.report.wording import (
    advice,
    conclusion,
    describe_objective,
    describe_run,
    describe_target,
    notes,
    significance,
    unproductive,
)

from support.graded import graded

BETTER, WORSE, UNCLEAR = (
    Gain(0.1, 0.02, 0.2, 0.01),
    Gain(-0.1, -0.2, -0.02, 0.01),
    Gain(0.1, -0.1, 0.3, 0.4),
)


def target(
    gain: Gain | None, *, rows: int = 200, words: str = "Decide calmly.", **changes: object
) -> TargetResult:
    def part(text: str, objective: float) -> Part:
        card = Scorecard(n=rows, objective=objective, accuracy=objective)
        return Part(PromptEntry.of(Prompt(text=text)), card)

    settings: dict[str, object] = {
        "task": "tickets",
        "model": "small",
        "baseline": part("Decide.", 0.6),
        "best": part(words, 0.7),
        "gain": {} if gain is None else {"objective": gain},
        "search": None,
        "selection_bias": None,
        "chance": Chance(0.5, 0.5),
    }
    return TargetResult(**{**settings, **changes})  # pyright: ignore[reportArgumentType]


def results(*gains: Gain, status: Status = "complete") -> Results:
    return Results(name="run", status=status, seed=1, targets=Targets(target(gain) for gain in gains))


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (BETTER, "better"),
        (WORSE, "worse"),
        (UNCLEAR, "unclear"),
        (Gain(0.1, None, None, None), "unclear"),
        (Gain(0.1, 0.0, 0.2, 0.05), "unclear"),
        (None, "unclear"),
    ],
)
def test_a_conclusion_is_clear_only_where_the_interval_leaves_out_zero(gain: Gain | None, said: str):
    assert conclusion(target(gain)) == said


def test_a_target_is_described_with_scores_rows_difference_and_interval():
    said = describe_target(target(UNCLEAR))
    assert "0.700 on 200 held-out rows, the original 0.600" in said
    assert "chance may explain" in said
    assert "+0.100 (95 % interval −0.100 to +0.300)" in said


def test_keeping_the_original_is_said_plainly():
    kept = target(Gain(0.0, 0.0, 0.0, 1.0), words="Decide.")
    assert conclusion(kept) == "kept"
    assert describe_target(kept).startswith("No prompt was better on the search rows")
    for targets, said in (
        ((kept,), "No: no prompt was better than the original on the search rows; the original is kept."),
        ((kept, kept), "No: no prompt was better than the original of any target on the search rows"),
        (
            (kept, target(BETTER)),
            "In part: on held-out rows the best prompts are significantly better than the ",
        ),
    ):
        assert describe_run(
            Results(name="run", status="complete", seed=1, targets=Targets(targets)), "complete"
        ).startswith(said)
    targets = Targets((kept, target(BETTER), target(UNCLEAR)))
    mixed = Results(name="run", status="complete", seed=1, targets=targets)
    assert describe_run(mixed, "complete").endswith(
        "not significantly different on 1; on 1 the original was kept."
    )


@pytest.mark.parametrize(
    ("gains", "lead"),
    [
        ([BETTER], "Yes:"),
        ([WORSE], "No:"),
        ([UNCLEAR], "Not clearly:"),
        (
            [BETTER, BETTER],
            "Yes: on held-out rows the best prompts are significantly better than the original on 2 of 2",
        ),
        ([BETTER, UNCLEAR], "In part:"),
        ([UNCLEAR, WORSE], "No:"),
    ],
)
def test_the_whole_is_described_by_its_targets(gains: list[Gain], lead: str):
    assert describe_run(results(*gains), "complete").startswith(lead)


def test_an_end_before_the_end_is_said_beside_the_result():
    assert "budget ended the run early" in describe_run(results(BETTER, status="budget"), "budget")
    assert "interrupted" in describe_run(results(status="interrupted"), "interrupted")
    assert "Not tested yet" in describe_run(None, "running")


def test_a_budget_that_ended_before_all_targets_were_tested_says_how_many_were():
    search = SearchSummary(
        scope="target tickets", stage="target", tasks=("tickets",), models=("small", "large"), candidates=1,
        finished=0, rows=4, calls=4, allotted=None, reason="the budget is spent", refused={},
    )  # fmt: skip
    run = msgspec.structs.replace(results(BETTER, status="budget"), searches=(search,))
    assert describe_run(run, "budget").endswith("ended the run early: 1 of 2 targets were tested.")
    whole = msgspec.structs.replace(results(BETTER, BETTER, status="budget"), searches=(search,))
    assert describe_run(whole, "budget").endswith("the test on held-out rows is complete.")


def test_the_objective_is_described_by_its_weights():
    said = describe_objective({"accuracy": 0.5, "ece": 0.3, "ifr": 0.2, "auroc": 0.0})
    assert said == "weighted mean of accuracy 0.5, 1 − ECE 0.3, IFR 0.2; the search maximises it"
    assert describe_objective({}).startswith("weighted mean of the metrics that the scenario names")


def test_what_the_judge_says_is_noted_with_how_far_it_can_be_believed():
    preference = Preference(wins=12, losses=5, tied=2, swayed=1, unusable=0, share=0.675)
    card = Scorecard(
        n=200,
        objective=0.7,
        accuracy=0.7,
        unmet={"ifr": "ifr is 0.7000, at least 0.9 is required"},
        reliability=Reliability(items=20, disagreement={"relevance": 0.5, "quality": None}),
    )
    judged = target(
        BETTER, preference=preference, best=Part(PromptEntry.of(Prompt(text="Decide calmly.")), card)
    )
    said = " ".join(notes(judged))
    assert "12 times" in said
    assert "5 times; 3 rows were undecided" in said
    assert "0.50 points" in said
    assert "at least 0.9 is required" in said


def test_what_flatters_is_noted():
    few = notes(target(BETTER, rows=40, selection_bias=0.08, chance=Chance(0.8, 0.5)))
    assert any("40 test rows are few" in note and "±15 points" in note for note in few)
    assert any("+0.080 above its objective on test" in note for note in few)
    assert any("not above the 0.800" in note for note in few)
    assert notes(target(BETTER)) == ()


def test_a_number_that_misleads_is_warned_of():
    card = Scorecard(n=90, objective=0.2, accuracy=0.3, ifr=0.0, auroc=0.5, ece=0.3)
    base = Part(PromptEntry.of(Prompt(text="Decide.")), card)
    said = notes(target(BETTER, baseline=base))
    assert any("0 of 90 replies to the original are in the required format" in note for note in said)
    assert not any("best prompt are in the required format" in note for note in said)


def test_flaws_of_replies_stand_beside_the_numbers_of_the_prompt():
    entry = PromptEntry.of(Prompt(text="Decide."))
    few = Part(entry, Scorecard(n=200, objective=0.6, accuracy=0.6), flaws={"empty": 4})
    many = Part(entry, Scorecard(n=200, objective=0.6, accuracy=0.6), flaws={"cut off": 60, "empty": 5})
    assert not any("empty" in note for note in notes(target(BETTER, baseline=few)))
    said = [note for note in notes(target(BETTER, baseline=many)) if "to the original" in note]
    assert said[0].startswith("60 of 200 replies to the original were cut off by the limit on tokens")
    assert said[1] == "5 of 200 replies to the original were empty and count as wrong."


def test_replies_without_any_answer_are_said_to_be_no_measurement():
    unread = Outcomes.of(graded(f"{i}", read=False) for i in range(16))
    card = evaluate(unread, Objective(), seed=1, intervals=False)
    said = notes(target(BETTER, best=Part(PromptEntry.of(Prompt(text="Decide calmly.")), card)))
    assert any("None of the 16 replies to the best prompt holds an answer" in note for note in said)


def test_a_gain_that_accuracy_does_not_share_is_warned_of():
    found = target(BETTER)
    found.gain["accuracy"] = Gain(-0.02, -0.1, 0.05, 0.6)
    assert any("although accuracy fell (−0.020)" in note for note in notes(found))


def test_warnings_on_a_kept_original_name_the_original_once():
    kept = target(Gain(0.0, 0.0, 0.0, 1.0), words="Decide.", selection_bias=0.08, chance=Chance(0.8, 0.5))
    said = notes(kept)
    assert any(note.startswith("The original's accuracy, 0.700, is not above") for note in said)
    assert any(note.startswith("The estimate that chose the original was +0.080") for note in said)
    assert not any("best prompt" in note for note in said)


@pytest.mark.parametrize(
    ("gain", "said"), [(BETTER, "Use the best"), (WORSE, "Keep"), (UNCLEAR, "Keep the original")]
)
def test_the_original_is_advised_where_no_gain_is_clear(gain: Gain, said: str):
    assert advice(target(gain)).startswith(said)


def test_time_is_never_called_significant_and_a_lower_error_is_better():
    assert significance("seconds", Gain(-1.0, -2.0, -0.5, 0.001, better="lower")) == "unclear"
    assert significance("ece", Gain(-0.1, -0.2, -0.05, 0.001, better="lower")) == "better"


def test_a_search_whose_candidates_were_all_refused_is_named():
    search = SearchSummary(
        scope="target tickets small",
        stage="target",
        tasks=("tickets",),
        models=("small",),
        candidates=1,
        finished=1,
        rows=40,
        calls=40,
        allotted=300,
        reason="every candidate has answered every row",
        refused={"variables changed": 54},
    )
    run = Results(name="x", status="complete", seed=1, searches=(search,))
    (said,) = unproductive(run)
    assert said.startswith("tickets · small: every candidate was refused (54 variables changed)")
    assert "{variables}" in said
    assert not list(unproductive(msgspec.structs.replace(run, searches=())))
    lost = msgspec.structs.replace(search, candidates=0, reason="no target is left")
    assert not list(unproductive(msgspec.structs.replace(run, searches=(lost,))))
    failed = msgspec.structs.replace(search, refused={"call failed": 7})
    (said,) = unproductive(msgspec.structs.replace(run, searches=(failed,)))
    assert said == "tickets · small: no candidate was written; 7 calls of the reference LLM failed."
