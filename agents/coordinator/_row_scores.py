"""Scores of rows for the race, and what a prompt loses by missing the required bounds."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from ...runtime.evaluation.objective import Objective, named
from ...runtime.evaluation.outcomes import Graded
from ...runtime.search.race import Race
from ...runtime.search.rows import Place, row_score
from .evaluator import Evaluation, Evaluator
from .selection import FAIR_ROWS

STEEPNESS = 20.0
"""Logits taken off a prompt for missing a required bound by 1 (by 0.1: 2 logits)."""


def row_scores(places: Sequence[Place], evaluation: Evaluation, objective: Objective) -> list[float]:
    """The score in [0, 1] at each place, over its tasks and models; NaN where every call failed."""
    found: dict[tuple[str, str], list[float]] = {}
    for (task, _), scored in evaluation.scored.items():
        rated = {one.item: one for one in scored.rated}
        for response in scored.responses:
            if isinstance(response, Graded):
                value = row_score(response, objective, rated.get(response.example))
                found.setdefault((task, response.example), []).append(value)
    scores: list[float] = []
    for place in places:
        values = [value for task, row in place.items() for value in found.get((task, row.id), ())]
        scores.append(sum(values) / len(values) if values else math.nan)
    return scores


class Handicaps:
    """Handicaps in a race of prompts that miss the required bounds."""

    def __init__(self, evaluator: Evaluator, race: Race) -> None:
        self._evaluator = evaluator
        self._race = race
        self._missed: dict[int, tuple[int, float]] = {}

    def update(self, number: int, evaluation: Evaluation) -> None:
        """Take off what each prompt misses, few rows drawn towards what all miss, and compared to that.

        What a new candidate will miss is as unknown as its ability.
        """
        if not self._evaluator.objective.require:
            return
        self._missed[number] = self._missed_by(evaluation)
        rows, missed = np.array(list(self._missed.values())).T
        usual = float(rows @ missed) / max(1.0, float(rows.sum()))
        self._race.handicap[list(self._missed)] = STEEPNESS * (missed - usual) * rows / (rows + FAIR_ROWS)

    def _missed_by(self, evaluation: Evaluation) -> tuple[int, float]:
        """Rows, and the largest shortfall in [0, 1] of any task and model on them."""
        objective = self._evaluator.objective
        cards = [card for models in self._evaluator.cards(evaluation).values() for card in models.values()]
        short = (
            objective.shortfall({**msgspec.structs.asdict(card), **named(card.judged)}) for card in cards
        )
        return min((card.n for card in cards), default=0), max(short, default=0.0)
