"""Bins of confidences, for expected calibration error and reliability diagrams."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

BINS = 10

Binning = Literal["width", "mass"]
"""Ten bins of equal width (the default everywhere), or of equal numbers of rows."""


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
