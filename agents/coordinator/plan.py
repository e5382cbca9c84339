"""Plan of a run: what each search and the final test do, and how many calls that takes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ...runtime.errors import InputError
from ...runtime.llm.chat import Message
from ...runtime.messages import Stage
from ...runtime.prompt import Prompt
from ...runtime.search.scores import Pair
from ...runtime.tasks.load import LoadedTask
from ...runtime.tasks.task import Reading, Task, messages
from ...scenarios import Scenario
from ...scenarios.stages import ReferenceSettings, StageSettings
from ..judge.rubrics import READINGS, Judging
from ..reference.strategies import Strategy
from ..scorer import Readings


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of one search.

    `models` are the targets the prompts are for; `answerers` answer while searching (the same models, or the
    scorer LLM as their proxy). `most` caps the candidates proposed, `proposals` the replies of the reference
    LLM, `patience` counts candidates without a better prompt (None: no cap), `until` is an objective to stop
    at. `per_reply` candidates are asked for at once. `keep` prompts remain. Randomness is drawn from
    `seed` and `scope`, which names the search.
    """

    stage: Stage
    scope: str
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    answerers: tuple[str, ...]
    most: int | None
    proposals: int | None
    per_reply: int
    patience: int | None
    until: float | None
    notes: bool
    keep: int
    full: bool
    block: int
    reference: ReferenceSettings
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
    """The seed prompts and these tasks' own original prompts, each once; the original of the first task
    leads."""
    texts = [task.original for task in tasks] + scenario.seed_prompts
    return tuple(original(scenario, text) for text in dict.fromkeys(texts))


def original(scenario: Scenario, text: str) -> Prompt:
    return Prompt(text=text, position=scenario.stages.source.seed_position)


def source_plan(scenario: Scenario, strategy: Strategy) -> Plan | None:
    """Source prompt construction: one search over all source tasks and models; None without that stage."""
    stage = scenario.stages.source
    if not (strategy.staged and stage.tasks):
        return None
    return _plan(
        scenario,
        strategy,
        stage,
        kind="source",
        scope="source",
        tasks=tuple(stage.tasks),
        models=tuple(scenario.targets),
        keep=stage.keep,
    )


def target_plans(scenario: Scenario, strategy: Strategy) -> tuple[Plan, ...]:
    """Target prompt generation: one search per task and model, or per task for all models together."""
    stage = scenario.stages.target
    groups = [(model,) for model in scenario.targets] if stage.per_model else [tuple(scenario.targets)]
    return tuple(
        _plan(
            scenario,
            strategy,
            stage,
            kind="target",
            scope=f"target {task} {'+'.join(models)}",
            tasks=(task,),
            models=models,
            keep=1,
        )
        for task in stage.tasks
        for models in groups
    )


def _plan(
    scenario: Scenario,
    strategy: Strategy,
    stage: StageSettings,
    *,
    kind: Stage,
    scope: str,
    tasks: tuple[str, ...],
    models: tuple[str, ...],
    keep: int,
) -> Plan:
    reference = scenario.reference
    step = reference.candidates_per_step
    proxied = scenario.scorer.answers == "scorer"
    return Plan(
        stage=kind,
        scope=scope,
        tasks=tasks,
        models=models,
        answerers=answerers(scenario) if proxied else models,
        most=None if stage.steps is None else stage.steps * step,
        proposals=strategy.proposals,
        per_reply=strategy.per_reply or reference.candidates_per_reply,
        patience=None if stage.patience is None else stage.patience * step,
        until=stage.until,
        notes=strategy.notes if reference.notes is None else reference.notes,
        keep=keep,
        full=scenario.race.method == "full",
        block=scenario.race.block,
        reference=reference,
        seed=scenario.seed,
    )


def tested_beside(scenario: Scenario, strategy: Strategy, searches: int) -> int:
    """The most prompts that are tested on one target, beside its original and its best."""
    stage = scenario.stages.target
    sources = stage.transfer if source_plan(scenario, strategy) is not None else 0
    return sources + (2 * (searches - 1) if stage.matrix else 0)


class PlannedCalls(msgspec.Struct, frozen=True):
    """Calls: of targets by (task, model); of the judge for responses by task, and for prompts."""

    answers: Counter[Pair]
    ratings: Counter[str]
    prompt_ratings: int = 0

    def __add__(self, other: "PlannedCalls") -> "PlannedCalls":
        return PlannedCalls(
            self.answers + other.answers,
            self.ratings + other.ratings,
            self.prompt_ratings + other.prompt_ratings,
        )

    def total(self) -> int:
        return self.answers.total() + self.ratings.total() + self.prompt_ratings


class CallCounts:
    """The calls that parts of a run take."""

    def __init__(self, tasks: Mapping[str, LoadedTask], readings: Readings, judging: Judging) -> None:
        self._tasks = tasks
        self._readings = readings
        self._judging = judging

    def reading(self, task: str, model: str) -> Reading:
        """The reading of the replies of a model to a task."""
        return self._readings[task, model]

    def sent(self, task: str, model: str, prompt: Prompt) -> tuple[Message, ...]:
        """The chat turns that ask a model the first test row; none for a prompt of several texts."""
        loaded = self._tasks[task]
        if prompt.texts or not loaded.splits.test:
            return ()
        return messages(loaded.task, prompt, loaded.splits.test[0].asked(), self._readings[task, model])

    def rows(self, plan: Plan, rows: int) -> PlannedCalls:
        """One prompt on so many search rows of every task of a search, all of them rated where any are."""
        answers = Counter(
            {
                (task, model): rows * self._readings[task, model].samples
                for task in plan.tasks
                for model in plan.answerers
            }
        )
        rated = {
            task: READINGS * len(plan.answerers) * rows
            for task in plan.tasks
            if self._always_judged(task) or self._judging.wants(self._judging.responses, final=False)
        }
        return PlannedCalls(answers, Counter(rated))

    def test(self, plan: Plan, others: int) -> PlannedCalls:
        """The original, the best and `others` on every test row; the first two compared."""
        prompts, models = 2 + others, plan.models
        answers: Counter[Pair] = Counter()
        ratings: Counter[str] = Counter()
        for task in plan.tasks:
            rows = len(self._tasks[task].splits.test)
            for model in models:
                answers[task, model] = prompts * rows * self._readings[task, model].samples
            sample = min(self._judging.sample, rows)
            rated = rows if self._always_judged(task) else sample if self._judging.responses else 0
            compared = sample if self._judging.responses else 0
            ratings[task] = READINGS * len(models) * (prompts * rated + compared)
        words = READINGS * prompts if self._judging.prompts else 0
        return PlannedCalls(answers, +ratings, words)

    def _always_judged(self, task: str) -> bool:
        return self._judging.credits(self._tasks[task].task)


FIRST_PROMPTS = 2
"""A search compares at least the original and one candidate."""


def check_budget(scenario: Scenario, strategy: Strategy, counts: CallCounts, plans: Sequence[Plan]) -> None:
    """Raises InputError when the budget cannot pay for the final test and a first comparison.

    Of `budget.calls` and `budget.evaluations` that is known exactly before any call.
    """
    others = tested_beside(scenario, strategy, len(plans))
    test = sum(counts.test(plan, others).total() for plan in plans)
    proposes = strategy.proposals != 0
    prompts = FIRST_PROMPTS if proposes else 1
    first = [counts.rows(plan, plan.block) for plan in plans]
    search = prompts * sum(calls.total() for calls in first) + (len(plans) if proposes else 0)
    rows = prompts * sum(calls.answers.total() for calls in first)
    cap = scenario.budget.calls
    if cap is not None and cap < test + search:
        raise InputError(
            f"budget.calls: {cap:,} is too small: the final test takes {test:,} calls and a first comparison "
            f"{search:,}; give at least {test + search:,}, or fewer test rows"
        )
    evaluations = scenario.budget.evaluations
    if evaluations is not None and evaluations < rows:
        raise InputError(
            f"budget.evaluations: {evaluations:,} is too small: a first comparison takes {rows:,} rows; give "
            f"at least {rows:,}"
        )
