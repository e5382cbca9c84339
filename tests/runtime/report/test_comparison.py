"""Comparisons: means over cells, differences cell by cell, and intervals over seeds alone."""

import msgspec
import pytest
from rich.console import Console

from transfer_prompting.cli.tables import comparison_table
from transfer_prompting.runtime.evaluation.scorecard import Chance, Scorecard
from transfer_prompting.runtime.llm.budget.usage import UsageReport
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.record.results import PromptEntry, Results, TargetResult, Targets
from transfer_prompting.runtime.record.results import PromptResult as Part
from transfer_prompting.runtime.report.comparison import METRICS, ORIGINAL, compare_runs

PROMPT = PromptEntry.of(Prompt(text="Decide."))


def run(
    name: str, seed: int, scores: dict[str, float | None], *, original: float = 0.4, calls: int = 10
) -> Results:
    return Results(
        name=name,
        status="complete",
        seed=seed,
        targets=Targets(
            TargetResult(
                task=task,
                model="small",
                baseline=Part(prompt=PROMPT, scorecard=card(original)),
                best=Part(prompt=PROMPT, scorecard=card(score)),
                gain={},
                search=None,
                selection_bias=None,
                chance=Chance(0.5, 0.5),
            )
            for task, score in scores.items()
        ),
        usage=UsageReport(calls=calls, replayed=5),
    )


def card(score: float | None) -> Scorecard:
    return Scorecard(n=10, accuracy=score, objective=score)


def test_rows_come_in_the_order_of_the_runs_and_the_original_prompt_last():
    found = compare_runs([run("b", 1, {"t": 0.5}), run("a", 1, {"t": 0.6})])
    assert [row.name for row in found.rows] == ["b", "a", ORIGINAL]
    assert found.rows[-1].means["objective"].value == pytest.approx(0.4)


def test_a_mean_weighs_tasks_alike_however_many_seeds_each_has():
    found = compare_runs([run("a", 1, {"one": 0.2, "other": 0.8}), run("a", 2, {"one": 0.4})])
    assert found.rows[0].means["objective"].value == pytest.approx((0.3 + 0.8) / 2)


def test_tasks_that_differ_widen_no_interval_and_seeds_that_differ_do():
    steady = compare_runs([run("a", seed, {"easy": 0.9, "hard": 0.1}) for seed in (1, 2, 3)])
    mean = steady.rows[0].means["objective"]
    assert (mean.low, mean.high) == pytest.approx((0.5, 0.5))
    shaky = compare_runs([run("a", seed, {"easy": 0.9 - 0.1 * seed, "hard": 0.1}) for seed in (1, 2, 3)])
    mean = shaky.rows[0].means["objective"]
    assert mean.low is not None
    assert mean.high is not None
    assert mean.low < mean.value < mean.high


def test_tasks_that_a_seed_moves_together_count_once():
    """Source prompts and rows are shared within a seed: eight tasks that move as one tell what one does."""
    runs = [run("a", seed, {f"t{i}": 0.5 + (seed - 2) / 10 for i in range(8)}) for seed in (1, 2, 3)]
    mean = compare_runs(runs).rows[0].means["objective"]
    assert mean.low is not None
    assert mean.value - mean.low == pytest.approx(
        4.3027 * 0.1 / 3**0.5, rel=1e-3
    )  # t of 2 degrees of freedom


def test_one_seed_has_no_interval():
    mean = compare_runs([run("a", 1, {"t": 0.5})]).rows[0].means["objective"]
    assert (mean.low, mean.high, mean.cells) == (None, None, 1)


def test_differences_are_taken_cell_by_cell_over_what_both_have():
    first = [run("a", seed, {"t": 0.1 * seed}) for seed in (1, 2, 3)]
    second = [run("b", seed, {"t": 0.1 * seed + 0.05, "more": 0.9}) for seed in (2, 3, 4)]
    difference = compare_runs([*first, *second]).rows[1].differences["objective"]
    assert difference.value == pytest.approx(0.05)
    assert difference.cells == 2
    assert (difference.low, difference.high) == pytest.approx((0.05, 0.05))


def test_a_cell_without_the_metric_is_left_out():
    found = compare_runs([run("a", 1, {"one": None, "other": 0.8})])
    assert found.rows[0].means["objective"].cells == 1
    assert "auroc" not in found.rows[0].means


def test_replayed_calls_count_like_paid_ones():
    found = compare_runs([run("a", 1, {"t": 0.5}, calls=10), run("a", 2, {"t": 0.5}, calls=20)])
    assert found.rows[0].calls == pytest.approx(20)


def test_nothing_to_compare_gives_no_rows():
    assert compare_runs([]).rows == ()


def test_the_table_has_a_column_for_each_scenario_and_leaves_out_what_their_names_share():
    runs = [
        run(name, seed, {"t": 0.5 + seed / 10})
        for name in ("abl-transfer", "abl-target-only")
        for seed in (1, 2)
    ]
    console = Console(width=80, record=True)
    console.print(comparison_table(compare_runs(runs), METRICS))
    lines = console.export_text().splitlines()
    heads = [line.split() for line in lines if "metric" in line]
    assert [[word for word in head if word not in "┃│"] for head in heads] == [
        ["metric", "transfer", "target-only", *ORIGINAL.split()],
        ["metric", "target-only", *ORIGINAL.split()],
    ]
    assert any("0.650" in line for line in lines)
    assert any("difference from transfer" in line for line in lines)


def shown(runs: list[Results]) -> list[str]:
    console = Console(width=80, record=True)
    console.print(comparison_table(compare_runs(runs), METRICS))
    return console.export_text().splitlines()


def test_metrics_go_by_the_labels_used_elsewhere():
    lines = shown([run("a", 1, {"t": 0.5})])
    for metric in ("Objective", "Accuracy", "Format followed (IFR)", "Calibration error (ECE) ↓"):
        assert any(metric in line for line in lines)
    assert not any("ifr" in line or "ece" in line for line in lines)


def test_one_scenario_is_compared_with_the_original():
    found = compare_runs([run("a", 1, {"t": 0.6})])
    assert found.base == ORIGINAL
    assert found.rows[0].differences["objective"].value == pytest.approx(0.2)
    lines = shown([run("a", 1, {"t": 0.6})])
    assert "difference from original prompt, target by target (+ is above original prompt)" in lines
    assert any("+0.200" in line for line in lines)


def test_a_scenario_may_be_called_original():
    found = compare_runs([run("original", 1, {"t": 0.6})])
    assert [row.means["objective"].value for row in found.rows] == pytest.approx([0.6, 0.4])


def test_runs_of_one_name_and_seed_hide_each_other_and_are_named():
    (warning,) = compare_runs([run("a", 1, {"t": 0.5}), run("a", 1, {"t": 0.6})]).warnings
    assert warning.startswith("a: 2 runs have seed 1, and only the last of them is shown")


def test_runs_tested_on_different_rows_are_named():
    one, other = run("a", 1, {"t": 0.5}), run("b", 1, {"t": 0.6})
    target = other.targets[0]
    best = msgspec.structs.replace(target.best, scorecard=Scorecard(n=20, objective=0.6))
    odd = msgspec.structs.replace(other, targets=(msgspec.structs.replace(target, best=best),))
    (warning,) = compare_runs([one, odd]).warnings
    assert warning.startswith("t · small: ")
    assert "10 and 20" in warning
    assert compare_runs([one, other]).warnings == ()


def changed(results: Results, **changes: object) -> Results:
    """The results with changes to their only target."""
    (target,) = results.targets
    return msgspec.structs.replace(results, targets=(msgspec.structs.replace(target, **changes),))


def test_other_rows_of_equal_number_are_named_within_a_seed():
    one, other = run("a", 1, {"t": 0.5}), run("b", 1, {"t": 0.6})
    pair = [changed(one, test_rows="aa"), changed(other, test_rows="bb")]
    (warning,) = compare_runs(pair).warnings
    assert "runs of one seed were tested on different rows" in warning
    assert compare_runs([changed(one, test_rows="aa"), changed(other, test_rows="aa")]).warnings == ()
    next_seed = changed(run("a", 2, {"t": 0.5}), test_rows="cc")
    assert compare_runs([pair[0], next_seed]).warnings == ()


def test_another_reading_of_replies_is_named():
    one, other = run("a", 1, {"t": 0.5}), run("b", 2, {"t": 0.6})
    (warning,) = compare_runs(
        [changed(one, reading="generated"), changed(other, reading="likelihood")]
    ).warnings
    assert "replies were read in different ways (generated; likelihood)" in warning
