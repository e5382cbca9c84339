"""The metrics by name: what they are, which way is better, and their values on some rows."""

from collections.abc import Mapping
from typing import Literal, TypeVar

import msgspec
import numpy as np

from ._measures import SAFE, Binning, Meter
from .outcomes import Outcomes


class Metric(msgspec.Struct, frozen=True):
    """A metric's name, its better direction, and whether it lies in [0, 1] and so may be weighed."""

    name: str
    better: Literal["higher", "lower"] = "higher"
    unit: bool = True


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy"),
        Metric("ifr"),
        Metric("ece", better="lower"),
        Metric("auroc"),
        Metric("auprc_p"),
        Metric("auprc_n"),
        Metric("balanced_accuracy"),
        Metric("macro_f1"),
        Metric("brier", better="lower"),
        Metric("aurc", better="lower"),
        Metric("auprc_p_lift", unit=False),
        Metric("auprc_n_lift", unit=False),
        Metric("output_tokens", better="lower", unit=False),
        Metric("seconds", better="lower", unit=False),
    )
}
"""Every metric measured row by row, in the order of the scorecard. The lifts are differences in [-1, 1]."""

V = TypeVar("V")

Values = dict[str, float | None]
"""Values by metric; None where a metric is undefined."""


def shown(values: Mapping[str, V]) -> dict[str, V]:
    """The metrics people see, without the `SAFE` ones that only the objective weighs."""
    return {name: value for name, value in values.items() if not name.startswith(SAFE)}


def points(outcomes: Outcomes, *, binning: Binning = "width") -> Values:
    """Every metric on the graded rows. Meant for searching: well under a millisecond for 100 rows.

    accuracy is the mean credit, which for a closed answer space is the share answered correctly. Undefined,
    and so None: everything where there are no rows; confidence metrics where any row has no confidence; AUROC
    where every answer is right or every answer is wrong; AUPRC-P where none is right and AUPRC-N where none
    is wrong; balanced accuracy and macro-F1 where the answer space is open. With replies that could not be
    read there are `SAFE` values too (`Meter`).
    """
    meter = Meter(outcomes.table(), classes=len(outcomes.labels), binning=binning)
    ones = np.ones((1, len(outcomes.ids)), dtype=np.int32)
    return {name: _number(value[0]) for name, value in meter(ones).items()}


def reported(outcomes: Outcomes, *, binning: Binning = "width") -> Values:
    """`points`, with AUROC, AUPRC-P and AUPRC-N computed by scikit-learn, for the numbers people read."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    values = points(outcomes, binning=binning)
    table = outcomes.table()
    correct, confidence = table["correct"], table["confidence"]
    if values["auroc"] is not None:
        values["auroc"] = float(roc_auc_score(correct, confidence))
    if values["auprc_p"] is not None:
        values["auprc_p"] = float(average_precision_score(correct, confidence))
    if values["auprc_n"] is not None:
        # Average precision depends on the order alone, and -c keeps apart what 1 - c would round together.
        values["auprc_n"] = float(average_precision_score(~correct, -confidence))
    return values


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
