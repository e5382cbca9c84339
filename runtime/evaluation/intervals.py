"""95 % intervals of every metric of one prompt."""

import numpy as np
from numpy.typing import NDArray

from .bca import bca, wilson
from .meter import Meter
from .metrics import Values, shown
from .objective import Objective
from .outcomes import Outcomes, Table
from .sampling import counts, gathered, leave_outs
from .scorecard import Interval

Vector = NDArray[np.float64]


def bootstrap(outcomes: Outcomes, objective: Objective, values: Values, *, seed: int) -> dict[str, Interval]:
    """BCa bootstrap intervals over the graded rows: 1000 resamples of rows, drawn from `seed`.

    `values` are the metrics themselves and, as `judged.*` or dotted names, what is taken as given. A metric
    has no interval where it is undefined, where it is so in more than a fifth of the resamples, or where
    there are fewer than two rows. Accuracy or IFR of rows that are all alike has Wilson's interval, since
    resampling them would feign certainty.

    ECE measured on few rows lies above that of the population, the more so the better calibrated it is; its
    interval tells how the measured value varies and need not hold the population's.
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
