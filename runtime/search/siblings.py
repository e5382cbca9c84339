"""Sibling races: what the results of one say about the prompts of another.

A prompt's abilities in several races (the same task on other models, other tasks on the same model) share one
factor: with correlation c, estimated from the prompts that several races have measured and drawn towards 0,
so that races which share nothing lose nothing. Each race then expects of a prompt what the others found, and
a prompt that others found good and that it does not know is offered to it. (A one-factor model with equal
correlations, Spearman 1904; the estimate is the posterior mean over a grid.)
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

GRID: Vector = np.linspace(0.0, 0.9, 10)
"""Correlations that are considered."""

CAUTION = 3.0
"""Weight of the prior towards no correlation: (1 - c) to this power."""

LEAST = 0.05
"""A correlation below this offers nothing."""

GATE = 0.5
"""An offered prompt is expected at least so many times sqrt(c) standard deviations above the mean."""

OFFERS = 4
"""Prompts offered to one race at a time."""


class Evidence(msgspec.Struct, frozen=True):
    """The measurement of a prompt in one race, in standard deviations of its prompts: the estimate above the
    mean, and the variance of its error."""

    estimate: float
    error: float


def correlation(races: Sequence[Mapping[str, Evidence]]) -> float:
    """The correlation in [0, 0.9] of abilities between races, drawn towards 0."""
    shared = [
        found
        for key in sorted({key for race in races for key in race})
        if len(found := [race[key] for race in races if key in race]) > 1
    ]
    if not shared:
        return 0.0
    likelihood = CAUTION * np.log(1 - GRID)
    for found in shared:
        estimate = np.array([one.estimate for one in found])
        error = np.array([one.error for one in found])
        spread = 1 - GRID[:, None] + error
        precision = (1 / spread).sum(axis=1)
        joint = 1 + GRID * precision
        weighted = (estimate / spread).sum(axis=1)
        fit = (estimate**2 / spread).sum(axis=1) - GRID * weighted**2 / joint
        likelihood = likelihood - 0.5 * (np.log(spread).sum(axis=1) + np.log(joint) + fit)
    weights = np.exp(likelihood - likelihood.max())
    return float(weights @ GRID / weights.sum())


def expected(key: str, race: int, races: Sequence[Mapping[str, Evidence]], correlated: float) -> float:
    """Expectation from other races' results for a prompt in this one: standard deviations above its mean."""
    others = [found[key] for i, found in enumerate(races) if i != race and key in found]
    precisions = [1 / (1 - correlated + one.error) for one in others]
    joint = 1 + correlated * sum(precisions)
    pulled = sum(one.estimate * precision for one, precision in zip(others, precisions, strict=True))
    return correlated * pulled / joint


def offers(
    race: int, races: Sequence[Mapping[str, Evidence]], known: frozenset[str], correlated: float
) -> list[str]:
    """The prompts that a race does not know and should try, the most promising first."""
    if correlated < LEAST:
        return []
    keys = {key for i, found in enumerate(races) if i != race for key in found} - known
    leans = {key: expected(key, race, races, correlated) for key in keys}
    good = [key for key, lean in leans.items() if lean > GATE * correlated**0.5]
    return sorted(good, key=lambda key: (-leans[key], key))[:OFFERS]
