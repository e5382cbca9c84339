"""How many calls the parts of a run take at most."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from ..runtime.search.blocks import block_sizes
from ..runtime.search.ladder import ladder, racing
from ..runtime.search.pool import Pair
from ..runtime.tasks.load import LoadedTask
from .judging import READINGS, Judging
from .plan import Plan
from .scorer import Readings


class Asked(msgspec.Struct, frozen=True):
    """Calls at most: of targets by (task, model); of the judge for responses by task, and for prompts."""

    answers: Counter[Pair]
    ratings: Counter[str]
    words: int = 0

    def __add__(self, other: "Asked") -> "Asked":
        return Asked(self.answers + other.answers, self.ratings + other.ratings, self.words + other.words)

    def total(self) -> int:
        return self.answers.total() + self.ratings.total() + self.words


class Calls:
    """Counts the calls to targets and judge that parts of a run take at most."""

    def __init__(self, tasks: Mapping[str, LoadedTask], readings: Readings, judging: Judging) -> None:
        self._tasks = tasks
        self._readings = readings
        self._judging = judging

    def search(self, plan: Plan, seeds: int) -> Asked:
        """Scoring on train: every seed, and at each step every candidate for as long as it may stay."""
        sizes = block_sizes({task: self._tasks[task].splits.train for task in plan.tasks}, plan.race.block)
        answers: Counter[Pair] = Counter()
        for times, fresh in ((1, seeds), (plan.pace.steps, plan.pace.draws)):
            rungs = ladder(plan.race.method, blocks=len(sizes), fresh=fresh)
            for done, until, racers in racing(rungs, fresh):
                for task in plan.tasks:
                    rows = sum(size[task] for size in sizes[done:until])
                    answers += self._answers(task, plan.answerers, times * racers * rows)
        rated = self._asked("train", seeds + plan.pace.steps * plan.pace.draws, plan, plan.answerers)
        return Asked(answers, rated.ratings, rated.words)

    def choice(self, plan: Plan, always: int = 1) -> Asked:
        """Validation of the finalists and of the prompts that always take part."""
        return self._asked("validation", plan.finalists + always, plan, plan.models)

    def test(self, plan: Plan, others: int) -> Asked:
        """The original, the best and `others` on every test row; the first two compared."""
        asked = self._asked("test", 2 + others, plan, plan.models, final=True)
        if self._judging.responses:
            pairs = {task: min(self._judging.sample, self._rows(task, "test")) for task in plan.tasks}
            compared = Counter({task: READINGS * len(plan.models) * rows for task, rows in pairs.items()})
            asked += Asked(Counter(), compared)
        return asked

    def _asked(
        self, split: str, prompts: int, plan: Plan, models: Sequence[str], *, final: bool = False
    ) -> Asked:
        answers: Counter[Pair] = Counter()
        for task in plan.tasks:
            answers += self._answers(task, models, prompts * self._rows(task, split))
        ratings = {
            task: READINGS * prompts * len(models) * self._rated(task, split, final) for task in plan.tasks
        }
        words = READINGS * prompts if self._judging.wants(self._judging.prompts, final=final) else 0
        return Asked(answers, Counter(ratings), words)

    def _answers(self, task: str, models: Sequence[str], answers: int) -> Counter[Pair]:
        """The calls that so many answers take from each model."""
        return Counter({(task, model): answers * self._readings[task, model].samples for model in models})

    def _rows(self, task: str, split: str) -> int:
        return len(getattr(self._tasks[task].splits, split))

    def _rated(self, task: str, split: str, final: bool) -> int:
        """Responses to one prompt that the judge rates."""
        rows = self._rows(task, split)
        if self._tasks[task].task.answers.kind == "judged":
            return rows
        wanted = self._judging.wants(self._judging.responses, final=final)
        return min(self._judging.sample, rows) if wanted else 0
