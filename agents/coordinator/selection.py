"""Selection of one search: estimates of prompts from few rows, and the order in which they may be chosen."""

from collections.abc import Mapping

import msgspec
import numpy as np

from ...runtime.prompt import Prompt
from ...runtime.search.race import Race
from ...runtime.search.scores import Merits, Scores, front
from .evaluator import Evaluation, Evaluator

FAIR_ROWS = 8.0
"""Rows by which the part of the objective that single rows do not show is shrunk."""

BOUND_ROWS = 16
"""Rows on which a prompt must meet the required bounds to count as meeting them: fewer do by luck."""


class Choice(msgspec.Struct, frozen=True):
    """A prompt that may be chosen: its evaluation, scorecards, and estimated objective in [0, 1]."""

    evaluation: Evaluation
    scores: Scores
    objective: float
    feasible: bool
    rows: int

    @property
    def prompt(self) -> Prompt:
        return self.evaluation.prompt


class Selection:
    """The prompts of a search that have answers, by number, and which of them to choose."""

    def __init__(self, evaluator: Evaluator, race: Race) -> None:
        self._evaluator = evaluator
        self._race = race
        self._evaluations: dict[int, Evaluation] = {}
        self._beyond: dict[int, tuple[int, float]] = {}
        self._choices: list[Choice] | None = None

    @property
    def evaluations(self) -> Mapping[int, Evaluation]:
        return self._evaluations

    def take(self, number: int, evaluation: Evaluation) -> Evaluation:
        """Take in further answers to a prompt; returns all of them."""
        before = self._evaluations.get(number)
        merged = evaluation if before is None else before.merged(evaluation)
        self._evaluations[number] = merged
        self._choices = None
        return merged

    def estimate(self, number: int) -> tuple[float | None, Scores]:
        """The estimated objective of a prompt and its scorecards; None where it must not be chosen."""
        evaluation = self._evaluations[number]
        scores = self._evaluator.cards(evaluation)
        value = self._evaluator.measure(scores)
        return (None if value is None else self._estimated(number, value)), scores

    def choices(self) -> list[Choice]:
        """The prompts that may be chosen: those that meet every required bound first, then the best."""
        if self._choices is None:
            self._choices = self._ranked_choices()
        return self._choices

    def _ranked_choices(self) -> list[Choice]:
        require = self._evaluator.objective.require
        found: list[tuple[int, Choice]] = []
        for number, evaluation in self._evaluations.items():
            value, scores = self.estimate(number)
            if value is not None:
                rows = int(self._race.answered[number].sum())
                enough = rows >= min(BOUND_ROWS, self._race.rows)
                feasible = self._evaluator.feasible(scores) and (enough or not require)
                found.append((number, Choice(evaluation, scores, value, feasible, rows)))
        values = {number: choice.objective for number, choice in found}
        for number in values:
            parent = self._plainer(number)
            if parent in values:
                values[number] = min(values[number], values[parent])
        ranked = sorted(
            found, key=lambda one: (not one[1].feasible, -values[one[0]], len(one[1].prompt.text), one[0])
        )
        return [choice for _, choice in ranked]

    @property
    def finished(self) -> list[Choice]:
        """The prompts that have answered every row."""
        return [choice for choice in self.choices() if choice.rows == self._race.rows]

    @property
    def failed_share(self) -> float:
        """The share in [0, 1] of all rows asked whose call failed, models that are lost left out."""
        parts = [
            outcomes
            for evaluation in self._evaluations.values()
            for (_, model), outcomes in evaluation.outcomes.items()
            if model not in self._evaluator.lost
        ]
        failed = sum(len(outcomes.failed) for outcomes in parts)
        return failed / max(1, failed + sum(len(outcomes.ids) for outcomes in parts))

    def front(self) -> tuple[tuple[Choice, Merits], ...]:
        """The finished prompts that no other beats in every respect, with their merits."""
        by_id = {choice.prompt.id: choice for choice in self.finished}
        merits = {id: Merits.of(choice.prompt, choice.scores) for id, choice in by_id.items()}
        return tuple((by_id[id], merits[id]) for id in front(merits))

    def _plainer(self, number: int) -> int | None:
        """The same words without examples, unless the examples make a prompt clearly better: they cost tokens
        in every call. Compared on the rows that both have answered, which distinguishes them best."""
        plain = self._race.plain(number)
        if plain is None or plain not in self._evaluations:
            return None
        return None if self._race.clearly_better(number, plain) else plain

    def _estimated(self, number: int, value: float) -> float:
        """The expected row score on all rows, and what the objective adds to it, for few rows drawn towards
        what it usually adds."""
        answered = self._race.answered[number]
        rows = int(answered.sum())
        if not rows:
            return value
        beyond = value - float(self._race.scores[number][answered].mean())
        self._beyond[number] = rows, beyond
        total = sum(count for count, _ in self._beyond.values())
        usual = sum(count * one for count, one in self._beyond.values()) / total
        shrunk = usual + (beyond - usual) * rows / (rows + FAIR_ROWS)
        return float(np.clip(float(self._race.expected()[number]) + shrunk, 0.0, 1.0))
