"""Resampling: bootstrap, jackknife and permutation weights, interval ends, p-values."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..randomness import derived_seed

Counts = NDArray[np.int32]
Vector = NDArray[np.float64]

RESAMPLES = 1000
SWAPS = 2000
GROUPS = 100
"""Most groups of rows that the jackknife leaves out in turn."""

CELLS = 10_000
"""Weights held at once: rows times resamples."""


class Draw(Protocol):
    """A way to weigh `rows` rows; the same seed gives the same weights."""

    def __call__(self, rows: int, *, seed: int) -> Iterator[Counts]: ...


def counts(rows: int, *, seed: int) -> Iterator[Counts]:
    """Counts of each row in each of `RESAMPLES` bootstrap resamples of as many rows."""
    rng = np.random.default_rng(derived_seed(seed, "bootstrap"))
    for lines in _pieces(RESAMPLES, rows):
        drawn = rng.integers(0, rows, size=(lines, rows), dtype=np.int32)
        drawn += (np.arange(lines, dtype=np.int32) * rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=lines * rows).reshape(lines, rows).astype(np.int32)


def leave_outs(rows: int, *, seed: int) -> Iterator[Counts]:
    """Each row left out once: alone up to `GROUPS` rows, else in `GROUPS` random groups of about one size."""
    groups = min(rows, GROUPS)
    rng = np.random.default_rng(derived_seed(seed, "jackknife"))
    group = rng.permutation(rows) % groups
    start = 0
    for lines in _pieces(groups, rows):
        yield (group != np.arange(start, start + lines)[:, None]).astype(np.int32)
        start += lines


def swaps(rows: int, *, seed: int) -> Iterator[Counts]:
    """1 where two paired rows change places, by a fair coin, in each of `SWAPS` permutations."""
    rng = np.random.default_rng(derived_seed(seed, "swap"))
    for lines in _pieces(SWAPS, 2 * rows):
        yield rng.integers(0, 2, size=(lines, rows), dtype=np.int8).astype(np.int32)


def gathered(
    measure: Callable[[Counts], Mapping[str, Vector]], weights: Iterable[Counts]
) -> dict[str, Vector]:
    """The measured values of all pieces, one long vector by metric."""
    pieces = [measure(piece) for piece in weights]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _pieces(lines: int, rows: int) -> Iterator[int]:
    size = max(1, CELLS // rows)
    for start in range(0, lines, size):
        yield min(size, lines - start)


LEVELS = (0.025, 0.975)
NORMAL = NormalDist()
DEFINED = 0.8
"""Least share of resamples in which a metric must be defined for it to have an interval."""


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
    z = NORMAL.inv_cdf(LEVELS[1])
    share = successes / rows
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    low = float(centre - half) if successes > 0 else 0.0
    high = float(centre + half) if successes < rows else 1.0
    return low, high


def _levels(point: float, ascending: Vector, left_out: Vector) -> Vector:
    """The quantiles of the draws that are the ends of the interval."""
    size = len(ascending)
    below = 0.5 * sum(np.searchsorted(ascending, point, side=side) for side in ("left", "right")) / size
    bias = NORMAL.inv_cdf(min(max(float(below), 0.5 / size), 1 - 0.5 / size))
    shifted = bias + np.array([NORMAL.inv_cdf(level) for level in LEVELS])
    stretch = 1 - _acceleration(left_out) * shifted
    return np.array([NORMAL.cdf(end) for end in bias + shifted / np.maximum(stretch, 0.1)])


def _acceleration(left_out: Vector) -> float:
    if np.isnan(left_out).any():
        return 0.0
    pull = left_out.mean() - left_out
    spread = float((pull**2).sum()) ** 1.5
    return float((pull**3).sum()) / (6 * spread) if spread > 0 else 0.0


def _places(ascending: Vector) -> Vector:
    return np.arange(len(ascending), dtype=np.float64)


ROUNDING = 1e-12


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Exact two-sided McNemar test (1947) that two prompts are right equally often, on paired rows.

    Given that they disagree on m rows, the number won by either is binomial (m, 1/2). 1 when they never
    disagree.
    """
    from scipy.special import bdtr  # takes half a second to load, and only comparisons need it

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
