"""Requests to the reference LLM: the history of one search with scores, failures, exemplars and notes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np

from ...runtime.evaluation.metrics import is_own
from ...runtime.evaluation.objective import Objective
from ...runtime.evaluation.outcomes import Failed, Graded, worst
from ...runtime.messages import (
    Exemplar,
    Failure,
    Fault,
    OperatorRecord,
    Propose,
    Reflect,
    ScoredPrompt,
    TaskSummary,
)
from ...runtime.prompt import Prompt
from ...runtime.randomness import generator
from ...runtime.search.race import Race
from ...runtime.search.rows import row_score
from ...runtime.tasks.example import Example
from ...runtime.tasks.task import Task
from .evaluator import Evaluator
from .plan import Plan

NOTE_EVERY = 8
"""New candidates scored between two requests for notes."""


class RequestBuilder:
    """Makes each request of what is known at that moment; only train rows are ever shown.

    `prompts` are the prompts of the race by id, in the order of their numbers; `train` marks the rows of the
    race that the reference LLM may see.
    """

    def __init__(
        self,
        plan: Plan,
        evaluator: Evaluator,
        tasks: Mapping[str, Task],
        race: Race,
        prompts: Mapping[str, Prompt],
        train: Sequence[bool],
    ) -> None:
        self.notes: tuple[str, ...] = ()
        self._plan = plan
        self._evaluator = evaluator
        self._tasks = tasks
        self._race = race
        self._prompts = prompts
        self._ids: list[str] = []
        self._numbers: dict[str, int] = {}
        self._train = np.asarray(train, dtype=bool)
        self._rows = {task: {row.id: row for row in evaluator.rows(task, "train")} for task in plan.tasks}
        self._failures: dict[str, tuple[Failure, ...]] = {}
        self._noted = 0

    def take(self, prompt: Prompt, responses: Mapping[str, Sequence[Graded | Failed]]) -> None:
        """Keep the worst train responses under a prompt, by task."""
        most = self._plan.reference.failures
        found = [*self._failures.get(prompt.id, ())]
        for task, answered in sorted(responses.items()):
            rows = self._rows[task]
            # A filter would refuse the request of the reference LLM too.
            graded = [
                one
                for one in answered
                if one.example in rows and isinstance(one, Graded) and one.flaw != "filtered"
            ]
            for response, fault in _failed(graded, self._evaluator.objective)[:most]:
                row = rows[response.example]
                shown = _shown(self._tasks[task], row)
                found.append(Failure(task, shown, response.text, row.gold, fault, response.remark))
        self._failures[prompt.id] = tuple(found[-most:]) if most else ()

    def propose(self, number: int, count: int, progress: float) -> Propose:
        """Ask for the candidates of one reply."""
        plan, race = self._plan, self._race
        ranking = race.ranking()
        values = race.expected()
        shown = ranking[: plan.reference.history]
        wins = self._wins(shown)
        history = [self._scored(prompt, values, wins.get(prompt, 0.0)) for prompt in reversed(shown)]
        return Propose(
            stage=plan.stage,
            key=plan.scope,
            number=number,
            progress=progress,
            count=count,
            tasks=self._summaries(number),
            history=tuple(history),
            notes=self.notes,
            operators=self._records(values),
        )

    def reflect(self, number: int) -> Reflect | None:
        """Ask for new notes once enough candidates were scored since the last; None until then."""
        ranking = self._race.ranking()
        if not self._plan.notes or len(ranking) < self._noted + NOTE_EVERY:
            return None
        values = self._race.expected()
        tried = [prompt for prompt in reversed(ranking) if prompt >= self._noted]
        self._noted = len(ranking)
        return Reflect(
            key=self._plan.scope,
            number=number,
            tasks=self._summaries(number),
            tried=tuple(self._scored(prompt, values, 0.0) for prompt in tried[-2 * NOTE_EVERY :]),
            notes=self.notes,
        )

    def _scored(self, number: int, values: np.ndarray, wins: float) -> ScoredPrompt:
        prompt = self._prompt(number)
        parent = self._parent(prompt)
        return ScoredPrompt(
            prompt,
            round(100 * float(values[number])),
            wins=wins,
            failures=self._failures.get(self._ids[number], ()),
            before=None if parent is None else round(100 * float(values[parent])),
        )

    def _prompt(self, number: int) -> Prompt:
        self._learn_ids()
        return self._prompts[self._ids[number]]

    def _learn_ids(self) -> None:
        for id in islice(self._prompts, len(self._ids), None):
            self._numbers[id] = len(self._ids)
            self._ids.append(id)

    def _parent(self, prompt: Prompt) -> int | None:
        self._learn_ids()
        parent = self._numbers.get(prompt.parents[0]) if prompt.parents else None
        return parent if parent is not None and self._race.answered[parent].any() else None

    def _wins(self, shown: Sequence[int]) -> dict[int, float]:
        """The share in [0, 1] of train rows on which each prompt did best; a row's best share it evenly.

        Rows count that at least two of the prompts have answered (instance-wise front of GEPA, arXiv
        2507.19457).
        """
        if not shown:
            return {}
        answered = self._race.answered[shown] & self._train
        rows = answered.sum(axis=0) > 1
        if not rows.any():
            return {}
        scores = np.where(answered, self._race.scores[shown], -1.0)[:, rows]
        best = scores == scores.max(axis=0)
        shares = (best / best.sum(axis=0)).sum(axis=1) / rows.sum()
        return dict(zip(shown, shares.tolist(), strict=True))

    def _records(self, values: np.ndarray) -> tuple[tuple[str, OperatorRecord], ...]:
        tries, wins = Counter[str](), Counter[str]()
        for number in np.flatnonzero(self._race.answered.any(axis=1)).tolist():
            prompt = self._prompt(number)
            parent = self._parent(prompt)
            if parent is not None:
                tries[prompt.origin] += 1
                wins[prompt.origin] += bool(values[number] > values[parent])
        return tuple((origin, OperatorRecord(tries[origin], wins[origin])) for origin in sorted(tries))

    def _summaries(self, number: int) -> tuple[TaskSummary, ...]:
        return tuple(self._summary(task, number) for task in self._plan.tasks)

    def _summary(self, name: str, number: int) -> TaskSummary:
        task = self._tasks[name]
        rows = self._evaluator.rows(name, "train")
        draw = generator(self._plan.seed, "exemplars", self._plan.scope, number, name)
        chosen = draw.sample(rows, min(self._plan.reference.exemplars, len(rows)))
        exemplars = tuple(Exemplar(_shown(task, row), row.gold) for row in chosen)
        hint = task.answers.hint(rows[0].asked())
        return TaskSummary(name, task.description, hint, exemplars, task.variables)


def _failed(responses: Sequence[Graded], objective: Objective) -> list[tuple[Graded, Fault]]:
    """The responses that fail in anything that the objective weighs, the worst first, and in what."""
    found: list[tuple[Graded, Fault]] = []
    for one in worst(responses, len(responses)):
        fault = _fault(one, objective) if isinstance(one, Graded) else None
        if isinstance(one, Graded) and fault is not None:
            found.append((one, fault))
    if any(one.own for one, _ in found):
        found.sort(key=lambda failed: row_score(failed[0], objective, None))
    return found


def _fault(response: Graded, objective: Objective) -> Fault | None:
    if any(weight > 0 and not is_own(name) for name, weight in objective.weights.items()):
        if not response.correct:
            return "answer"
        if not response.followed:
            return "format"
    return "metric" if min(response.own.values(), default=1.0) < 1 else None


def _shown(task: Task, row: Example) -> str:
    parts = (row.context, row.question, task.answers.options(row.asked()))
    return "\n".join(part for part in parts if part)
