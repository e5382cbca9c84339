"""Comparison of runs: scores of each scenario's best prompts on test, and their differences."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Literal

import msgspec
import numpy as np
from scipy.special import stdtrit

from ..evaluation.scorecard import Scorecard
from ..record.results import Results

Pair = tuple[str, str]
"""A target task and a model."""

Cell = tuple[str, str, int]
"""A target task, a model and a seed."""

METRICS = ("objective", "accuracy", "ifr", "ece", "auroc", "auprc_p", "auprc_n")
"""The objective and the metrics of Transfer-Prompting (arXiv 2502.14211)."""
SOURCE = "source prompt"
ORIGINAL = "original prompt"
"""Its name holds a space, as no scenario's does."""


class Mean(msgspec.Struct, frozen=True):
    """A mean over cells and its 95 % interval; no interval where nothing was repeated over seeds."""

    value: float
    low: float | None
    high: float | None
    cells: int


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario: means by metric, its differences from the base by metric, and calls a run.

    `calls` counts replayed calls like paid ones, so that a shared ledger favours nobody; None for the
    original prompt, which is tested within the other runs.
    """

    name: str
    runs: int
    means: dict[str, Mean]
    differences: dict[str, Mean] = {}
    calls: float | None = None


class Comparison(msgspec.Struct, frozen=True):
    """The rows in the order of the runs, and last the original prompts of the first row's runs.

    `base` is the name of the row that differences are from: the first scenario, or the original where there
    is one scenario alone.
    """

    rows: tuple[Row, ...]
    base: str = ORIGINAL
    warnings: tuple[str, ...] = ()


def compare_runs(runs: Iterable[Results], metrics: Sequence[str] = METRICS) -> Comparison:
    """Runs grouped by the name of their scenario; runs of one group differ in their seed.

    Intervals take the tasks and models as they are and the seeds as drawn: t intervals over seeds, each of
    which stands for one mean over all tasks and models, since these share its source prompts and its rows.
    They do not extend to other tasks. Differences are taken target by target and seed by seed, where both
    have both. Targets whose runs are not comparable are named in `warnings`.
    """
    groups: dict[str, list[Results]] = defaultdict(list)
    for run in runs:
        groups[run.name].append(run)
    cards = {name: _cells(group, "best") for name, group in groups.items()}
    if not groups:
        return Comparison(())
    first = next(iter(groups))
    base = first if len(groups) > 1 else ORIGINAL
    cards[ORIGINAL] = _cells(groups[first], "baseline")
    rows = [
        Row(
            name=name,
            runs=len(groups.get(name, groups[first])),
            means=_means(found, metrics),
            differences={} if name == base else _differences(found, cards[base], metrics),
            calls=_calls(groups[name]) if name in groups else None,
        )
        for name, found in cards.items()
    ]
    return Comparison(tuple(rows), base, tuple(mismatches(run for group in groups.values() for run in group)))


def short_names(rows: Sequence[Row]) -> list[str]:
    """Each row's name; scenarios without the words that all of their names begin with."""
    words = [row.name.split("-") for row in rows if row.calls is not None]
    alike = takewhile(lambda column: len(set(column)) == 1, zip(*(name[:-1] for name in words), strict=False))
    shared = len(list(alike)) if len(words) > 1 else 0
    return [row.name if row.calls is None else "-".join(row.name.split("-")[shared:]) for row in rows]


def mismatches(runs: Iterable[Results]) -> Iterator[str]:
    """Lines on runs of one name and seed, and on targets whose runs are not comparable: other test rows, or
    another reading of the replies.

    Every seed splits the rows anew, so rows are compared within a seed and their number over all seeds.
    """
    runs = list(runs)
    yield from _hidden(runs)
    counts: dict[Pair, set[int]] = defaultdict(set)
    readings: dict[Pair, set[str]] = defaultdict(set)
    digests: dict[tuple[Pair, int], set[str]] = defaultdict(set)
    for run in runs:
        for target in run.targets:
            pair, card = (target.task, target.model), target.best.scorecard
            counts[pair].add(card.n + card.failed)
            if target.reading is not None:
                readings[pair].add(target.reading)
            if target.test_rows is not None:
                digests[pair, run.seed].add(target.test_rows)
    split = {pair for (pair, _), found in digests.items() if len(found) > 1}
    for pair, sizes in counts.items():
        name = " · ".join(pair)
        if len(sizes) > 1:
            said = " and ".join(f"{count:,}" for count in sorted(sizes))
            yield f"{name}: runs were tested on different rows ({said}); do not compare these"
        elif pair in split:
            yield f"{name}: runs of one seed were tested on different rows; do not compare these"
        if len(readings[pair]) > 1:
            said = "; ".join(sorted(readings[pair]))
            yield f"{name}: replies were read in different ways ({said}); do not compare these"


def _hidden(runs: Iterable[Results]) -> Iterator[str]:
    for (name, seed), count in Counter((run.name, run.seed) for run in runs).items():
        if count > 1:
            yield (
                f"{name}: {count} runs have seed {seed}, and only the last of them is shown; give runs that "
                "differ in more than their seed other names (--set name=…)"
            )


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a results table: a task, a model, a metric and a prompt with the mean over seeds.

    `prompt` is `original`, `source prompt` (the best one, tested without adaptation; with the scenario's name
    where there are several), or a scenario's name for its best prompt.
    """

    task: str
    model: str
    metric: str
    prompt: str
    mean: Mean


def entries(runs: Iterable[Results], metrics: Sequence[str] = METRICS) -> list[Entry]:
    """Results by task, model and metric, each with the original, the source prompt and the best prompt of
    every scenario.

    Means and 95 % t intervals are over seeds. Undefined values are left out.
    """
    groups: dict[str, list[Results]] = defaultdict(list)
    for run in runs:
        groups[run.name].append(run)
    if not groups:
        return []
    cards = {"original": _cells(next(iter(groups.values())), "baseline")}
    for name, group in groups.items():
        source = f"{name}: {SOURCE}" if len(groups) > 1 else SOURCE
        cards |= {source: transferred} if (transferred := _transferred(group)) else {}
        cards[name] = _cells(group, "best")
    pairs = {(task, model): None for found in cards.values() for task, model, _ in found}
    made: list[Entry] = []
    for task, model in pairs:
        for metric in metrics:
            for prompt, found in cards.items():
                here = {
                    cell: _value(card, metric) for cell, card in found.items() if cell[:2] == (task, model)
                }
                mean = _mean(here)
                if mean is not None:
                    made.append(Entry(task=task, model=model, metric=metric, prompt=prompt, mean=mean))
    return made


def _cells(group: Iterable[Results], part: Literal["best", "baseline"]) -> dict[Cell, Scorecard]:
    return {
        (target.task, target.model, run.seed): getattr(target, part).scorecard
        for run in group
        for target in run.targets
    }


def _transferred(group: Iterable[Results]) -> dict[Cell, Scorecard]:
    """Scorecards of each run's first source prompt where it was tested without adaptation."""
    found: dict[Cell, Scorecard] = {}
    for run in group:
        best = run.source_prompts[0].id if run.source_prompts else None
        for entry in run.transfer:
            if entry.prompt_id == best:
                found[entry.task, entry.model, run.seed] = entry.scorecard
        # The source prompt is not tested twice where it is the best prompt, or the original.
        for target in run.targets:
            for part in (target.best, target.baseline):
                if part.prompt.id == best:
                    found.setdefault((target.task, target.model, run.seed), part.scorecard)
    return found


def _calls(group: Sequence[Results]) -> float:
    return sum(run.usage.calls + run.usage.replayed for run in group) / len(group)


def _means(cards: Mapping[Cell, Scorecard], metrics: Sequence[str]) -> dict[str, Mean]:
    found: dict[str, Mean] = {}
    for metric in metrics:
        mean = _mean({cell: _value(card, metric) for cell, card in cards.items()})
        if mean is not None:
            found[metric] = mean
    return found


def _differences(
    cards: Mapping[Cell, Scorecard], base: Mapping[Cell, Scorecard], metrics: Sequence[str]
) -> dict[str, Mean]:
    found: dict[str, Mean] = {}
    for metric in metrics:
        both = [cell for cell in cards if cell in base]
        mean = _mean({cell: _minus(_value(cards[cell], metric), _value(base[cell], metric)) for cell in both})
        if mean is not None:
            found[metric] = mean
    return found


def _mean(values: Mapping[Cell, float | None]) -> Mean | None:
    """The mean over tasks and models of their means over seeds."""
    strata: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for (task, model, seed), value in sorted(values.items()):
        if value is not None:
            strata[task, model][seed] = value
    if not strata:
        return None
    cells = sum(len(seeds) for seeds in strata.values())
    means = {stratum: float(np.mean(list(seeds.values()))) for stratum, seeds in strata.items()}
    value = float(np.mean(list(means.values())))
    if min(len(seeds) for seeds in strata.values()) < 2:
        return Mean(value, None, None, cells)
    apart: dict[int, list[float]] = defaultdict(list)
    for stratum, seeds in strata.items():
        for seed, found in seeds.items():
            apart[seed].append(found - means[stratum])
    by_seed = np.array([np.mean(each) for each in apart.values()])
    half = float(stdtrit(len(by_seed) - 1, 0.975) * by_seed.std(ddof=1) / np.sqrt(len(by_seed)))
    return Mean(value, value - half, value + half, cells)


def _value(card: Scorecard, metric: str) -> float | None:
    return getattr(card, metric)


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
