"""Bias-corrected and accelerated bootstrap intervals (Efron 1987, J. Am. Stat. Assoc. 82, 171-185)."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Vector = NDArray[np.float64]

LEVELS = (0.025, 0.975)
DEFINED = 0.8
"""Least share of resamples in which a metric must be defined for its interval to be told."""


def bca(point: float, draws: Vector, left_out: Vector) -> tuple[float, float] | None:
    """The 95 % interval of a statistic from its bootstrap draws and its jackknife values (NaN: undefined).

    Undefined draws are dropped: the interval holds given that the statistic is defined. None when fewer than
    `DEFINED` of them are left. The interval is widened to hold the point where it would not.
    """
    defined = np.sort(draws[~np.isnan(draws)])
    if len(defined) < max(2, DEFINED * len(draws)):
        return None
    low, high = np.interp(_levels(point, defined, left_out) * (len(defined) - 1), _places(defined), defined)
    return min(float(low), point), max(float(high), point)


def wilson(successes: int, rows: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion (1927), which has a width where the bootstrap has none."""
    z = float(ndtri(LEVELS[1]))
    share = successes / rows
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    low = float(centre - half) if successes > 0 else 0.0
    high = float(centre + half) if successes < rows else 1.0
    return low, high


def _levels(point: float, ascending: Vector, left_out: Vector) -> Vector:
    """Which quantiles of the draws are the ends of the interval."""
    size = len(ascending)
    below = 0.5 * sum(np.searchsorted(ascending, point, side=side) for side in ("left", "right")) / size
    bias = ndtri(np.clip(below, 0.5 / size, 1 - 0.5 / size))
    shifted = bias + ndtri(LEVELS)
    stretch = 1 - _acceleration(left_out) * shifted
    return ndtr(bias + shifted / np.maximum(stretch, 0.1))


def _acceleration(left_out: Vector) -> float:
    if np.isnan(left_out).any():
        return 0.0
    pull = left_out.mean() - left_out
    spread = float((pull**2).sum()) ** 1.5
    return float((pull**3).sum()) / (6 * spread) if spread > 0 else 0.0


def _places(ascending: Vector) -> Vector:
    return np.arange(len(ascending), dtype=np.float64)
