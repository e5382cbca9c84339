"""The table of metrics: everything that names, labels, sorts, weighs or explains a metric reads it.

A metric is added here and in `_measures` (its value), `Scorecard` (its field) follows.
"""

from collections.abc import Mapping
from typing import Literal, TypeVar

import msgspec

from ...scenarios.plugins import is_dotted

Better = Literal["higher", "lower"]
Family = Literal["objective", "accuracy", "format", "calibration", "ranking", "cost", "judged", "own"]
Binning = Literal["width", "mass"]
"""Ten bins of equal width (the default everywhere), or of equal numbers of rows."""

Values = dict[str, float | None]
"""Values by metric; None where a metric is undefined."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric.

    `label` is its name for people and `better` its better direction. `unit` is true where it lies in [0, 1]
    and so may be weighed. `formula` is Markdown with formulas between dollar signs, where y is 1 for a right
    answer, else 0, and c the confidence in [0, 1]; `undefined` names the rows on which there is no value.
    """

    name: str
    label: str
    family: Family
    better: Better = "higher"
    unit: bool = True
    formula: str = ""
    undefined: str = ""


_NO_ANSWER = "no reply holds an answer"
_NO_CONFIDENCE = f"a row has no confidence, or {_NO_ANSWER}"
_NO_ROWS = "there are no rows"
_OPEN = "the answers are open"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="accuracy",
            label="Accuracy",
            family="accuracy",
            formula="share of rows answered right, the mean of $y$ (mean credit, for free text)",
            undefined=_NO_ROWS,
        ),
        Metric(
            name="ifr",
            label="Format followed (IFR)",
            family="format",
            formula="share of responses in the strict format",
            undefined=_NO_ROWS,
        ),
        Metric(
            name="ece",
            label="Calibration error (ECE)",
            family="calibration",
            better="lower",
            formula="mean gap between confidence and accuracy over ten bins, see below",
            undefined=_NO_CONFIDENCE,
        ),
        Metric(
            name="auroc",
            label="AUROC",
            family="ranking",
            formula="area under the ROC curve of $c$ against $y$",
            undefined="all are right or all are wrong",
        ),
        Metric(
            name="auprc_p",
            label="AUPRC-P",
            family="ranking",
            formula="average precision of $c$ for $y = 1$",
            undefined="none is right",
        ),
        Metric(
            name="auprc_n",
            label="AUPRC-N",
            family="ranking",
            formula="average precision of $1 - c$ for $y = 0$",
            undefined=f"none is wrong, or {_NO_ANSWER}",
        ),
        Metric(
            name="balanced_accuracy",
            label="Balanced accuracy",
            family="accuracy",
            formula="mean recall over labels",
            undefined=_OPEN,
        ),
        Metric(
            name="macro_f1",
            label="Macro F1",
            family="accuracy",
            formula="mean F1 over labels",
            undefined=_OPEN,
        ),
        Metric(
            name="brier",
            label="Brier score",
            family="calibration",
            better="lower",
            formula="mean of $(c - y)^2$",
            undefined=_NO_CONFIDENCE,
        ),
        Metric(
            name="aurc",
            label="AURC",
            family="ranking",
            better="lower",
            formula="area under the risk–coverage curve",
            undefined=_NO_CONFIDENCE,
        ),
        Metric(
            name="auprc_p_lift",
            label="AUPRC-P over floor",
            family="ranking",
            unit=False,
            formula="`auprc_p` − accuracy, in $[-1, 1]$",
            undefined="none is right",
        ),
        Metric(
            name="auprc_n_lift",
            label="AUPRC-N over floor",
            family="ranking",
            unit=False,
            formula="`auprc_n` − (1 − accuracy), in $[-1, 1]$",
            undefined=f"none is wrong, or {_NO_ANSWER}",
        ),
        Metric(
            name="output_tokens",
            label="Output tokens an answer",
            family="cost",
            better="lower",
            unit=False,
            formula="mean of completion tokens",
            undefined=_NO_ROWS,
        ),
        Metric(
            name="seconds",
            label="Seconds an answer",
            family="cost",
            better="lower",
            unit=False,
            formula="mean wall time of a call",
            undefined=_NO_ROWS,
        ),
    )
}
"""Every metric that is measured row by row, in the order of the scorecard."""

JUDGED = "judged."
"""Prefix of a judged quality's name: `judged.relevance`, rated from 1 to 5."""

OWN = "own."
"""Prefix of the name of a metric that an installed package offers as an entry point: `own.brevity`."""

SAFE = "safe."
"""Prefix of a metric's name where an unreadable reply counts as confident and wrong."""


def metric(name: str) -> Metric:
    """The metric of that name: of the table, the objective, a judged quality or one of the user's own."""
    if name in METRICS:
        return METRICS[name]
    if name == "objective":
        return Metric(name=name, label="Objective", family="objective", formula="weighted mean of metrics")
    if is_own(name):
        return Metric(name=name, label=name, family="own")
    label = name.removeprefix(JUDGED)
    return Metric(name=name, label=label, family="judged", unit=False, formula="mean rating from 1 to 5")


def is_own(name: str) -> bool:
    """True when a name denotes a metric of one's own: `package.module:function`, or `own.NAME`."""
    return is_dotted(name) or (name.startswith(OWN) and len(name) > len(OWN))


V = TypeVar("V")


def shown(values: Mapping[str, V]) -> dict[str, V]:
    """The metrics people see, without the `SAFE` ones that only the objective weighs."""
    return {name: value for name, value in values.items() if not name.startswith(SAFE)}
