"""Calibration of confidences, and the effect of one fitted temperature on it."""

import numpy as np
from numpy.typing import NDArray

from ._measures import bin_of, edges, unmeasured
from .metrics import Binning
from .outcomes import Outcomes
from .scorecard import Bin, Calibration

Vector = NDArray[np.float64]

COOLEST, WARMEST = 0.05, 20.0
SUREST = 1 - 1e-4
"""Higher confidences count as this one, so that no finite temperature leaves them at 1."""


def calibration(validation: Outcomes, test: Outcomes, binning: Binning = "width") -> Calibration | None:
    """ECE on test before and after temperature scaling fitted on validation; None where one is undefined."""
    temperature = fit_temperature(validation)
    if temperature is None or not _rated(test) or unmeasured(test.table()):
        return None
    table = test.table()
    correct, confidence = table["correct"], table["confidence"]
    return Calibration(
        temperature=temperature,
        fitted_on=len(validation.ids),
        ece=_ece(correct, confidence, binning),
        scaled_ece=_ece(correct, scaled(confidence, temperature), binning),
    )


def fit_temperature(outcomes: Outcomes) -> float | None:
    """The temperature that makes the outcomes likeliest, in [0.05, 20] (Guo et al. 2017, arXiv 1706.04599).

    The scaled confidence is sigmoid(logit(c) / T): above 1, T draws confidences towards 1/2. Rows of
    confidence 0, as unreadable answers have, do not enter the fit. None where a row has no confidence, or
    where the rest are all right or all wrong.
    """
    if not _rated(outcomes):
        return None
    table = outcomes.table()
    rated = table[table["confidence"] > 0]
    right = rated["correct"]
    if right.all() or not right.any():
        return None
    odds = _logit(np.minimum(rated["confidence"], SUREST))
    return _likeliest(odds, right.astype(np.float64))


def scaled(confidence: Vector, temperature: float) -> Vector:
    """Confidences in [0, 1] after scaling; 0 stays 0."""
    softened = _sigmoid(_logit(np.clip(confidence, 1 - SUREST, SUREST)) / temperature)
    return np.where(confidence > 0, softened, 0.0)


def reliability(outcomes: Outcomes, binning: Binning = "width") -> tuple[Bin, ...]:
    """The non-empty bins of ECE in ascending order; () where a row has no confidence."""
    if not _rated(outcomes):
        return ()
    table = outcomes.table()
    correct, confidence = table["correct"], table["confidence"]
    lower = edges(confidence, binning)
    upper = [*lower[1:].tolist(), 1.0]
    places = bin_of(confidence, lower)
    return tuple(
        Bin(
            low=float(lower[place]),
            high=upper[place],
            rows=int((places == place).sum()),
            confidence=float(confidence[places == place].mean()),
            accuracy=float(correct[places == place].mean()),
        )
        for place in np.unique(places).tolist()
    )


def risk_coverage(outcomes: Outcomes) -> tuple[tuple[float, float], ...]:
    """(coverage, error rate) when only rows at least as sure as each confidence are answered, ascending."""
    if not _rated(outcomes):
        return ()
    table = outcomes.table()
    order = np.argsort(-table["confidence"], kind="stable")
    confidence, wrong = table["confidence"][order], ~table["correct"][order]
    ends = np.flatnonzero(np.append(confidence[1:] != confidence[:-1], True))
    answered = ends + 1
    risks = np.cumsum(wrong)[ends] / answered
    return tuple(zip((answered / len(order)).tolist(), risks.tolist(), strict=True))


def _logit(share: Vector) -> Vector:
    return np.log(share) - np.log1p(-share)


def _sigmoid(odds: Vector) -> Vector:
    return 1 / (1 + np.exp(-odds))


def _rated(outcomes: Outcomes) -> bool:
    return bool(outcomes.ids) and not bool(np.isnan(outcomes.table()["confidence"]).any())


def _ece(correct: NDArray[np.bool_], confidence: Vector, binning: Binning) -> float:
    gaps = np.bincount(bin_of(confidence, edges(confidence, binning)), weights=correct - confidence)
    return float(np.abs(gaps).sum()) / len(confidence)


def _likeliest(odds: Vector, right: Vector) -> float:
    """By bisection of the slope of the log-likelihood, which falls steadily in 1/T."""
    low, high = np.log(1 / WARMEST), np.log(1 / COOLEST)
    for _ in range(60):
        middle = (low + high) / 2
        slope = float(((right - _sigmoid(np.exp(middle) * odds)) * odds).sum())
        low, high = (middle, high) if slope > 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))
