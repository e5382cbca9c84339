"""Scorecards of outcomes, with the reason for every number."""

from collections.abc import Mapping

import numpy as np

from ._columns import Table
from ._measures import BINS, points, unanswered, unmeasured
from .metrics import Binning, Values, shown
from .objective import Objective, named
from .outcomes import Outcomes
from .ratings import Reliability
from .scorecard import UNANSWERED, Scorecard
from .statistics import bootstrap

__all__ = ["evaluate", "points", "reasons"]

RANKED = ("auroc", "auprc_p", "auprc_n", "auprc_p_lift", "auprc_n_lift")
CALIBRATED = ("ece", "brier", "aurc")
BY_CLASS = ("balanced_accuracy", "macro_f1")


def reasons(outcomes: Outcomes, values: Values, binning: Binning = "width") -> dict[str, str]:
    """By metric: from what it was computed, or why it is undefined. Empty where there are no graded rows."""
    rows = len(outcomes.ids)
    if not rows:
        return {}
    table = outcomes.table()
    right, followed = int(table["correct"].sum()), int(table["followed"].sum())
    credit = float(table["credit"].sum())
    said = {
        "accuracy": f"{right} of {rows} right"
        if right == credit
        else f"credit {credit:.4g} over {rows} rows",
        "ifr": f"{followed} of {rows} in the strict format",
    }
    classes = f"{len(outcomes.labels)} labels" if outcomes.closed else "undefined: the answer space is open"
    said |= dict.fromkeys(BY_CLASS, classes)
    said |= dict.fromkeys(CALIBRATED, f"{rows} confidences")
    said["ece"] = f"{BINS} bins of equal {binning} over {rows} rows"
    said |= dict.fromkeys(RANKED, f"{right} right against {rows - right} wrong")
    missing = _missing(table, right)
    return said | {name: missing for name in (*RANKED, *CALIBRATED) if values[name] is None}


def _missing(table: Table, right: int) -> str:
    if np.isnan(table["confidence"]).any():
        return "undefined: not every row has a confidence"
    if unanswered(table):
        return UNANSWERED
    if unmeasured(table):
        return f"undefined: {table['bare'].sum()} of {len(table)} replies came without log-probabilities"
    return f"undefined: every answer is {'right' if right else 'wrong'}"


def evaluate(
    outcomes: Outcomes,
    objective: Objective,
    *,
    seed: int,
    intervals: bool,
    judged: Mapping[str, float | None] | None = None,
    reliability: Reliability | None = None,
) -> Scorecard:
    """The scorecard of one prompt's outcomes; equal outcomes give equal scorecards.

    `intervals` adds 95 % intervals (`statistics.bootstrap`, drawn from `seed`); without, it is fast enough to
    be called for every candidate. `judged` holds mean
    ratings from 1 to 5 by quality, and the values in [0, 1] of metrics of one's own by dotted name; they
    come from other rows than the metrics, so intervals take them as given. `reliability` of the ratings is
    shown beside them.
    """
    rated = dict(judged or {})
    values = points(outcomes, binning=objective.binning)
    weighed: Values = {**values, **named(rated)}
    value = objective.value(weighed)
    return Scorecard(
        n=len(outcomes.ids),
        failed=len(outcomes.failed),
        **shown(values),
        judged=rated,
        reliability=reliability,
        objective=value,
        explained=_joined(reasons(outcomes, values, objective.binning), objective.explained(weighed)),
        unmet=objective.unmet({**weighed, "objective": value}),
        intervals=bootstrap(outcomes, objective, weighed, seed=seed) if intervals else {},
    )


def _joined(how: dict[str, str], entered: dict[str, str]) -> dict[str, str]:
    """Both texts by metric: how it came about, then how it entered the objective."""
    said = {name: [how[name]] for name in how} | {name: [] for name in entered if name not in how}
    for name, text in entered.items():
        said[name].append(text)
    return {name: "; ".join(texts) for name, texts in said.items()}
