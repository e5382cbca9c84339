"""Sibling races: what the results of one say about the prompts of another.

A prompt's abilities in several races (the same task on other models, other tasks on the same model) share one
factor: with correlation c, estimated from the prompts that several races have measured and drawn towards 0,
so that races which share nothing lose nothing. Each race then expects of a prompt what the others found, and
a prompt that others found good and that it does not know is offered to it. (A one-factor model with equal
correlations, Spearman 1904; the estimate is the posterior mean over a grid.)
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

GRID: Vector = np.linspace(0.0, 0.9, 10)
"""Correlations that are considered."""

CAUTION = 2.5
"""Weight of the prior towards no correlation: (1 - c) to this power."""

LEAST = 0.05
"""A correlation below this offers nothing."""

GATE = 0.5
"""An offered prompt is expected at least so many standard deviations above the mean."""

OFFERS = 4
"""Prompts offered to one race at a time."""


class Evidence(msgspec.Struct, frozen=True):
    """The measurement of a prompt in one race, in standard deviations of its prompts: the estimate above the
    mean, and the variance of its error."""

    estimate: float
    error: float


_UNKNOWN = Evidence(0.0, math.inf)


def correlation(races: Sequence[Mapping[str, Evidence]]) -> float:
    """The correlation in [0, 0.9] of abilities between races, drawn towards 0."""
    shared = [key for key, count in Counter(key for race in races for key in race).items() if count > 1]
    if not shared:
        return 0.0
    found = [[race.get(key, _UNKNOWN) for race in races] for key in sorted(shared)]
    estimate = np.array([[one.estimate for one in row] for row in found])
    error = np.array([[one.error for one in row] for row in found])
    known = np.isfinite(error)
    grid = GRID[:, None]
    spread = 1 - grid[..., None] + error
    weight = 1 / spread
    joint = 1 + grid * weight.sum(axis=2)
    weighted = (estimate * weight).sum(axis=2)
    fit = (estimate**2 * weight).sum(axis=2) - grid * weighted**2 / joint
    logs = np.log(np.where(known, spread, 1.0)).sum(axis=2) + np.log(joint)
    likelihood = CAUTION * np.log(1 - GRID) - 0.5 * (logs + fit).sum(axis=1)
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
    good = [key for key, lean in leans.items() if lean > GATE]
    return sorted(good, key=lambda key: (-leans[key], key))[:OFFERS]
