"""The race of one search: which prompt answers which rows next, and which prompt is best by now.

Answers are modelled as in item response theory (Rasch 1960): a prompt has an ability and a row a difficulty,
both on the logit scale, and a prompt's expected score on a row is sigmoid(ability - difficulty). Both are
normal with variances estimated from the answers, so that few answers are shrunk towards the mean of all
prompts, and prompts compare fairly although they answered different rows.

The next rows go to the prompt for which they are expected to raise the ability of the best prompt most, per
row answered (knowledge gradient; Frazier, Powell and Dayanik 2008). A prompt that nobody has tried is an
option like any other, so exploring, promoting and separating leaders are one decision. Of its rows a
prompt answers those first that say most about it.

Pure: no I/O, no clock, no randomness; equal calls give equal decisions.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .siblings import Evidence

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

BLOCK = 4
"""Rows of one decision: few enough to stop early, enough to fill the endpoints' slots."""

LOOK_AHEAD = (4, 8, 16, 32, 64, 128)
"""Rows for which the worth of a prompt is computed; the best of them counts."""

DIFFICULTY_VARIANCE, ABILITY_VARIANCE = 4.0, 1.0
"""Prior variances in squared logits, each weighing as much as `PRIOR_WEIGHT` rows or prompts."""

PRIOR_WEIGHT = 4.0

PAIRED_ROWS, CLEAR = 8, 2.0

OUT = 1000.0
"""Logits below every prompt that may still win."""

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
        self._lean: Vector = np.zeros(0)
        self._offered: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self._plain: dict[int, int] = {}
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

    def add(self, *, lean: float = 0.0, offered: bool = False, variant_of: int | None = None) -> int:
        """A new prompt; its number. `lean` is by how many standard deviations other races expect it above the
        mean of all. One that is `offered` is asked first when it is worth no less than one yet to be written.
        A variant has the words of another prompt and more, so it has to be better than that (see `settled`).
        """
        if variant_of is not None:
            self._plain[len(self)] = self._plain.get(variant_of, variant_of)
        for name, empty in (("scores", 0.0), ("answered", False), ("asked", False)):
            held = getattr(self, name)
            setattr(self, name, np.vstack([held, np.full((1, self.rows), empty, dtype=held.dtype)]))
        self.handicap = np.append(self.handicap, 0.0)
        self._lean = np.append(self._lean, lean)
        self._offered = np.append(self._offered, offered)
        self._ability = np.append(self._ability, self._level + lean * math.sqrt(self._spread))
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
        """Prompts of the race's own that were asked nothing yet."""
        return np.flatnonzero(~self.asked.any(axis=1) & ~self._offered).tolist()

    def plain(self, prompt: int) -> int | None:
        """The prompt of which this one is a variant, None where it is none."""
        return self._plain.get(prompt)

    def settled(self) -> list[int]:
        """Variants that are no better than what they vary, on at least `PAIRED_ROWS` rows that both have
        answered: asked no more, for they cost more tokens in every call."""
        return [one for one, plain in self._plain.items() if self._no_better(one, plain)]

    def _no_better(self, prompt: int, other: int) -> bool:
        lead = self._lead(prompt, other)
        return len(lead) >= PAIRED_ROWS and float(lead.sum()) <= 0

    def _lead(self, prompt: int, other: int) -> Vector:
        """By how much one prompt's score exceeds another's, on each row that both have answered."""
        both = self.answered[prompt] & self.answered[other]
        return self.scores[prompt, both] - self.scores[other, both]

    def next(
        self, left: int, *, block: int = BLOCK, without: frozenset[int] = frozenset(), last: bool = False
    ) -> tuple[int, list[int]] | None:
        """The prompt to ask next and the rows, at most `block`, while `left` rows can be paid for.

        None when nothing is left to ask. Prompts in `without` are not asked. With `last` no other prompt is
        to be written, so all that are offered may be asked.
        """
        if left <= 0 or not len(self):
            return None
        self._refit()
        out = sorted(without.union(self.settled()))
        worth = self._worth(left, out)
        worth[out] = -1.0
        if not last:
            waiting = self._offered & ~self.asked.any(axis=1)
            worth[:-1][waiting & (worth[:-1] < worth[-1])] = -1.0
        prompt = int(np.argmax(worth[:-1]))
        if worth[prompt] < 0:
            return None
        free = np.flatnonzero(~self.asked[prompt])
        order = np.argsort(-self._information[prompt, free], kind="stable")
        plain = self._plain.get(prompt)
        if plain is not None:
            order = order[np.argsort(~self.answered[plain, free[order]], kind="stable")]
        return prompt, free[order[: min(left, block)]].tolist()

    def expected(self, *, fit: bool = True) -> Vector:
        """Expected mean score in [0, 1] of each prompt on all rows; without `fit` as of the latest fit."""
        self._refit(now=fit)
        spread = 1 / np.sqrt(1 + np.pi * self._doubt / 8)
        return _sigmoid((self._ability[:, None] - self._difficulty) * spread).mean(axis=1)

    def ranking(self, *, fit: bool = True) -> list[int]:
        """Prompts with at least one answer that are not settled, best first, handicaps taken off; ties by
        number. Without `fit` as of the latest fit."""
        self._refit(now=fit)
        known = np.setdiff1d(np.flatnonzero(self.answered.any(axis=1)), self.settled())
        values = self._ability[known] - self.handicap[known]
        return known[np.lexsort((known, -values))].tolist()

    def clearly_better(self, prompt: int, other: int) -> bool:
        """True when one prompt leads another on the rows both have answered: at least `PAIRED_ROWS`, and by
        `CLEAR` standard errors of the mean difference."""
        lead = self._lead(prompt, other)
        if len(lead) < PAIRED_ROWS:
            return False
        error = float(lead.std(ddof=1)) / math.sqrt(len(lead))
        return float(lead.mean()) > CLEAR * error

    def evidence(self) -> dict[int, Evidence]:
        """Evidence from the answers alone about every prompt that has any, without the prior."""
        weight, gap = self._residuals()
        precision = np.maximum(weight.sum(axis=1), 1e-9)
        target = self._ability + np.clip(gap.sum(axis=1) / np.maximum(precision, 0.05), -3, 3)
        deviation = math.sqrt(self._spread)
        estimate = np.clip((target - self._level) / deviation, -4, 4)
        return {
            int(prompt): Evidence(float(estimate[prompt]), float(1 / (precision[prompt] * self._spread)))
            for prompt in np.flatnonzero(self.answered.any(axis=1))
        }

    def expect(self, prompt: int, lean: float) -> None:
        """Other races expect this much of a prompt, in standard deviations above the mean."""
        if self._lean[prompt] != lean:
            self._lean[prompt] = lean
            self._stale = True

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
        for _ in range(steps):
            weight, gap = self._residuals()
            self._doubt = 1 / (weight.sum(axis=0) + 1 / self._items)
            step = (-gap.sum(axis=0) - self._difficulty / self._items) * self._doubt
            self._difficulty = self._difficulty + np.clip(step, -1, 1)

            weight, gap = self._residuals()
            precision = np.maximum(weight.sum(axis=1), 1e-9)
            target = self._ability + np.clip(gap.sum(axis=1) / np.maximum(precision, 0.05), -3, 3)
            prior, lean = self._spread, math.sqrt(self._spread) * self._lean
            share = np.where(known, 1 / (prior + 1 / precision), 0.0)
            self._level = float(share @ (target - lean)) / (float(share.sum()) + 0.25)
            centre = self._level + lean
            self._variance = np.where(known, 1 / (precision + 1 / prior), prior)
            pulled = (precision * target + centre / prior) * self._variance
            moved = self._ability + np.clip(pulled - self._ability, -2, 2)
            self._ability = np.where(known, moved, centre)
            away = (self._ability - self._level)[known]
            self._spread = _variance(away, self._variance[known], ABILITY_VARIANCE)
            self._items = _variance(self._difficulty[tried], self._doubt[tried], DIFFICULTY_VARIANCE)
        self._information = self._inform(self._ability[:, None])

    def _residuals(self) -> tuple[Matrix, Matrix]:
        """Information and residual of every answer."""
        chance = _sigmoid(self._ability[:, None] - self._difficulty)
        return chance * (1 - chance) * self.answered, (self.scores - chance) * self.answered

    def _inform(self, ability: Matrix | float) -> Matrix:
        """Expected information of each row about a prompt of this ability, less for rows of unknown
        difficulty."""
        scale = 1 / np.sqrt(1 + np.pi * self._doubt / 8)
        chance = _sigmoid((ability - self._difficulty) * scale)
        return scale * chance * (1 - chance)

    def _worth(self, left: int, out: Sequence[int]) -> Vector:
        """Expected rise of the best ability per row, for each prompt and, last, for one yet to be written; -1
        where there are no rows left. Prompts that are `out` are no rivals."""
        from scipy.special import ndtr

        value = np.append(self._ability - self.handicap, self._level)
        if len(out) < len(self):
            value[list(out)] = -OUT
        free = np.append((~self.asked).sum(axis=1), self.rows)
        rows = np.vstack([np.where(self.asked, 0.0, self._information), self._inform(self._level)])
        count = min(_INFORMATIVE, self.rows)
        best = -np.partition(-rows, count - 1, axis=1)[:, :count]
        each = best.sum(axis=1) / np.maximum((best > 0).sum(axis=1), 1) + 1e-6
        # Rows in flight count as answered: what they will say need not be asked again.
        in_flight = (self._information * (self.asked & ~self.answered)).sum(axis=1)
        variance = np.append(1 / (1 / self._variance + in_flight), self._spread)
        known = value[:-1]
        first = int(np.argmax(known))
        rival = np.full(len(value), known[first])
        rival[first] = np.delete(known, first).max() if len(known) > 1 else known[first] - 1
        worth = np.full(len(value), -1.0)
        for ahead in LOOK_AHEAD:
            asked = np.minimum(ahead, np.minimum(free, left))
            possible = np.maximum(asked, 1)
            change = variance / np.sqrt(variance + 1 / (possible * each))
            behind = -np.abs(value - rival) / change
            gain = change * (np.exp(-behind * behind / 2) / np.sqrt(2 * np.pi) + behind * ndtr(behind))
            worth = np.where(asked > 0, np.maximum(worth, gain / possible), worth)
        return worth


def _sigmoid(odds: Matrix) -> Matrix:
    from scipy.special import expit  # takes half a second to load: a team does so in a thread

    return expit(odds)


def _variance(deviations: Vector, doubts: Vector, prior: float) -> float:
    total = PRIOR_WEIGHT * prior + float((deviations**2 + doubts).sum())
    return total / (PRIOR_WEIGHT + len(deviations))
