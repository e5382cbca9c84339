"""From outcomes to a scorecard; the baselines beside it; metrics of one's own."""

import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings

from transfer_prompting.runtime.evaluation.evaluate import evaluate
from transfer_prompting.runtime.evaluation.metrics import METRICS
from transfer_prompting.runtime.evaluation.objective import Objective
from transfer_prompting.runtime.evaluation.outcomes import Failed, Graded, Outcomes
from transfer_prompting.runtime.evaluation.own_metrics import load, measure
from transfer_prompting.runtime.evaluation.scorecard import Chance, Scorecard, chance
from transfer_prompting.runtime.tasks.answers.space import Recovered
from transfer_prompting.runtime.tasks.example import Example, Question
from transfer_prompting.scenarios.errors import InputError

from support.graded import drawn, graded, responses

OBJECTIVE = Objective()


def card_of(rows: list[Graded], *, intervals: bool = False) -> Scorecard:
    return evaluate(Outcomes.of(rows), OBJECTIVE, seed=7, intervals=intervals)


@pytest.mark.parametrize(("bare", "total", "defined"), [(10, 10, False), (3, 100, False), (2, 100, True)])
def test_confidence_metrics_are_undefined_where_promised_log_probabilities_lack(
    bare: int, total: int, defined: bool
):
    outcomes = Outcomes.of(
        graded(f"{i:03d}", right=i % 2 == 0, flaw="no log-probabilities" if i < bare else None)
        for i in range(total)
    )
    card = evaluate(outcomes, Objective({"accuracy": 1, "ece": 1}), seed=1, intervals=False)
    assert {getattr(card, name) is not None for name in ("ece", "brier", "auroc", "auprc_p", "aurc")} == {
        defined
    }
    assert (card.accuracy, card.ifr) == (0.5, 1.0)
    said = f"undefined: {bare} of {total} replies came without log-probabilities"
    assert card.explained["ece"].startswith(said) != defined
    # Comparisons of prompts weigh the same numbers, however many replies lack them.
    assert card.objective is not None


def test_a_scorecard_counts_failures_apart():
    card = evaluate(Outcomes.of([graded("1"), Failed("2", "503")]), OBJECTIVE, seed=7, intervals=False)
    assert (card.n, card.failed, card.failed_share, card.accuracy) == (1, 1, 0.5, 1.0)


def test_a_scorecard_without_rows_claims_nothing():
    card = evaluate(Outcomes.of([Failed("1", "503")]), OBJECTIVE, seed=7, intervals=True)
    assert (card.n, card.failed, card.objective, card.intervals) == (0, 1, None, {})
    assert all(getattr(card, name) is None for name in METRICS)


@given(responses(most=15))
@settings(deadline=None, max_examples=20)
def test_with_and_without_intervals_the_numbers_are_the_same(rows: list[Graded]):
    fast, full = card_of(rows), card_of(rows, intervals=True)
    assert fast.intervals == {}
    for name in (*METRICS, "objective"):
        assert getattr(fast, name) == pytest.approx(getattr(full, name))


def test_equal_outcomes_give_equal_scorecards_that_survive_json():
    rows = drawn(50, seed=1)
    card = card_of(rows, intervals=True)
    assert card_of(rows[::-1], intervals=True) == card
    assert msgspec.json.decode(msgspec.json.encode(card), type=Scorecard) == card


def test_every_metric_says_how_it_came_about():
    said = card_of(drawn(40, seed=1)).explained
    assert set(METRICS) - {"output_tokens", "seconds"} == set(said)
    assert said["ece"].startswith("10 bins of equal width over 40 rows; 1 - ece = ")


def test_an_undefined_metric_says_why():
    all_right = card_of([graded(str(i)) for i in range(5)]).explained
    assert (
        all_right["auroc"] == "undefined: every answer is right; undefined here: its weight 0.1 is shared out"
    )
    all_wrong = card_of([graded(str(i), right=False) for i in range(5)]).explained
    assert all_wrong["auprc_p"].startswith("undefined: every answer is wrong; ")
    assert all_wrong["auprc_n"].startswith("0 right against 5 wrong; ")
    bare = card_of([graded(str(i), confidence=None) for i in range(5)]).explained
    assert bare["ece"].startswith("undefined: not every row has a confidence")


def test_open_answers_say_their_credit_and_that_they_have_no_classes():
    rows = [graded("1", credit=0.75), graded("2", right=False, credit=0.3, followed=False)]
    said = evaluate(
        Outcomes.of(rows, closed=False), Objective(binning="mass"), seed=7, intervals=False
    ).explained
    assert said["accuracy"].startswith("credit 1.05 over 2 rows; accuracy = 0.5250")
    assert said["ifr"].startswith("1 of 2 in the strict format; ifr = 0.5000")
    assert said["ece"].startswith("10 bins of equal mass over 2 rows; ")
    assert said["brier"] == "2 confidences"
    assert said["macro_f1"] == said["balanced_accuracy"] == "undefined: the answer space is open"
    assert card_of([graded("1"), graded("2", gold="B")]).explained["macro_f1"] == "2 labels"


def test_bounds_on_ratings_and_on_the_objective_itself_are_checked():
    objective = Objective({"accuracy": 1, "judged.tone": 1}, {"objective": 0.9, "judged.tone": 3, "ifr": 0.5})
    card = evaluate(Outcomes.of([graded("1")]), objective, seed=7, intervals=False, judged={"tone": 2.0})
    assert card.unmet == {"objective": "0.6250 is below 0.9", "judged.tone": "2.0000 is below 3"}


def test_ratings_stand_in_the_scorecard_and_enter_the_objective():
    objective = Objective({"accuracy": 1, "judged.relevance": 1})
    card = evaluate(
        Outcomes.of([graded("1"), graded("2")]),
        objective,
        seed=7,
        intervals=True,
        judged={"relevance": 3.0},
    )
    assert card.judged == {"relevance": 3.0}
    assert card.objective == pytest.approx(0.75)
    assert card.explained["judged.relevance"] == "(judged.relevance - 1) / 4 = 0.5000, weight 0.5"


class Labels:
    """An answer space of given labels; none of them: open."""

    kind = "classification"

    def __init__(self, *labels: str) -> None:
        self._labels = labels

    def allowed(self, question: Question) -> tuple[str, ...]:
        return question.choices or self._labels

    def options(self, question: Question) -> str:
        return ""

    def hint(self, question: Question) -> str:
        return ""

    def strict(self, answer: str, question: Question) -> str | None:
        return answer

    def lenient(self, text: str, question: Question) -> Recovered | None:
        return None

    def credit(self, answer: str, example: Example) -> float:
        return float(answer == example.gold)


def test_the_baselines_are_the_commonest_answer_and_a_fair_draw():
    rows = [Example(str(i), "?", gold) for i, gold in enumerate("AABC")]
    assert chance(Labels("A", "B", "C", "D"), rows) == Chance(majority=0.5, random=0.25)


def test_a_fair_draw_is_among_each_rows_own_options():
    rows = [Example("1", "?", "A", choices=("x", "y")), Example("2", "?", "B", choices=("x", "y", "z", "w"))]
    assert chance(Labels(), rows) == Chance(majority=0.5, random=0.375)


def test_an_open_answer_space_has_no_baselines():
    assert chance(Labels(), [Example("1", "?", "42")]) == Chance(None, None)
    assert chance(Labels("A"), []) == Chance(None, None)


def own_metric(path: Path) -> None:
    path.write_text("def right(rows):\n    return sum(r.correct for r in rows) / len(rows)\n")


async def test_a_metric_of_ones_own_is_loaded_by_its_dotted_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    own_metric(tmp_path / "shop_metrics.py")
    monkeypatch.syspath_prepend(tmp_path)
    name = "shop_metrics:right"
    found = load(name, tmp_path / "elsewhere", allow_code=True)
    assert (await measure(name, found, [graded("1"), graded("2", right=False)])).value == 0.5


@pytest.mark.parametrize("inside", ["", "scenarios"])
def test_a_metrics_module_may_lie_beside_the_scenario_or_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
):
    monkeypatch.chdir(tmp_path)
    package = f"shop{inside}"
    (tmp_path / inside / package).mkdir(parents=True)
    own_metric(tmp_path / inside / package / "metrics.py")
    before = [*sys.path]
    assert callable(load(f"{package}.metrics:right", Path("scenarios"), allow_code=True))
    assert sys.path == before


def test_what_is_installed_goes_before_what_lies_beside_the_scenario(tmp_path: Path):
    own_metric(tmp_path / "msgspec.py")
    with pytest.raises(InputError, match="module msgspec has no function right"):
        load("msgspec:right", tmp_path, allow_code=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("numpy.sqrt", "expected package.module:function"),
        ("no_such_module_here:f", "module no_such_module_here cannot be imported"),
        ("numpy:no_such_function", "module numpy has no function no_such_function"),
        ("numpy:pi", "has no function pi"),
    ],
)
def test_a_metric_that_cannot_be_loaded_is_named(name: str, message: str):
    with pytest.raises(InputError, match=message):
        load(name, Path(), allow_code=True)


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), "much"])
async def test_a_metric_of_ones_own_outside_0_to_1_is_refused(value: float):
    with pytest.raises(InputError, match="expected None or a number from 0 to 1"):
        await measure("own:f", lambda rows: value, [])


async def test_a_metric_of_ones_own_may_be_undefined():
    assert (await measure("own:f", lambda rows: None, [])).value is None
