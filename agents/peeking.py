"""A look at rows as the first target model will see them; no call is made."""

from ..runtime.errors import InputError
from ..runtime.tasks.peek import Peek, peek
from ..scenarios import Scenario
from ..scenarios.nearest import nearest
from .loading import prepared
from .readings import foreseen, probed


def peeks(scenario: Scenario, task: str | None = None, rows: int = 3) -> list[Peek]:
    """The scenario's tasks, or the one named, each with its first `rows` train rows.

    Rows are shown under the task's original prompt. An endpoint of which the scenario does not say whether it
    returns log-probabilities is taken to. Raises InputError for an unknown task, for bad data, and for a
    reading that the endpoint cannot give.
    """
    if task is not None and task not in scenario.tasks:
        raise InputError(f"{scenario.name}: no task {task!r}; {nearest(task, scenario.tasks)}")
    model = scenario.targets[0]
    loaded = {name: prepared(scenario, name) for name in ([task] if task else scenario.tasks)}
    readings = foreseen(scenario, {name: one.task for name, one in loaded.items()}, [model])
    assumed = probed(scenario, model)
    return [peek(one, model, readings[name, model], rows, assumed=assumed) for name, one in loaded.items()]
