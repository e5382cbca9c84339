"""From a scenario to what each search and the final test are to do, and how many calls that takes."""

from collections.abc import Iterable

import msgspec

from ..runtime.evaluation.objective import Objective
from ..runtime.prompt import Prompt
from ..runtime.tasks.task import Task
from ..scenarios import Reference, Scenario
from ..scenarios.search import Race
from ..scenarios.stages import Stage as StageSettings
from .messages import Stage
from .strategies import Strategy


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
