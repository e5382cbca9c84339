"""The metrics that are made of sums over rows: one matrix product gives them for all weightings at once."""

import numpy as np
from numpy.typing import NDArray

from .binning import Binning, bin_of, edges
from .outcomes import Table

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

PLAIN = ("accuracy", "ifr", "output_tokens", "seconds")


class Sums:
    """Means of columns, ECE, Brier score, and the metrics by class."""

    def __init__(
        self,
        table: Table,
        *,
        classes: int,
        rated: bool,
        binning: Binning,
        unread: NDArray[np.bool_] | None = None,
    ) -> None:
        rows = len(table)
        self._classes = classes
        self._rated = rated
        parts: list[Matrix] = [
            np.stack(
                [np.ones(rows), table["credit"], table["followed"], table["tokens"], table["seconds"]], 1
            )
        ]
        if rated:
            parts.append(_gaps(table, binning, unread))
        if classes:
            parts.append(_hits(table, classes))
        self._columns = np.hstack(parts)

    def __call__(self, weights: NDArray[np.int32]) -> dict[str, Vector]:
        sums = weights @ self._columns
        count = sums[:, 0]
        values = {name: sums[:, i] / count for i, name in enumerate(PLAIN, start=1)}
        undefined = np.full(len(weights), np.nan)
        start = 1 + len(PLAIN)
        end = sums.shape[1] - 3 * self._classes
        if self._rated:
            values["brier"] = sums[:, start] / count
            values["ece"] = np.abs(sums[:, start + 1 : end]).sum(axis=1) / count
        else:
            values["brier"] = values["ece"] = undefined
        if self._classes:
            gold, answered, hit = np.split(sums[:, end:], 3, axis=1)
            values["balanced_accuracy"] = _mean_ratio(hit, gold)
            values["macro_f1"] = _mean_ratio(2 * hit, gold + answered)
        else:
            values["balanced_accuracy"] = values["macro_f1"] = undefined
        return values


def _gaps(table: Table, binning: Binning, unread: NDArray[np.bool_] | None) -> Matrix:
    """Squared errors of the confidence, then its signed error in the column of its bin.

    Rows marked `unread` are in error by 1, in a last column of their own.
    """
    confidence = table["confidence"]
    gap = table["correct"] - confidence
    lower = edges(confidence, binning)
    columns = np.zeros((len(table), 2 + len(lower)))
    place = 1 + bin_of(confidence, lower)
    if unread is not None:
        gap, place = np.where(unread, -1.0, gap), np.where(unread, 1 + len(lower), place)
    columns[:, 0] = gap * gap
    columns[np.arange(len(table)), place] = gap
    return columns


def _hits(table: Table, classes: int) -> Matrix:
    """By class: gold here, answered here, both."""
    labels = np.arange(classes)
    gold = table["gold"][:, None] == labels
    answered = table["answer"][:, None] == labels
    return np.hstack([gold, answered, gold & answered]).astype(np.float64)


def _mean_ratio(part: Matrix, whole: Matrix) -> Vector:
    """The mean of part / whole over the classes that occur; NaN where none does."""
    occurs = whole > 0
    ratio = np.divide(part, whole, out=np.zeros_like(part), where=occurs)
    return ratio.sum(axis=1) / occurs.sum(axis=1)
