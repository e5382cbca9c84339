"""From a scenario to what each search and the final test are to do, and how many calls that takes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ..runtime.prompt import Prompt
from ..runtime.tasks.example import Splits
from ..runtime.tasks.task import Task
from ..scenarios import Scenario
from .panel import Pair
from .scorer import Readings
from .search import Plan

__all__ = ["Calls", "Plan", "answerers", "hosted", "original", "originals", "source_plan", "target_plans"]


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


def source_plan(scenario: Scenario) -> Plan:
    """Source prompt construction: one search over all source tasks and models."""
    stage = scenario.stages.source
    return Plan(
        stage="source",
        scope="source",
        tasks=tuple(stage.tasks),
        models=tuple(scenario.targets),
        answerers=answerers(scenario),
        steps=stage.steps,
        finalists=max(stage.finalists, stage.keep),
        keep=stage.keep,
        reference=scenario.reference,
        seed=scenario.seed,
    )


def target_plans(scenario: Scenario) -> tuple[Plan, ...]:
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
            steps=stage.steps,
            finalists=stage.finalists,
            keep=1,
            reference=scenario.reference,
            seed=scenario.seed,
        )
        for task in stage.tasks
        for models in groups
    )


class Calls:
    """Counts the target calls that parts of a run take at most, by (task, model)."""

    def __init__(self, splits: Mapping[str, Splits], readings: Readings) -> None:
        self._splits = splits
        self._readings = readings

    def search(self, plan: Plan, seeds: int) -> Counter[Pair]:
        """Scoring on train: every seed and every candidate, on every task with every answering model."""
        prompts = seeds + plan.steps * plan.reference.candidates_per_step
        return self._asked("train", prompts, plan, plan.answerers)

    def choice(self, plan: Plan, always: int = 1) -> Counter[Pair]:
        """Validation of the finalists and of the prompts that always take part."""
        return self._asked("validation", plan.finalists + always, plan, plan.models)

    def test(self, plan: Plan, transfer: int) -> Counter[Pair]:
        """The original, the best and `transfer` source prompts on every test row."""
        return self._asked("test", 2 + transfer, plan, plan.models)

    def _asked(self, split: str, prompts: int, plan: Plan, models: Sequence[str]) -> Counter[Pair]:
        rows = {task: len(getattr(self._splits[task], split)) for task in plan.tasks}
        return Counter(
            {
                (task, model): prompts * rows[task] * self._readings[task, model].samples
                for task in plan.tasks
                for model in models
            }
        )
