"""Scorecards: every number about one prompt on one task with one model, and how they come about."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from ..tasks.answers.space import AnswerSpace
from ..tasks.example import Example
from ._measures import BINS, Binning
from ._resampling import Interval
from .metrics import Values, points, reported, shown
from .objective import Objective, named
from .outcomes import Outcomes
from .ratings import Reliability
from .statistics import bootstrap


class Scorecard(msgspec.Struct, frozen=True, kw_only=True):
    """The multi-dimensional score of a prompt over the rows of one split.

    `n` counts graded rows, `failed` those the world failed (left out of every metric). Metrics are in [0, 1];
    one that is undefined on these rows is None. `ece` is an error (lower is better); all others are better
    higher, but `brier`, `aurc`, `output_tokens` and `seconds`. `judged` holds mean ratings from 1 to 5 by
    quality, None where too few were usable, and the values in [0, 1] of metrics of one's own by dotted name;
    `reliability` says how far the judge agrees with itself. `objective` is the weighted mean in [0, 1];
    `explained` says how each metric entered it. `unmet` says in words which required bounds these rows miss.
    `intervals` are 95 % bootstrap intervals by metric.
    """

    n: int
    failed: int = 0
    accuracy: float | None = None
    ifr: float | None = None
    ece: float | None = None
    auroc: float | None = None
    auprc_p: float | None = None
    auprc_n: float | None = None
    balanced_accuracy: float | None = None
    macro_f1: float | None = None
    brier: float | None = None
    aurc: float | None = None
    auprc_p_lift: float | None = None
    auprc_n_lift: float | None = None
    output_tokens: float | None = None
    seconds: float | None = None
    judged: dict[str, float | None] = {}
    reliability: Reliability | None = None
    objective: float | None = None
    explained: dict[str, str] = {}
    unmet: dict[str, str] = {}
    intervals: dict[str, Interval] = {}

    @property
    def failed_share(self) -> float:
        """Failed calls over all calls, in [0, 1]; 0 when there were none."""
        total = self.n + self.failed
        return self.failed / total if total else 0.0


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
    return said | {name: _missing(values, right) for name in (*RANKED, *CALIBRATED) if values[name] is None}


def _missing(values: Values, right: int) -> str:
    if values["ece"] is None:
        return "undefined: not every row has a confidence"
    return f"undefined: every answer is {'right' if right else 'wrong'}"


class Chance(msgspec.Struct, frozen=True):
    """Accuracy in [0, 1] of two answerers that know no question; None where the answer space is open.

    `majority` gives the most frequent gold answer of these very rows to every row, and so is the best any
    constant answer can do; `random` is the expected accuracy of a fair draw among each row's allowed answers.
    """

    majority: float | None
    random: float | None


def chance(answers: AnswerSpace, rows: Sequence[Example]) -> Chance:
    """The baselines of some rows of one task; both are None without rows."""
    allowed = [len(answers.allowed(row.asked())) for row in rows]
    if not rows or not all(allowed):
        return Chance(None, None)
    most = max(Counter(row.gold for row in rows).values())
    return Chance(most / len(rows), sum(1 / options for options in allowed) / len(rows))


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

    `intervals` adds 95 % intervals (`intervals.bootstrap`, drawn from `seed`) and has scikit-learn compute
    the ranking metrics; without, it is fast enough to be called for every candidate. `judged` holds mean
    ratings from 1 to 5 by quality, and the values in [0, 1] of metrics of one's own by dotted name; they
    come from other rows than the metrics, so intervals take them as given. `reliability` of the ratings is
    shown beside them.
    """
    rated = dict(judged or {})
    measured = reported if intervals else points
    values = measured(outcomes, binning=objective.binning)
    weighed: Values = {**values, **named(rated)}
    value = objective.value(weighed)
    return Scorecard(
        n=len(outcomes.ids),
        failed=len(outcomes.failed),
        **shown(values),
        judged=rated,
        reliability=reliability,
        objective=value,
        explained=_told(reasons(outcomes, values, objective.binning), objective.explained(weighed)),
        unmet=objective.unmet({**weighed, "objective": value}),
        intervals=bootstrap(outcomes, objective, weighed, seed=seed) if intervals else {},
    )


def _told(how: dict[str, str], entered: dict[str, str]) -> dict[str, str]:
    """Both texts by metric: how it came about, then how it entered the objective."""
    said = {name: [how[name]] for name in how} | {name: [] for name in entered if name not in how}
    for name, text in entered.items():
        said[name].append(text)
    return {name: "; ".join(texts) for name, texts in said.items()}
