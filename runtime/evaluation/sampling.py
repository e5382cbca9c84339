"""Row weights of resamples, drawn from a seed and handed out in pieces that fit the processor's cache."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..randomness import derived_seed

Counts = NDArray[np.int32]
Vector = NDArray[np.float64]

RESAMPLES = 1000
SWAPS = 2000
GROUPS = 100
"""At most so many groups of rows are left out in turn by the jackknife."""

CELLS = 10_000
"""Weights held at once: rows times resamples."""


class Draw(Protocol):
    """A way to weigh `rows` rows; the same seed gives the same weights."""

    def __call__(self, rows: int, *, seed: int) -> Iterator[Counts]: ...


def counts(rows: int, *, seed: int) -> Iterator[Counts]:
    """How often each row is drawn in each of `RESAMPLES` bootstrap resamples of as many rows."""
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
