"""Runs lined up: what each scenario's best prompts achieve on test, and by how much they differ."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
from scipy.special import stdtrit

from ..evaluation.scorecard import Scorecard
from .results import Results

Cell = tuple[str, str, int]
"""A target task, a model and a seed."""

METRICS = ("objective", "accuracy", "ifr", "ece", "auroc")
ORIGINAL = "original prompt"


class Mean(msgspec.Struct, frozen=True):
    """A mean over cells and its 95 % interval; no interval where nothing was repeated over seeds."""

    value: float
    low: float | None
    high: float | None
    cells: int


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario: means by metric, differences from the first row by metric, and calls a run.

    `calls` counts replayed calls like paid ones, so that a shared ledger favours nobody; None for the
    original prompt, which is tested within the other runs.
    """

    name: str
    runs: int
    means: dict[str, Mean]
    differences: dict[str, Mean] = {}
    calls: float | None = None


class Comparison(msgspec.Struct, frozen=True):
    """The rows in the order of the runs, and last the original prompts of the first row's runs."""

    rows: tuple[Row, ...]


def line_up(runs: Iterable[Results]) -> Comparison:
    """Runs grouped by the name of their scenario; those of one group differ in their seed.

    Intervals take the tasks and models as they are and the seeds as drawn: t intervals over the differences
    between seeds within each task and model. They say nothing of other tasks. Differences are taken cell by
    cell, over the cells that both rows have.
    """
    groups: dict[str, list[Results]] = defaultdict(list)
    for run in runs:
        groups[run.name].append(run)
    cards = {name: _cells(group, "best") for name, group in groups.items()}
    if not groups:
        return Comparison(())
    first = next(iter(groups))
    cards[ORIGINAL] = _cells(groups[first], "baseline")
    rows = [
        Row(
            name=name,
            runs=len(groups.get(name, groups[first])),
            means=_means(found),
            differences={} if name == first else _differences(found, cards[first]),
            calls=_calls(groups[name]) if name in groups else None,
        )
        for name, found in cards.items()
    ]
    return Comparison(tuple(rows))


def _cells(group: Iterable[Results], part: Literal["best", "baseline"]) -> dict[Cell, Scorecard]:
    return {
        (target.task, target.model, run.seed): getattr(target, part).scorecard
        for run in group
        for target in run.targets
    }


def _calls(group: Sequence[Results]) -> float:
    return sum(run.usage.calls + run.usage.replayed for run in group) / len(group)


def _means(cards: Mapping[Cell, Scorecard]) -> dict[str, Mean]:
    found: dict[str, Mean] = {}
    for metric in METRICS:
        mean = _mean({cell: _value(card, metric) for cell, card in cards.items()})
        if mean is not None:
            found[metric] = mean
    return found


def _differences(cards: Mapping[Cell, Scorecard], base: Mapping[Cell, Scorecard]) -> dict[str, Mean]:
    found: dict[str, Mean] = {}
    for metric in METRICS:
        both = [cell for cell in cards if cell in base]
        mean = _mean({cell: _minus(_value(cards[cell], metric), _value(base[cell], metric)) for cell in both})
        if mean is not None:
            found[metric] = mean
    return found


def _mean(values: Mapping[Cell, float | None]) -> Mean | None:
    """The mean over tasks and models of their means over seeds."""
    strata: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (task, model, _), value in sorted(values.items()):
        if value is not None:
            strata[task, model].append(value)
    if not strata:
        return None
    groups = [np.array(group) for group in strata.values()]
    cells = sum(len(group) for group in groups)
    value = float(np.mean([group.mean() for group in groups]))
    freedom = cells - len(groups)
    if min(len(group) for group in groups) < 2:
        return Mean(value, None, None, cells)
    error = np.sqrt(sum(group.var(ddof=1) / len(group) for group in groups)) / len(groups)
    half = float(stdtrit(freedom, 0.975) * error)
    return Mean(value, value - half, value + half, cells)


def _value(card: Scorecard, metric: str) -> float | None:
    return getattr(card, metric)


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
