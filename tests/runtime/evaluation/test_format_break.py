"""Breaking the format never pays: a wrong answer made unreadable never raises the objective."""

from hypothesis import given, settings
from hypothesis import strategies as st

from transfer_prompting.runtime.evaluation.evaluate import evaluate, points, reasons
from transfer_prompting.runtime.evaluation.objective import Objective
from transfer_prompting.runtime.evaluation.outcomes import Graded, Outcomes

from support.graded import graded

WEIGHABLE = ("accuracy", "ifr", "ece", "auroc", "auprc_p", "auprc_n", "brier", "aurc", "balanced_accuracy")

ROWS = st.lists(
    st.tuples(st.booleans(), st.floats(0, 1, allow_nan=False), st.booleans()), min_size=1, max_size=30
)


def kept(i: int, right: bool, confidence: float) -> Graded:
    return graded(f"r{i:03}", right=right, confidence=confidence)


def broken(i: int) -> Graded:
    return graded(f"r{i:03}", read=False)


def value(rows: list[Graded], objective: Objective) -> float:
    found = evaluate(Outcomes.of(rows), objective, seed=0, intervals=False).objective
    assert found is not None
    return found


@given(ROWS, st.lists(st.floats(0, 1), min_size=len(WEIGHABLE), max_size=len(WEIGHABLE)))
@settings(max_examples=3 * settings().max_examples)
def test_a_wrong_answer_made_unreadable_never_raises_an_objective(
    rows: list[tuple[bool, float, bool]], weights: list[float]
):
    objective = Objective({**dict(zip(WEIGHABLE, weights, strict=True)), "ifr": max(weights[1], 0.01)})
    whole = [kept(i, right, confidence) for i, (right, confidence, _) in enumerate(rows)]
    cut = [
        broken(i) if breaks and not right else kept(i, right, confidence)
        for i, (right, confidence, breaks) in enumerate(rows)
    ]
    assert value(cut, objective) <= value(whole, objective) + 1e-12


def test_half_a_set_made_unreadable_lowers_the_default_objective():
    whole = [kept(i, i < 50, 0.9) for i in range(100)]
    cut = [kept(i, True, 0.9) if i < 50 else broken(i) for i in range(100)]
    assert value(cut, Objective()) < value(whole, Objective()) - 0.1


def test_the_scorecard_still_shows_the_metrics_as_defined_and_says_what_was_weighed():
    card = evaluate(Outcomes.of([kept(0, True, 0.9), broken(1)]), Objective(), seed=0, intervals=False)
    assert card.ece is not None
    assert abs(card.ece - 0.05) < 1e-9
    assert "unreadable replies count as wrong with confidence 1" in card.explained["ece"]


def test_confidence_metrics_rest_on_no_replies_where_none_could_be_read():
    outcomes = Outcomes.of(graded(f"{i}", read=False) for i in range(8))
    values = points(outcomes)
    assert {values[name] for name in ("ece", "brier", "auroc", "auprc_p", "auprc_n", "aurc")} == {None}
    assert reasons(outcomes, values)["ece"] == "undefined: no reply holds an answer"
    assert Objective({"accuracy": 1, "ece": 1}).value(values) == 0
