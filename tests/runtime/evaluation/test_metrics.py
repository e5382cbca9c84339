"""What the metrics are: hand-made values, laws that hold for any rows, and agreement with other code."""

import warnings
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapie.metrics.calibration import expected_calibration_error
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    roc_auc_score,
)

from transfer_prompting.runtime.evaluation.evaluate import points
from transfer_prompting.runtime.evaluation.metrics import METRICS, SAFE, metric, shown
from transfer_prompting.runtime.evaluation.outcomes import Failed, Graded, Outcomes, worst
from transfer_prompting.runtime.evaluation.scorecard import Scorecard

from support.graded import drawn, graded, responses, unanswered

SIGNED = {"auprc_p_lift", "auprc_n_lift"}


def four() -> Outcomes:
    """Surest first: right at 0.9, wrong at 0.8, right at 0.6, wrong at 0.2."""
    rows = [(True, 0.9), (False, 0.8), (True, 0.6), (False, 0.2)]
    return Outcomes.of(graded(str(i), right=right, confidence=c) for i, (right, c) in enumerate(rows))


def test_every_metric_of_a_hand_made_table():
    values = points(four())
    assert values["accuracy"] == 0.5
    assert values["ifr"] == 1.0
    assert values["ece"] == pytest.approx((0.1 + 0.8 + 0.4 + 0.2) / 4)
    assert values["brier"] == pytest.approx((0.01 + 0.64 + 0.16 + 0.04) / 4)
    assert values["auroc"] == 0.75
    assert values["auprc_p"] == pytest.approx((1 + 2 / 3) / 2)
    assert values["auprc_n"] == pytest.approx((1 + 2 / 3) / 2)
    assert values["auprc_p_lift"] == pytest.approx((1 + 2 / 3) / 2 - 0.5)
    assert values["auprc_n_lift"] == pytest.approx((1 + 2 / 3) / 2 - 0.5)
    assert values["aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert (values["output_tokens"], values["seconds"]) == (5.0, 0.5)


def test_unreadable_replies_are_weighed_as_sure_and_wrong():
    """Surest first: unreadable, right at 0.9, wrong at 0.8, right at 0.6; average precision of wrong answers
    counts the unreadable one among them, and not what was found by it."""
    rows = [(True, 0.9), (False, 0.8), (True, 0.6)]
    read = [graded(str(i), right=right, confidence=c) for i, (right, c) in enumerate(rows)]
    values = points(Outcomes.of([*read, graded("x", read=False)]))
    assert values[SAFE + "ece"] == pytest.approx((0.1 + 0.8 + 0.4 + 1) / 4)
    assert values[SAFE + "brier"] == pytest.approx((0.01 + 0.64 + 0.16 + 1) / 4)
    assert values[SAFE + "auroc"] == pytest.approx(1 / 4)
    assert values[SAFE + "auprc_p"] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert values[SAFE + "auprc_n"] == pytest.approx((1 / 2) / 2)
    assert values[SAFE + "aurc"] == pytest.approx((1 + 1 / 2 + 2 / 3 + 2 / 4) / 4)
    assert SAFE + "accuracy" not in values
    assert shown(values).keys() == METRICS.keys()
    assert not any(name.startswith(SAFE) for name in points(Outcomes.of(read)))


def test_a_broken_format_is_no_unreadable_reply():
    rows = [
        graded("1", followed=False),
        graded("2", right=False, confidence=0.0),
        graded("3", right=False, followed=False, confidence=0.1),
    ]
    assert points(Outcomes.of(rows)).keys() == METRICS.keys()


def test_class_metrics_of_a_hand_made_table():
    pairs = [("A", "A"), ("A", "B"), ("B", "B"), ("C", "A")]
    values = points(
        Outcomes.of(
            graded(str(i), gold=gold, answer=answer, right=gold == answer)
            for i, (gold, answer) in enumerate(pairs)
        )
    )
    assert values["balanced_accuracy"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert values["macro_f1"] == pytest.approx((2 / 4 + 2 / 3 + 0) / 3)


def test_an_unreadable_answer_counts_as_wrong_with_confidence_0_and_lowers_ifr():
    values = points(Outcomes.of([graded("1", confidence=1.0), graded("2", read=False)]))
    assert (values["accuracy"], values["ifr"], values["ece"], values["auroc"]) == (0.5, 0.5, 0.0, 1.0)


def test_failed_calls_are_left_out_of_every_metric():
    rows = drawn(30, seed=1)
    with_failures = Outcomes.of([*rows, Failed("x", "503"), Failed("y", "reset")])
    assert points(with_failures) == points(Outcomes.of(rows))
    assert with_failures.failed == ("x", "y")


@pytest.mark.parametrize(
    ("right", "undefined", "defined"),
    [
        (True, {"auroc", "auprc_n", "auprc_n_lift"}, "auprc_p"),
        (False, {"auroc", "auprc_p", "auprc_p_lift"}, "auprc_n"),
    ],
)
def test_ranking_metrics_are_undefined_where_all_answers_are_alike(
    right: bool, undefined: set[str], defined: str
):
    values = points(Outcomes.of(graded(str(i), right=right, confidence=i / 9) for i in range(9)))
    assert {name for name, value in values.items() if value is None} == undefined
    assert values[defined] == 1.0


def test_without_confidences_what_needs_them_is_undefined():
    values = points(Outcomes.of([graded("1", confidence=None), graded("2", right=False, confidence=0.0)]))
    missing = {name for name, value in values.items() if value is None}
    assert missing == {"ece", "brier", "aurc", "auroc", "auprc_p", "auprc_n", "auprc_p_lift", "auprc_n_lift"}
    assert values["accuracy"] == 0.5


def test_without_rows_everything_is_undefined():
    assert set(points(Outcomes()).values()) == {None}
    assert set(points(Outcomes())) == set(METRICS)


def test_open_answers_score_their_mean_credit_and_have_no_classes():
    rows = [graded("1", credit=0.75), graded("2", right=False, credit=0.25)]
    values = points(Outcomes.of(rows, closed=False))
    assert values["accuracy"] == 0.5
    assert values["balanced_accuracy"] is values["macro_f1"] is None


@given(responses())
def test_every_metric_stays_within_its_bounds(rows: list[Graded]):
    values = points(Outcomes.of(rows))
    assert set(shown(values)) == set(METRICS)
    for name, value in values.items():
        if value is not None and METRICS[name.removeprefix(SAFE)].unit:
            assert -1e-12 <= value <= 1 + 1e-12
        elif value is not None:
            assert value >= (-1 if name in SIGNED else 0)


@given(st.data())
def test_the_order_of_rows_never_matters(data: st.DataObject):
    rows = data.draw(responses())
    shuffled = data.draw(st.permutations(rows))
    assert Outcomes.of(shuffled) == Outcomes.of(rows)


@given(responses())
@settings(deadline=None, max_examples=40)
def test_the_fast_metrics_agree_with_scikit_learn(rows: list[Graded]):
    values = points(Outcomes.of(rows))
    correct = np.array([row.correct for row in rows])
    confidence = np.array([row.confidence for row in rows], dtype=float)
    if unanswered(rows):
        # scikit-learn has values here (1 for the average precision of wrong answers); none is compared.
        assert {values[name] for name in ("brier", "auroc", "auprc_p", "auprc_n")} == {None}
        return
    assert values["brier"] == pytest.approx(brier_score_loss(correct, confidence, pos_label=True))
    assert (values["auroc"] is None) == (correct.all() or not correct.any())
    if values["auroc"] is not None:
        assert values["auroc"] == pytest.approx(roc_auc_score(correct, confidence))
    if correct.any():
        assert values["auprc_p"] == pytest.approx(average_precision_score(correct, confidence))
    if not correct.all():
        assert values["auprc_n"] == pytest.approx(average_precision_score(~correct, -confidence))


@given(responses())
@settings(deadline=None, max_examples=40)
def test_class_metrics_agree_with_scikit_learn(rows: list[Graded]):
    values = points(Outcomes.of(rows))
    gold = [row.gold for row in rows]
    answers = [row.answer or "unread" for row in rows]
    labels = sorted({*gold, *answers} - {"unread"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of answers that are no gold label
        balanced = balanced_accuracy_score(gold, answers)
        f1 = f1_score(gold, answers, labels=labels, average="macro", zero_division=0)  # pyright: ignore[reportArgumentType] (scikit-learn says str only)
    assert values["balanced_accuracy"] == pytest.approx(balanced)
    assert values["macro_f1"] == pytest.approx(f1)


@given(responses())
def test_ece_agrees_with_its_definition_in_exact_fractions(rows: list[Graded]):
    """The definition, bin by bin, by a different route."""
    total = Fraction(0)
    for bin in range(10):
        low, high = Fraction(bin, 10), Fraction(bin + 1, 10)
        inside = [row for row in rows if low <= _exact(row) < high or (bin == 9 and _exact(row) == 1)]
        if inside:
            accuracy = Fraction(sum(row.correct for row in inside), len(inside))
            confidence = sum(map(_exact, inside), Fraction(0)) / len(inside)
            total += Fraction(len(inside), len(rows)) * abs(accuracy - confidence)
    expected = None if unanswered(rows) else pytest.approx(float(total), abs=1e-12)
    assert points(Outcomes.of(rows))["ece"] == expected


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0.01, 0.09), st.booleans()), min_size=1))
def test_ece_agrees_with_mapie(drawn_rows: list[tuple[int, float, bool]]):
    """Its eleven bins are ten and one for 0; on the edges it closes bins on the other side."""
    sure = [bin / 10 + inside for bin, inside, _ in drawn_rows]
    right = [right for _, _, right in drawn_rows]
    rows = [graded(f"{i:03d}", right=right[i], confidence=confidence) for i, confidence in enumerate(sure)]
    theirs = expected_calibration_error(
        np.array(right, dtype=int), np.array(sure), num_bins=11, split_strategy="uniform"
    )
    assert points(Outcomes.of(rows))["ece"] == pytest.approx(theirs, abs=1e-12)


def _exact(row: Graded) -> Fraction:
    """The confidence as a person would write it, so that 0.3 stands on the edge of its bin."""
    assert row.confidence is not None
    return Fraction(repr(row.confidence))


@given(responses())
def test_aurc_agrees_with_the_mean_over_orders_of_ties(rows: list[Graded]):
    """The expected risk at each coverage, walked row by row; tied rows share their group's error rate."""
    groups: dict[float, list[bool]] = {}
    for row in rows:
        groups.setdefault(row.confidence or 0.0, []).append(not row.correct)
    answered, errors, area = 0, 0.0, 0.0
    for confidence in sorted(groups, reverse=True):
        group = groups[confidence]
        for _ in group:
            answered += 1
            errors += sum(group) / len(group)
            area += errors / answered
    expected = None if unanswered(rows) else pytest.approx(area / len(rows))
    assert points(Outcomes.of(rows))["aurc"] == expected


@given(responses(least=2))
def test_equal_mass_bins_keep_equal_confidences_together_and_bound_the_error(rows: list[Graded]):
    outcomes = Outcomes.of(rows)
    value = points(outcomes, binning="mass")["ece"]
    if unanswered(rows):
        assert value is None
        return
    correct = np.mean([row.correct for row in rows])
    assert value is not None
    gap = abs(correct - np.mean([row.confidence or 0.0 for row in rows]))
    assert gap - 1e-12 <= value <= 1 + 1e-12


def test_equal_mass_bins_hold_a_tenth_of_the_rows_each():
    rows = [graded(f"{i:02d}", right=i % 2 == 0, confidence=0.9 + i / 1000) for i in range(40)]
    bins = [rows[4 * bin : 4 * bin + 4] for bin in range(10)]
    gaps = [abs(sum(row.correct - (row.confidence or 0) for row in bin)) for bin in bins]
    assert points(Outcomes.of(rows), binning="mass")["ece"] == pytest.approx(sum(gaps) / 40)


@given(responses(), st.integers(0, 40))
def test_breaking_the_format_never_raises_accuracy_or_ifr(rows: list[Graded], broken: int):
    """Any row whose format breaks scores no more than before; what is lost was not there to gain."""
    row = rows[broken % len(rows)]
    worse = [graded(row.example, gold=row.gold, read=False) if one is row else one for one in rows]
    before, after = points(Outcomes.of(rows)), points(Outcomes.of(worse))
    assert (after["accuracy"] or 0.0) <= (before["accuracy"] or 0.0)
    assert (after["ifr"] or 0.0) <= (before["ifr"] or 0.0)


@given(responses())
def test_outcomes_survive_message_pack(rows: list[Graded]):
    outcomes = Outcomes.of([*rows, Failed("lost", "503")])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(outcomes), type=Outcomes) == outcomes


@given(responses(), st.integers(0, 40))
def test_outcomes_merged_from_parts_equal_the_whole_and_select_undoes_it(rows: list[Graded], cut: int):
    lost = Failed("lost", "503")
    one, other = Outcomes.of(rows[:cut]), Outcomes.of([*rows[cut:], lost])
    whole = Outcomes.of([*rows, lost])
    assert one.merge(other) == other.merge(one) == whole
    assert whole.select({row.example for row in rows[:cut]}) == one


def test_two_responses_to_one_example_are_refused():
    outcomes = Outcomes.of([graded("1")])
    with pytest.raises(ValueError, match="more than one response to example 1"):
        outcomes.merge(Outcomes.of([Failed("1", "503")]))
    with pytest.raises(ValueError, match="more than one"):
        Outcomes.of([graded("1"), graded("1")])


def test_closed_and_open_answers_are_not_merged_and_nothing_merges_with_all():
    closed, free = Outcomes.of([graded("1")]), Outcomes.of([graded("2")], closed=False)
    with pytest.raises(ValueError, match="a closed and of an open answer space cannot be merged"):
        closed.merge(free)
    assert free.merge(Outcomes()) == Outcomes().merge(free) == free
    lost = Outcomes.of([Failed("3", "503")])
    assert closed.merge(lost) == lost.merge(closed) == Outcomes.of([graded("1"), Failed("3", "503")])
    with pytest.raises(ValueError, match=r"more than one response to example 1, 2, 3$"):
        Outcomes.of([graded(str(i)) for i in (4, 3, 2, 1, 1, 2, 3, 4)])


def test_select_keeps_failed_rows_and_only_labels_that_occur():
    rows = [graded("1", gold="B"), graded("2", gold="A"), Failed("3", "503"), Failed("4", "503")]
    some = Outcomes.of(rows).select(["1", "4", "unknown"])
    assert (some.ids, some.failed, some.labels) == (("1",), ("4",), ("B",))
    assert some == Outcomes.of([rows[0], rows[3]])


def test_the_worst_responses_are_failures_then_confident_errors_then_broken_formats():
    rows = [
        graded("sure", confidence=0.9),
        graded("unsure", confidence=0.1),
        graded("broken", followed=False, confidence=0.3),
        graded("broken, surer", followed=False, confidence=0.8),
        graded("wrong", right=False, confidence=0.2),
        graded("wrong, surer", right=False, confidence=0.7),
        graded("wrong, unread", read=False, confidence=None),
        Failed("failed", "503"),
    ]
    order = ["failed", "wrong, surer", "wrong", "wrong, unread", "broken, surer", "broken", "unsure", "sure"]
    assert [one.example for one in worst(rows, 8)] == order
    assert [one.example for one in worst(rows[::-1], 3)] == order[:3]


def test_outcomes_without_confidences_equal_each_other():
    assert Outcomes.of([graded("1", confidence=None)]) == Outcomes.of([graded("1", confidence=None)])


def test_a_row_takes_less_than_forty_bytes_beside_its_id():
    assert len(Outcomes.of(drawn(500, seed=1)).rows) < 500 * 40


def test_every_name_that_a_metric_may_have_has_a_label_and_a_direction():
    assert (metric("ece").label, metric("ece").better) == ("Calibration error (ECE)", "lower")
    assert (metric("objective").label, metric("objective").family) == ("Objective", "objective")
    assert (metric("judged.relevance").label, metric("judged.relevance").unit) == ("relevance", False)
    assert metric("judged.relevance").family == "judged"
    assert metric("shop.metrics:brevity").family == metric("own.brevity").family == "own"
    assert metric("own.").family != "own"
    assert (metric("own.brevity").name, metric("own.brevity").label) == ("own.brevity", "own.brevity")
    assert all(one.label and one.formula and one.undefined for one in METRICS.values())
    assert set(METRICS) <= set(Scorecard.__struct_fields__)
