"""Best prompts of a run in the formats of `tprompt export`."""

from functools import partial
from pathlib import Path

from ..agents.loading import foreseen, load_tasks, resolve
from ..runtime.record.results import TargetResult, in_folder
from ..runtime.report.chat_export import as_langchain, as_openai
from ..runtime.report.export import as_dspy, as_json, as_promptfoo, as_text, chosen, only
from ..runtime.tasks.load import LoadedTask
from ..runtime.tasks.task import Reading
from ..scenarios import Scenario, load
from .options import ExportFormat


def exported(
    folder: Path, form: ExportFormat, task: str | None, model: str | None, *, allow_code: bool = False
) -> str:
    """The text of the export; `task` and `model` restrict it to some targets. With `allow_code` modules that
    the scenario names for its formats and readers are imported.

    Raises InputError when the run, or what is asked of it, does not exist.
    """
    targets = chosen(in_folder(folder), task, model)
    scenario = partial(load, folder / "scenario.yaml", allow_code=allow_code)
    match form:
        case ExportFormat.TEXT:
            return as_text(targets)
        case ExportFormat.JSON:
            return as_json(targets)
        case ExportFormat.DSPY:
            tasks = load_tasks(scenario())
            return as_dspy([(target, tasks[target.task]) for target in targets])
        case ExportFormat.PROMPTFOO:
            return _promptfoo(only(targets, form), scenario())
        case ExportFormat.OPENAI:
            target, loaded = only(targets, form), scenario()
            return as_openai(target, *_read(target, loaded), loaded.models[target.model])
        case ExportFormat.LANGCHAIN:
            target = only(targets, form)
            return as_langchain(target, *_read(target, scenario()))


def _promptfoo(target: TargetResult, scenario: Scenario) -> str:
    model = scenario.models[target.model]
    return as_promptfoo(target, *_read(target, scenario), model, scenario.endpoints[model.endpoint])


def _read(target: TargetResult, scenario: Scenario) -> tuple[LoadedTask, Reading]:
    """The task of a target, and how the run read its answers: with log-probabilities or without, as the
    endpoint had them."""
    loaded = load_tasks(scenario)
    tasks = {target.task: loaded[target.task].task}
    key = target.task, target.model
    expected = foreseen(scenario, tasks, [target.model])[key]
    if target.reading in (None, expected.describe()):
        return loaded[target.task], expected
    return loaded[target.task], resolve(scenario, tasks, {target.model: False})[key]
