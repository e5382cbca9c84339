"""Every metric of some rows, as a function of how often each row counts."""

import numpy as np
from numpy.typing import NDArray

from .binning import Binning
from .outcomes import Table
from .ranking import Ranking
from .sums import Sums

SAFE = "safe."
"""What the name of a metric begins with where an unreadable reply counts as sure and wrong."""

GUARDED = ("ece", "brier", "auroc", "auprc_p", "auprc_n", "aurc")
"""The metrics that a reply without an answer would flatter: it counts as wrong with confidence 0."""

Counts = NDArray[np.int32]
Vector = NDArray[np.float64]


class Meter:
    """Prepared once for some rows; called with integer row weights, one line per re-weighting.

    A line of ones gives the metrics themselves, lines of counts those of bootstrap resamples, lines of zeros
    and ones those of subsets. `classes` is the number of labels, 0 where the answer space is open. The bins
    of ECE are those of the rows as they are, whatever their weights.

    Where replies could not be read, the metrics of `GUARDED` also come under `SAFE` names, each such reply
    taken as sure and wrong (in a bin of its own for ECE). By these, making a wrong answer unreadable never
    pays; the objective weighs them.
    """

    def __init__(self, table: Table, *, classes: int, binning: Binning = "width") -> None:
        confidence = table["confidence"]
        rated = len(table) > 0 and not np.isnan(confidence).any()
        unread = ~table["followed"] & ~table["correct"] & (confidence == 0)
        self._plain = _Measures(table, classes=classes, rated=rated, binning=binning)
        self._safe = (
            _Measures(table, classes=0, rated=True, binning=binning, unread=unread)
            if rated and unread.any()
            else None
        )

    def __call__(self, weights: Counts) -> dict[str, Vector]:
        """Each metric for each line of `weights` (lines x rows), NaN where it is undefined."""
        values = self._plain(weights)
        if self._safe is not None:
            safe = self._safe(weights)
            values |= {SAFE + name: safe[name] for name in GUARDED}
        return values


class _Measures:
    """The metrics of rows; those marked `unread` are taken as sure and wrong."""

    def __init__(
        self,
        table: Table,
        *,
        classes: int,
        rated: bool,
        binning: Binning,
        unread: NDArray[np.bool_] | None = None,
    ) -> None:
        confidence = table["confidence"]
        self._sums = Sums(table, classes=classes, rated=rated, binning=binning, unread=unread)
        if unread is not None:
            # Above every confidence: for a ranking only the order counts.
            confidence = np.where(unread, 2.0, confidence)
        ranking = Ranking(table["correct"], confidence, unread=unread is not None) if rated else None
        self._ranking = ranking

    def __call__(self, weights: Counts) -> dict[str, Vector]:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = self._sums(weights)
            undefined = np.full(len(weights), np.nan)
            ranked = self._ranking(weights) if self._ranking is not None else {}
        for name in ("auroc", "auprc_p", "auprc_n", "aurc", "auprc_p_lift", "auprc_n_lift"):
            values[name] = ranked.get(name, undefined)
        return values
