"""p-values, and their correction for many comparisons."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from .bca import DEFINED

Vector = NDArray[np.float64]

ROUNDING = 1e-12


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Exact two-sided McNemar test (1947) that two prompts are right equally often, on paired rows.

    Given that they disagree on m rows, the number won by either is binomial (m, 1/2). 1 when they never
    disagree.
    """
    won, lost = int((one & ~other).sum()), int((other & ~one).sum())
    return min(1.0, 2 * float(bdtr(min(won, lost), won + lost, 0.5)))


def permutation(difference: float, permuted: Vector) -> float | None:
    """Two-sided p of a difference among its values under random exchange of the two sides (NaN: undefined).

    The difference itself counts as one of the permutations, so p is never 0 (Phipson and Smyth 2010). None
    when the difference is defined in fewer than `DEFINED` of them.
    """
    defined = permuted[~np.isnan(permuted)]
    if len(defined) < DEFINED * len(permuted):
        return None
    extreme = int((np.abs(defined) >= abs(difference) - ROUNDING).sum())
    return (1 + extreme) / (1 + len(defined))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values (1979), in the order given; they hold the family-wise error rate."""
    adjusted = [0.0] * len(ps)
    reached = 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        reached = max(reached, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = reached
    return adjusted
