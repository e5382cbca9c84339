"""The tasks of a scenario as its targets will be asked them."""

import msgspec

from ..runtime.evaluation.likelihood import distinguishable
from ..runtime.tasks.load import LoadedTask, load_task
from ..scenarios import Scenario


def prepared(scenario: Scenario, name: str) -> LoadedTask:
    """A task with its rows, and a warning where its labels cannot be told apart by one token.

    Raises InputError when data is missing or wrong.
    """
    settings = scenario.tasks[name]
    first_seed = scenario.stages.source.seed_prompts[0]
    loaded = load_task(name, settings, folder=scenario.folder, seed=scenario.seed, seed_prompt=first_seed)
    if settings.read != "likelihood":
        return loaded
    row = loaded.splits.train[0].asked()
    alike = distinguishable(loaded.task.answers.allowed(row)) if loaded.task.closed else []
    said = (
        f"labels {one!r} and {other!r} begin alike: one token may not tell them apart" for one, other in alike
    )
    return msgspec.structs.replace(loaded, warnings=(*loaded.warnings, *said))
