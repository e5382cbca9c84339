"""The answer in words never says more than the interval does."""

import pytest

from transfer_prompting.runtime.evaluation.ratings import Preference, Reliability
from transfer_prompting.runtime.evaluation.scorecard import Chance, Gain, Scorecard
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.record.results import Part, PromptEntry, Results, Status, TargetResult
from transfer_prompting.runtime.report.page._words import in_all, notes, told, verdict

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
        "validation": None,
        "selection_bias": None,
        "chance": Chance(0.5, 0.5),
    }
    return TargetResult(**{**settings, **changes})  # pyright: ignore[reportArgumentType]


def results(*gains: Gain, status: Status = "complete") -> Results:
    return Results(name="run", status=status, seed=1, targets=tuple(target(gain) for gain in gains))


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
def test_a_verdict_is_clear_only_where_the_interval_leaves_out_zero(gain: Gain | None, said: str):
    assert verdict(target(gain)) == said


def test_a_target_is_told_with_scores_rows_difference_and_interval():
    said = told(target(UNCLEAR))
    assert "0.700 on 200 held-out rows, the original 0.600" in said
    assert "chance may explain" in said
    assert "+0.100 (95 % interval −0.100 to +0.300)" in said


def test_keeping_the_original_is_said_plainly():
    kept = target(Gain(0.0, 0.0, 0.0, 1.0), words="Decide.")
    assert verdict(kept) == "kept"
    assert told(kept).startswith("No prompt was better on validation")
    for targets, said in (
        ((kept,), "No: no prompt was better than the original on validation; the original is kept."),
        ((kept, kept), "No: no prompt was better than the original of any target on validation"),
        ((kept, target(BETTER)), "In part: on held-out rows the best prompts are clearly better than the "),
    ):
        assert in_all(Results(name="run", status="complete", seed=1, targets=targets), "complete").startswith(
            said
        )
    mixed = Results(name="run", status="complete", seed=1, targets=(kept, target(BETTER), target(UNCLEAR)))
    assert in_all(mixed, "complete").endswith("not to be told apart on 1; on 1 the original was kept.")


@pytest.mark.parametrize(
    ("gains", "lead"),
    [
        ([BETTER], "Yes:"),
        ([WORSE], "No:"),
        ([UNCLEAR], "Not clearly:"),
        (
            [BETTER, BETTER],
            "Yes: on held-out rows the best prompts are clearly better than the original on 2 of 2",
        ),
        ([BETTER, UNCLEAR], "In part:"),
        ([UNCLEAR, WORSE], "No:"),
    ],
)
def test_the_whole_is_told_by_its_targets(gains: list[Gain], lead: str):
    assert in_all(results(*gains), "complete").startswith(lead)


def test_an_end_before_the_end_is_said_beside_the_result():
    assert "budget ended" in in_all(results(BETTER, status="budget"), "budget")
    assert "interrupted" in in_all(results(status="interrupted"), "interrupted")
    assert "held-out" in in_all(None, "running")


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
    assert any("+0.080 more on validation" in note for note in few)
    assert any("not above the 0.800" in note for note in few)
    assert notes(target(BETTER)) == ()
