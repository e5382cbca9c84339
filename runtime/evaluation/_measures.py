"""Metrics of rows as functions of row weights, for many weightings at once."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ._columns import UNREAD, Table
from .metrics import SAFE, Binning, Values
from .outcomes import FLAWED, Outcomes

BINS = 10

Counts = NDArray[np.int32]
"""Row weights: one line for each re-weighting of the rows."""

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]
Number = TypeVar("Number", np.int32, np.float64)

PLAIN = ("accuracy", "ifr", "output_tokens", "seconds")
"""Means of one column."""

GUARDED = ("ece", "brier", "auroc", "auprc_p", "auprc_n", "aurc")
"""The metrics that a reply without an answer would improve: it counts as wrong with confidence 0."""

LIFTS = ("auprc_p_lift", "auprc_n_lift")
"""Ranking metrics less their floor."""


def points(outcomes: Outcomes, *, binning: Binning = "width") -> Values:
    """Every metric on the graded rows, in well under a millisecond for 100 rows.

    accuracy is the mean credit, which for a closed answer space is the share answered correctly. Undefined,
    and so None: everything where there are no rows; confidence metrics where any row has no confidence, where
    no reply holds an answer, and where more than 2 % came without the log-probabilities that were asked for;
    AUROC where every answer is right or every answer is wrong; AUPRC-P where none is right and AUPRC-N where
    none is wrong; balanced accuracy and macro-F1 where the answer space is open. With replies that could not
    be read there are `SAFE` values too (`Meter`).
    """
    meter = Meter(outcomes.table(), classes=len(outcomes.labels), binning=binning)
    ones = np.ones((1, len(outcomes.ids)), dtype=np.int32)
    return {name: None if np.isnan(value[0]) else float(value[0]) for name, value in meter(ones).items()}


def edges(confidence: NDArray[np.float64], binning: Binning = "width") -> NDArray[np.float64]:
    """The ascending lower ends of the bins; the first is 0.

    Equal mass cuts at the deciles, so equal confidences never part; many of them make fewer than ten bins.
    """
    if binning == "width":
        return np.arange(BINS) / BINS
    cuts = np.quantile(confidence, np.arange(1, BINS) / BINS, method="higher") if len(confidence) else []
    return np.unique(np.concatenate([[0.0], cuts]))


def bin_of(confidence: NDArray[np.float64], lower: NDArray[np.float64]) -> NDArray[np.intp]:
    """The bin of each confidence in [0, 1]: [lower, next lower), the last one closed at 1."""
    return np.searchsorted(lower, confidence, side="right") - 1


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


class Ranking:
    """AUROC, average precision from both ends, their lift over chance, and the area under risk-coverage.

    Rows of equal confidence form one group: they enter together, as in scikit-learn's curves. With `unread`
    the most confident group are replies that could not be read: they are excluded from the errors found.
    Memory: about ten matrices of the size of the weights.
    """

    def __init__(self, correct: NDArray[np.bool_], confidence: Vector, *, unread: bool = False) -> None:
        self._first = int(unread)
        self._order = np.argsort(-confidence, kind="stable")
        falling = confidence[self._order]
        self._wrong = (~correct[self._order]).astype(np.int32)
        self._ends = np.flatnonzero(np.r_[falling[1:] != falling[:-1], True])

    def __call__(self, weights: Counts) -> dict[str, Vector]:
        """NaN where a metric is undefined; wrap in `np.errstate` for divisions by zero."""
        rows = weights.take(self._order, axis=1)
        upto, wrong_upto = self._reached(rows), self._reached(rows * self._wrong)
        every, wrong = _steps(upto), _steps(wrong_upto)
        right = every - wrong
        count, wrongs = upto[:, -1], wrong_upto[:, -1]
        rights = count - wrongs
        below = wrongs[:, None] - wrong_upto + wrong  # wrong rows from this group down
        from_here = count[:, None] - upto + every
        precision_p = _dot(right, (upto - wrong_upto) / np.maximum(upto, 1)) / rights
        found = below / np.maximum(from_here, 1)
        precision_n = _dot(wrong[:, self._first :], found[:, self._first :]) / wrongs
        return {
            "auroc": _dot(right, 2 * below - wrong) / (2.0 * rights * wrongs),
            "auprc_p": precision_p,
            "auprc_n": precision_n,
            "auprc_p_lift": precision_p - rights / count,
            "auprc_n_lift": precision_n - wrongs / count,
            "aurc": _risk(every, wrong, upto, wrong_upto) / count,
        }

    def _reached(self, rows: Counts) -> Counts:
        """Sums from the most confident row to the end of each group.

        They run in 32-bit integers: several times faster than in floating point, and exact.
        """
        sums = np.cumsum(rows, axis=1, dtype=np.int32)
        return sums if len(self._ends) == len(self._order) else sums.take(self._ends, axis=1)


def _steps(sums: NDArray[Number]) -> NDArray[Number]:
    steps = sums.copy()
    steps[:, 1:] -= sums[:, :-1]
    return steps


def _risk(every: Counts, wrong: Counts, upto: Counts, wrong_upto: Counts) -> Vector:
    """The sum over k = 1 … n of the error rate of the k most confident rows, expected over orders of ties.

    Within a group of share of errors r, after a rows with e errors, the k-th rate is (e + (k - a) r) / k; the
    sum over the group is (e - a r)(H_b - H_a) + (b - a) r with harmonic numbers H.
    """
    share = wrong / np.maximum(every, 1)
    terms = np.arange(int(upto[:, -1].max(initial=0)) + 1, dtype=np.float64)
    terms[1:] = 1 / terms[1:]
    reached = np.cumsum(terms).take(upto)
    return _dot((wrong_upto - wrong) - (upto - every) * share, _steps(reached)) + wrong_upto[:, -1]


def _dot(a: Counts | Matrix, b: Counts | Matrix) -> Vector:
    return np.einsum("ij,ij->i", a, b, dtype=np.float64)


def unreadable(table: Table) -> NDArray[np.bool_]:
    """The rows graded as replies that could not be read."""
    return ~table["followed"] & ~table["correct"] & (table["confidence"] == 0)


def unanswered(table: Table) -> bool:
    """True where no reply holds an answer, so that no confidence was measured."""
    return bool((unreadable(table) & (table["answer"] == UNREAD)).all())


def unmeasured(table: Table) -> bool:
    """True where metrics of confidence are undefined although every row has one: no reply holds an answer, or
    too many came without log-probabilities."""
    return bool(table["bare"].sum() > FLAWED * len(table)) or unanswered(table)


class Meter:
    """Prepared once for some rows; called with integer row weights, one line per re-weighting.

    A line of ones gives the metrics themselves, lines of counts those of bootstrap resamples, lines of zeros
    and ones those of subsets. `classes` is the number of labels, 0 where the answer space is open. The bins
    of ECE are those of the unweighted rows.

    Where replies could not be read, the metrics of `GUARDED` also come under `SAFE` names, each such reply
    counted as wrong with confidence 1 (in a bin of its own for ECE). By these, making a wrong answer
    unreadable never pays; the objective weighs them. Where they are `unmeasured` the plain ones are
    undefined.
    """

    def __init__(self, table: Table, *, classes: int, binning: Binning = "width") -> None:
        confidence = table["confidence"]
        rated = len(table) > 0 and not np.isnan(confidence).any()
        unread = unreadable(table)
        self._unmeasured = unmeasured(table)
        self._plain = _Measures(table, classes=classes, rated=rated, binning=binning)
        self._safe = (
            _Measures(table, classes=0, rated=True, binning=binning, unread=unread)
            if rated and (self._unmeasured or unread.any())
            else None
        )

    def __call__(self, weights: Counts) -> dict[str, Vector]:
        """Each metric for each line of `weights` (lines x rows), NaN where it is undefined."""
        values = self._plain(weights)
        if self._unmeasured:
            values |= dict.fromkeys((*GUARDED, *LIFTS), np.full(len(weights), np.nan))
        if self._safe is not None:
            safe = self._safe(weights)
            values |= {SAFE + name: safe[name] for name in GUARDED}
        return values


class _Measures:
    """The metrics of rows; those marked `unread` count as wrong with confidence 1."""

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
