"""Plan of a run: what each search and the final test do, and how many calls that takes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ...runtime.evaluation.objective import Objective
from ...runtime.messages import Stage
from ...runtime.prompt import Prompt
from ...runtime.search.candidates import Pair
from ...runtime.search.race import block_sizes, ladder, racing
from ...runtime.tasks.load import LoadedTask
from ...runtime.tasks.task import Task
from ...scenarios import Reference, Scenario
from ...scenarios.stages import Race
from ...scenarios.stages import Stage as StageSettings
from ..judge.rubrics import READINGS, Judging
from ..reference.strategies import Strategy
from ..scorer import Readings


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a search goes on: `draws` candidates are asked for at each of at most `steps` steps.

    It stops after `patience` steps without a better prompt, or when the objective on train is at least
    `until` (None: it does not). `notes` and `overlap` say whether the reference LLM keeps notes, and whether
    it writes a step while the one before is scored.
    """

    steps: int
    draws: int
    patience: int | None = None
    until: float | None = None
    notes: bool = False
    overlap: bool = False

    @classmethod
    def of(cls, stage: StageSettings, reference: Reference, strategy: Strategy) -> "Pace":
        """What the scenario asks of a stage, within what the strategy does."""
        return cls(
            steps=stage.steps if strategy.steps is None else min(strategy.steps, stage.steps),
            draws=strategy.draws or reference.candidates_per_step,
            patience=stage.patience,
            until=stage.until,
            notes=strategy.notes if reference.notes is None else reference.notes,
            overlap=reference.overlap,
        )


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one search is to do.

    `models` are the targets the prompts are for; `answerers` answer on train (the same models, or the
    scorer LLM as their proxy). `finalists` meet on validation and `keep` go on. Randomness is drawn from
    `seed` and `scope`, which names the search.
    """

    stage: Stage
    scope: str
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    answerers: tuple[str, ...]
    pace: Pace
    finalists: int
    keep: int
    race: Race
    reference: Reference
    seed: int


def answerers(scenario: Scenario) -> tuple[str, ...]:
    """The models that answer while searching: the targets, or the scorer LLM as their proxy."""
    scorer = scenario.scorer
    if scorer.answers == "scorer" and scorer.model is not None:
        return (scorer.model,)
    return tuple(scenario.targets)


def hosted(scenario: Scenario) -> tuple[str, ...]:
    """Every model that needs a Target agent, each once."""
    return tuple(dict.fromkeys([*scenario.targets, *answerers(scenario)]))


def originals(scenario: Scenario, tasks: Iterable[Task]) -> tuple[Prompt, ...]:
    """The seed prompts and these tasks' own original prompts, each once."""
    texts = [*scenario.stages.source.seed_prompts, *(task.original for task in tasks)]
    return tuple(original(scenario, text) for text in dict.fromkeys(texts))


def original(scenario: Scenario, text: str) -> Prompt:
    return Prompt(text=text, position=scenario.stages.source.seed_position)


def source_plan(scenario: Scenario, strategy: Strategy) -> Plan | None:
    """Source prompt construction: one search over all source tasks and models; None without that stage."""
    stage = scenario.stages.source
    if not (strategy.staged and stage.tasks):
        return None
    return Plan(
        stage="source",
        scope="source",
        tasks=tuple(stage.tasks),
        models=tuple(scenario.targets),
        answerers=answerers(scenario),
        pace=Pace.of(stage, scenario.reference, strategy),
        finalists=max(stage.finalists, stage.keep),
        keep=stage.keep,
        race=_race(scenario),
        reference=scenario.reference,
        seed=scenario.seed,
    )


def target_plans(scenario: Scenario, strategy: Strategy) -> tuple[Plan, ...]:
    """Target prompt generation: one search per task and model, or per task for all models together."""
    stage = scenario.stages.target
    groups = [(model,) for model in scenario.targets] if stage.per_model else [tuple(scenario.targets)]
    proxied = scenario.scorer.answers == "scorer"
    return tuple(
        Plan(
            stage="target",
            scope=f"target {task} {'+'.join(models)}",
            tasks=(task,),
            models=models,
            answerers=answerers(scenario) if proxied else models,
            pace=Pace.of(stage, scenario.reference, strategy),
            finalists=stage.finalists,
            keep=1,
            race=_race(scenario),
            reference=scenario.reference,
            seed=scenario.seed,
        )
        for task in stage.tasks
        for models in groups
    )


def _race(scenario: Scenario) -> Race:
    """The rules of the race; nobody leaves one early for what no row can tell."""
    if Objective.of(scenario.scorer).by_rows:
        return scenario.race
    return scenario.race.model_copy(update={"method": "none"})


def tested_beside(scenario: Scenario, strategy: Strategy, searches: int) -> int:
    """How many prompts meet the test rows of one target at most, beside its original and its best."""
    stage = scenario.stages.target
    sources = stage.transfer if source_plan(scenario, strategy) is not None else 0
    return sources + (2 * (searches - 1) if stage.matrix else 0)


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
