"""The metrics that rank rows by confidence, for many weightings at once."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int32]
Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]
Number = TypeVar("Number", np.int32, np.float64)


class Ranking:
    """AUROC, average precision from both ends, their lift over chance, and the area under risk-coverage.

    Rows of equal confidence form one group: they enter together, as in scikit-learn's curves. With `unread`
    the surest group are replies that could not be read: as errors found they count nothing. Memory: about
    ten matrices of the size of the weights.
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
        """Sums from the surest row to the end of each group.

        They run in 32-bit integers: several times faster than in floating point, and exact.
        """
        sums = np.cumsum(rows, axis=1, dtype=np.int32)
        return sums if len(self._ends) == len(self._order) else sums.take(self._ends, axis=1)


def _steps(sums: NDArray[Number]) -> NDArray[Number]:
    steps = sums.copy()
    steps[:, 1:] -= sums[:, :-1]
    return steps


def _risk(every: Counts, wrong: Counts, upto: Counts, wrong_upto: Counts) -> Vector:
    """The sum over k = 1 … n of the error rate among the k surest rows, expected over the order of ties.

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
