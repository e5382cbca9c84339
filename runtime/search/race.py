"""The race of one search: which prompt answers which rows next, and which prompt is best by now.

Answers are modelled as in item response theory (Rasch 1960): a prompt has an ability and a row a difficulty,
both on the logit scale, and a prompt's expected score on a row is sigmoid(ability - difficulty). Both are
normal with variances estimated from the answers, so that few answers are shrunk towards the mean of all
prompts, and prompts compare fairly although they answered different rows.

The next rows go to the prompt for which they are expected to raise the ability of the best prompt most, per
row answered (knowledge gradient; Frazier, Powell and Dayanik 2008). A prompt that nobody has tried is an
option like any other, so exploring, promoting and telling leaders apart are one decision. Of its rows a
prompt answers those first that say most about it.

Pure: no I/O, no clock, no randomness; equal calls give equal decisions.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Places = NDArray[np.intp]

BLOCK = 4
"""Rows of one decision: few enough to stop early, enough to fill the endpoints' slots."""

LOOK_AHEAD = (4, 8, 16, 32, 64, 128)
"""Rows for which the worth of a prompt is computed; the best of them counts."""

DIFFICULTY_VARIANCE, ABILITY_VARIANCE = 4.0, 1.0
"""Prior variances in squared logits, each weighing as much as `PRIOR_WEIGHT` rows or prompts."""

PRIOR_WEIGHT = 4.0

REFIT_SHARE = 0.01
"""The model is fitted again when so large a share of the answers is new."""

_FIRST_FITS, _FIRST_STEPS, _STEPS = 8, 6, 2
_INFORMATIVE = 16


class Race:
    """Scores in [0, 1] of prompts on rows, and what follows from them. Prompts and rows go by number."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.scores: Matrix = np.zeros((0, rows))
        self.answered: NDArray[np.bool_] = np.zeros((0, rows), dtype=bool)
        self.asked: NDArray[np.bool_] = np.zeros((0, rows), dtype=bool)
        self.handicap: Vector = np.zeros(0)
        self._shift: Vector = np.zeros(0)
        self._ability: Vector = np.zeros(0)
        self._variance: Vector = np.zeros(0)
        self._difficulty: Vector = np.zeros(rows)
        self._doubt: Vector = np.full(rows, DIFFICULTY_VARIANCE)
        self._level = 0.0
        self._spread = ABILITY_VARIANCE
        self._items = DIFFICULTY_VARIANCE
        self._information: Matrix = np.zeros((0, rows))
        self._fits = 0
        self._fitted = 0
        self._stale = True

    def __len__(self) -> int:
        return len(self._ability)

    def add(self, *, shift: float = 0.0) -> int:
        """A new prompt; its number. `shift` is by how many logits it is expected above the mean of all."""
        for name, empty in (("scores", 0.0), ("answered", False), ("asked", False)):
            held = getattr(self, name)
            setattr(self, name, np.vstack([held, np.full((1, self.rows), empty, dtype=held.dtype)]))
        self.handicap = np.append(self.handicap, 0.0)
        self._shift = np.append(self._shift, shift)
        self._ability = np.append(self._ability, self._level + shift)
        self._variance = np.append(self._variance, self._spread)
        self._stale = True
        return len(self) - 1

    def ask(self, prompt: int, places: Sequence[int]) -> None:
        """The prompt is being asked these rows."""
        self.asked[prompt, list(places)] = True

    def answer(self, prompt: int, places: Sequence[int], scores: Sequence[float]) -> None:
        """The prompt's scores on rows it was asked; NaN where a call failed, which says nothing."""
        at, values = np.asarray(places, dtype=np.intp), np.asarray(scores, dtype=np.float64)
        known = ~np.isnan(values)
        self.scores[prompt, at[known]] = values[known]
        self.answered[prompt, at[known]] = True

    def untried(self) -> list[int]:
        """Prompts that were asked nothing yet."""
        return np.flatnonzero(~self.asked.any(axis=1)).tolist()

    def next(
        self, left: int, *, block: int = BLOCK, without: frozenset[int] = frozenset()
    ) -> tuple[int, list[int]] | None:
        """The prompt to ask next and the rows, at most `block`, while `left` rows can be paid for.

        None when nothing is left to ask. Prompts in `without` are not asked.
        """
        if left <= 0 or not len(self):
            return None
        self._refit()
        worth = self._worth(left)
        if without:
            worth[list(without)] = -1.0
        prompt = int(np.argmax(worth))
        if worth[prompt] < 0:
            return None
        free = np.flatnonzero(~self.asked[prompt])
        order = np.argsort(-self._information[prompt, free], kind="stable")
        return prompt, free[order[: min(left, block)]].tolist()

    def expected(self, *, fit: bool = True) -> Vector:
        """Expected mean score in [0, 1] of each prompt on all rows; without `fit` as of the latest fit."""
        self._refit(now=fit)
        spread = 1 / np.sqrt(1 + np.pi * self._doubt / 8)
        return expit((self._ability[:, None] - self._difficulty) * spread).mean(axis=1)

    def ranking(self, *, fit: bool = True) -> list[int]:
        """Prompts with at least one answer, best first, handicaps taken off; ties by number. Without `fit` as
        of the latest fit."""
        self._refit(now=fit)
        known = np.flatnonzero(self.answered.any(axis=1))
        values = self._ability[known] - self.handicap[known]
        return known[np.lexsort((known, -values))].tolist()

    def ability(self, prompt: int) -> tuple[float, float]:
        """A prompt's ability above the mean of all in logits, and its variance."""
        return float(self._ability[prompt] - self._level), float(self._variance[prompt])

    def _refit(self, *, now: bool = False) -> None:
        total = int(self.answered.sum())
        fresh = total - self._fitted
        if self._stale or fresh >= max(1.0, REFIT_SHARE * total) or (now and fresh) or self._fits < 4:
            self._fit(_STEPS if self._fits > _FIRST_FITS else _FIRST_STEPS)
            self._fitted, self._stale = total, False
            self._fits += 1

    def _fit(self, steps: int) -> None:
        """Newton steps on difficulties, abilities and their variances (empirical Bayes), by turns."""
        answered, known = self.answered, self.answered.any(axis=1)
        tried = answered.any(axis=0)
        prior = self._shift
        for _ in range(steps):
            chance, weight, gap = self._expectation()
            self._doubt = 1 / (weight.sum(axis=0) + 1 / self._items)
            step = (-gap.sum(axis=0) - self._difficulty / self._items) * self._doubt
            self._difficulty = self._difficulty + np.clip(step, -1, 1)

            chance, weight, gap = self._expectation()
            known_weight = np.maximum(weight.sum(axis=1), 1e-9)
            target = self._ability + np.clip(gap.sum(axis=1) / np.maximum(known_weight, 0.05), -3, 3)
            share = np.where(known, 1 / (self._spread + 1 / known_weight), 0.0)
            self._level = float(share @ (target - prior)) / (float(share.sum()) + 0.25)
            centre = self._level + prior
            self._variance = np.where(known, 1 / (known_weight + 1 / self._spread), self._spread)
            pulled = (known_weight * target + centre / self._spread) * self._variance
            moved = self._ability + np.clip(pulled - self._ability, -2, 2)
            self._ability = np.where(known, moved, centre)
            self._spread = _variance((self._ability - centre)[known], self._variance[known], ABILITY_VARIANCE)
            self._items = _variance(self._difficulty[tried], self._doubt[tried], DIFFICULTY_VARIANCE)
        spread = 1 / np.sqrt(1 + np.pi * self._doubt / 8)
        chance = expit((self._ability[:, None] - self._difficulty) * spread)
        self._information = chance * (1 - chance)

    def _expectation(self) -> tuple[Matrix, Matrix, Matrix]:
        chance = expit(self._ability[:, None] - self._difficulty)
        return chance, chance * (1 - chance) * self.answered, (self.scores - chance) * self.answered

    def _worth(self, left: int) -> Vector:
        """The expected rise of the best ability per row, for each prompt; -1 where it has no rows left."""
        value = self._ability - self.handicap
        free = (~self.asked).sum(axis=1)
        open_rows = np.where(self.asked, 0.0, self._information)
        count = min(_INFORMATIVE, self.rows)
        best = -np.partition(-open_rows, count - 1, axis=1)[:, :count]
        each = best.sum(axis=1) / np.maximum((best > 0).sum(axis=1), 1) + 1e-6
        # Rows in flight count as answered: what they will say need not be asked again.
        in_flight = self.asked & ~self.answered
        variance = 1 / (1 / self._variance + (self._information * in_flight).sum(axis=1))
        order = np.argsort(-value, kind="stable")
        first = value[order[0]]
        second = value[order[1]] if len(order) > 1 else first - 1
        rival = np.full(len(value), first)
        rival[order[0]] = second
        worth = np.full(len(value), -1.0)
        for ahead in LOOK_AHEAD:
            rows = np.minimum(ahead, np.minimum(free, left))
            possible = np.maximum(rows, 1)
            change = variance / np.sqrt(variance + 1 / (possible * each))
            behind = -np.abs(value - rival) / change
            gain = change * (np.exp(-behind * behind / 2) / np.sqrt(2 * np.pi) + behind * ndtr(behind))
            worth = np.where(rows > 0, np.maximum(worth, gain / possible), worth)
        return worth


def _variance(deviations: Vector, doubts: Vector, prior: float) -> float:
    total = PRIOR_WEIGHT * prior + float((deviations**2 + doubts).sum())
    return total / (PRIOR_WEIGHT + len(deviations))
