"""Intervals of one prompt's metrics, and paired gains of one prompt over another."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from ._columns import Table
from ._measures import Meter, points
from ._resampling import (
    Draw,
    bca,
    counts,
    gathered,
    holm,
    leave_outs,
    mcnemar,
    permutation,
    swaps,
    wilson,
)
from .metrics import Values, metric, shown
from .objective import Objective, named
from .outcomes import Outcomes, aligned
from .scorecard import Gain, Interval

Vector = NDArray[np.float64]


def bootstrap(outcomes: Outcomes, objective: Objective, values: Values, *, seed: int) -> dict[str, Interval]:
    """BCa bootstrap intervals over the graded rows: 1000 resamples of rows, drawn from `seed`.

    `values` are the metrics themselves and, as `judged.*` or dotted names, what is taken as given. A metric
    has no interval where it is undefined, where it is so in more than a fifth of the resamples, or where
    there are fewer than two rows. Accuracy or IFR of rows that are all alike has Wilson's interval, since
    resampling them would overstate certainty.

    ECE measured on few rows lies above that of the population, the more so the better calibrated it is; its
    interval is of the measured value and need not hold the population's.
    """
    rows = len(outcomes.ids)
    if rows < 2:
        return {}
    table = outcomes.table()
    meter = Meter(table, classes=len(outcomes.labels), binning=objective.binning)
    draws = with_objective(gathered(meter, counts(rows, seed=seed)), objective, values)
    left_out = with_objective(gathered(meter, leave_outs(rows, seed=seed)), objective, values)
    points = {**shown(values), "objective": objective.value(values)}
    found: dict[str, Interval] = {}
    for name, drawn in draws.items():
        point = points.get(name)
        interval = None if point is None else bca(point, drawn, left_out[name])
        if interval is not None:
            found[name] = interval
    return found | _alike(table)


def with_objective(measured: dict[str, Vector], objective: Objective, given: Values) -> dict[str, Vector]:
    """The measured vectors and, under `objective`, what they and the `given` values come to."""
    size = len(next(iter(measured.values())))
    fixed = {
        name: np.full(size, value)
        for name, value in given.items()
        if value is not None and name not in measured
    }
    return measured | {"objective": objective.vector(measured | fixed)}


def _alike(table: Table) -> dict[str, Interval]:
    found: dict[str, Interval] = {}
    for name, column in (("accuracy", table["credit"]), ("ifr", table["followed"])):
        successes = float(column.sum())
        if column.min() == column.max() and successes in (0.0, float(len(table))):
            found[name] = wilson(int(successes), len(table))
    return found


Counts = NDArray[np.int32]


def gains(
    best: Outcomes,
    baseline: Outcomes,
    objective: Objective,
    *,
    seed: int,
    judged: tuple[Mapping[str, float | None], Mapping[str, float | None]] | None = None,
) -> dict[str, Gain]:
    """The gain in every metric defined for both, and in the objective, on the rows both have graded.

    Intervals are BCa over 1000 paired resamples of examples. p is McNemar's exact test for accuracy where
    credit is 0 or 1, else a paired permutation test of 2000 random exchanges of the two prompts' rows;
    uncorrected, see `corrected`. `judged` holds both prompts' ratings as in `evaluate`; they enter the
    objective as given, and an objective that weighs them has no p, since ratings cannot be exchanged row by
    row.
    """
    common = set(best.ids) & set(baseline.ids)
    if not common:
        return {}
    comparison = _Comparison(best.select(common), baseline.select(common), objective, judged)
    draws = comparison.resampled(counts, seed)
    left_out = comparison.resampled(leave_outs, seed)
    permuted = comparison.swapped(partial(swaps, len(common), seed=seed))
    observed = comparison.observed()
    found: dict[str, Gain] = {}
    for name, difference in comparison.points().items():
        interval = bca(difference, draws[name], left_out[name]) if len(common) > 1 else None
        low, high = interval or (None, None)
        p = comparison.exact(name, permutation(observed.get(name, difference), permuted[name]))
        found[name] = Gain(difference, low, high, p, metric(name).better)
    return found


def corrected(comparisons: Sequence[Mapping[str, Gain]]) -> list[dict[str, Gain]]:
    """The same gains, each metric's p corrected (Holm) over all comparisons in which it has one."""
    found = [dict(comparison) for comparison in comparisons]
    for name in {name for comparison in comparisons for name in comparison}:
        tested = [one for one in found if name in one and one[name].p is not None]
        adjusted = holm([p for one in tested if (p := one[name].p) is not None])
        for one, p in zip(tested, adjusted, strict=True):
            one[name] = msgspec.structs.replace(one[name], p_adjusted=p)
    return found


class _Comparison:
    """Two prompts' outcomes on the same examples."""

    def __init__(
        self,
        best: Outcomes,
        baseline: Outcomes,
        objective: Objective,
        judged: tuple[Mapping[str, float | None], Mapping[str, float | None]] | None,
    ) -> None:
        labels, self._tables = aligned(best, baseline)
        self._outcomes = (best, baseline)
        self._objective = objective
        self._judged = tuple(named(ratings) for ratings in judged or ({}, {}))
        self._meters = [
            Meter(table, classes=len(labels), binning=objective.binning) for table in self._tables
        ]
        pooled: Table = np.concatenate(self._tables)
        self._pooled = Meter(pooled, classes=len(labels), binning=objective.binning)

    def points(self) -> dict[str, float]:
        """The differences of what is defined for both."""
        one, other = (
            self._with_objective(points(outcomes, binning=self._objective.binning), given)
            for outcomes, given in zip(self._outcomes, self._judged, strict=True)
        )
        return {
            name: value - base
            for name, value in shown(one).items()
            if value is not None and (base := other[name]) is not None
        }

    def resampled(self, draw: Draw, seed: int) -> dict[str, Vector]:
        """The differences where examples count as often as drawn, the same for both prompts."""
        one, other = (
            with_objective(gathered(meter, draw(len(table), seed=seed)), self._objective, given)
            for meter, table, given in zip(self._meters, self._tables, self._judged, strict=True)
        )
        return {name: one[name] - other[name] for name in shown(one)}

    def observed(self) -> dict[str, float]:
        """The values that permutations are compared with where these are not the differences: bins of equal
        mass are
        those of both prompts' rows together."""
        if self._objective.binning != "mass":
            return {}
        none = np.zeros((1, len(self._tables[0])), dtype=np.int32)
        return {name: float(values[0]) for name, values in self.swapped(lambda: [none]).items()}

    def swapped(self, exchanged: Callable[[], Iterable[Counts]]) -> dict[str, Vector]:
        """The differences where the prompts exchange the rows that are marked."""

        def best(marks: Counts) -> dict[str, Vector]:
            return self._pooled(np.hstack([1 - marks, marks]))

        def baseline(marks: Counts) -> dict[str, Vector]:
            return self._pooled(np.hstack([marks, 1 - marks]))

        one, other = (
            with_objective(gathered(side, exchanged()), self._objective, {}) for side in (best, baseline)
        )
        return {name: one[name] - other[name] for name in shown(one)}

    def exact(self, name: str, p: float | None) -> float | None:
        """McNemar's p in place of the permutation's where it applies; None where neither does."""
        if name == "objective" and any(given.keys() & self._objective.weights for given in self._judged):
            return None
        one, other = (table["credit"] for table in self._tables)
        if name != "accuracy" or not np.isin(np.concatenate([one, other]), (0, 1)).all():
            return p
        return mcnemar(one == 1, other == 1)

    def _with_objective(self, values: Values, given: Values) -> Values:
        return {**values, "objective": self._objective.value({**values, **given})}
