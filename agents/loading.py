"""The tasks of a scenario, loaded, and how each is asked of and read from each target model."""

from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from ..runtime.evaluation.confidence import distinguishable
from ..runtime.tasks.load import LoadedTask, load_task
from ..runtime.tasks.peek import Peek, peek
from ..runtime.tasks.task import ConfidenceSource, Reading, Task
from ..scenarios import Scenario, TaskSettings
from ..scenarios.endpoints import Confidence
from ..scenarios.errors import InputError, nearest


def load_tasks(scenario: Scenario) -> dict[str, LoadedTask]:
    """The tasks of a scenario with their rows; InputError when data is missing or wrong."""
    return {name: load_one(scenario, name) for name in scenario.tasks}


def load_one(scenario: Scenario, name: str) -> LoadedTask:
    """A task with its rows, and a warning where its labels cannot be distinguished by one token.

    Raises InputError when data is missing or wrong.
    """
    settings = scenario.tasks[name]
    first_seed = scenario.seed_prompts[0]
    loaded = load_task(
        name,
        settings,
        folder=scenario.folder,
        seed=scenario.seed,
        seed_prompt=first_seed,
        allow_code=scenario.allow_code,
    )
    if settings.read != "likelihood":
        return loaded
    row = loaded.splits.train[0].asked()
    alike = distinguishable(loaded.task.answers.allowed(row)) if loaded.task.closed else []
    said = (
        f"labels {one!r} and {other!r} begin alike: one token may not distinguish them"
        for one, other in alike
    )
    return msgspec.structs.replace(loaded, warnings=(*loaded.warnings, *said))


CLOSED_TOKENS = 64
OPEN_TOKENS = 512
"""Most tokens of a generated answer: two short lines, or room to work something out."""


def resolve(
    scenario: Scenario,
    tasks: Mapping[str, Task],
    logprobs: Mapping[str, bool],
    functions: Collection[str] = (),
) -> dict[tuple[str, str], Reading]:
    """The reading of every (task, model); `logprobs` says of each model whether its endpoint returns them.

    `read: auto` generates. A task that says `confidence: auto` leaves the choice to the model; `auto` there
    too takes token probability where there are log-probabilities, and the verbalised confidence elsewhere,
    but none from a function of the application (`functions` names those models). InputError when a scenario
    asks for what an endpoint, a function or a kind of answer cannot give.
    """
    return {
        (name, model): _reading(scenario, name, task, model, able, model in functions)
        for name, task in tasks.items()
        for model, able in logprobs.items()
    }


def foreseen(
    scenario: Scenario, tasks: Mapping[str, Task], models: Iterable[str], functions: Collection[str] = ()
) -> dict[tuple[str, str], Reading]:
    """The readings before any call: where the scenario does not say whether an endpoint returns
    log-probabilities, it is taken to. Raises InputError as `resolve` does."""
    able = {
        name: name not in functions and scenario.endpoint_of(name).logprobs is not False for name in models
    }
    return resolve(scenario, tasks, able, functions)


def fallbacks(
    before: Mapping[tuple[str, str], Reading], found: Mapping[tuple[str, str], Reading]
) -> Iterator[str]:
    """A sentence for each model without the log-probabilities it was taken to return, from the readings
    foreseen and those resolved."""
    tasks: dict[tuple[str, ConfidenceSource], list[str]] = {}
    for (task, model), reading in found.items():
        if reading.confidence != before[task, model].confidence:
            tasks.setdefault((model, reading.confidence), []).append(task)
    for (model, source), names in tasks.items():
        instead = "there is no confidence" if source == "none" else f"confidence is {source}"
        yield f"model {model}: no log-probabilities, so {instead} ({', '.join(names)})"


def probed(scenario: Scenario, model: str) -> bool:
    """True when the model's endpoint is probed once for log-probabilities: the scenario does not say whether
    it returns them, and the reading of a task depends on it."""
    endpoint = scenario.endpoint_of(model)
    return endpoint.logprobs is None and any(
        _needs_logprobs(scenario, task, model) for task in scenario.tasks.values()
    )


def _needs_logprobs(scenario: Scenario, settings: TaskSettings, model: str) -> bool:
    return settings.read == "likelihood" or _chosen(scenario, settings, model) in (
        "auto",
        "token_probability",
    )


def _chosen(scenario: Scenario, settings: TaskSettings, model: str) -> Confidence:
    own = settings.confidence
    return scenario.models[model].confidence if own == "auto" else own


def _reading(scenario: Scenario, name: str, task: Task, model: str, able: bool, function: bool) -> Reading:
    settings = scenario.tasks[name]
    endpoint = scenario.endpoint_of(model)
    likelihood = settings.read == "likelihood"
    if likelihood and not task.closed:
        raise InputError(
            f"tasks.{name}.read: likelihood needs a closed set of answers, not {task.answers.kind}"
        )
    chosen = _chosen(scenario, settings, model)
    if (likelihood or chosen == "token_probability") and not able:
        raise InputError(
            f"tasks.{name}: needs log-probabilities, which the endpoint of model {model!r} does not return; "
            "use read: generate with confidence: verbalised or agreement"
        )
    if function and chosen == "top_k":
        raise InputError(
            f"tasks.{name}: confidence: top_k asks a model for guesses; of the function for {model!r} use "
            "verbalised, agreement or none"
        )
    if chosen in ("verbalised", "top_k") and not task.format.states_confidence:
        raise InputError(
            f"tasks.{name}: confidence: {chosen} needs a reply that states it, and format: "
            f"{task.format.name} has no place for it; use token_probability, agreement or none"
        )
    silent = function or not (task.framed and task.format.states_confidence)
    confidence = _source(chosen, likelihood, able and not function, silent)
    return Reading(
        read="likelihood" if likelihood else "generate",
        confidence=confidence,
        samples=settings.samples if confidence == "agreement" else 1,
        max_tokens=settings.max_tokens or (CLOSED_TOKENS if task.closed else OPEN_TOKENS),
        top_logprobs=endpoint.top_logprobs,
    )


def _source(chosen: Confidence, likelihood: bool, able: bool, silent: bool) -> ConfidenceSource:
    """`silent`: the reply cannot state a confidence."""
    if likelihood:
        return "token_probability"
    if chosen != "auto":
        return chosen
    if able:
        return "token_probability"
    return "none" if silent else "verbalised"


def peeks(scenario: Scenario, task: str | None = None, rows: int = 3) -> list[Peek]:
    """The scenario's tasks, or the one named, each with its first `rows` train rows.

    Rows are shown under the task's original prompt. An endpoint of which the scenario does not say whether it
    returns log-probabilities is taken to. Raises InputError for an unknown task, for bad data, and for a
    reading that the endpoint cannot give.
    """
    if task is not None and task not in scenario.tasks:
        raise InputError(f"{scenario.name}: no task {task!r}; {nearest(task, scenario.tasks)}")
    model = scenario.targets[0]
    loaded = {name: load_one(scenario, name) for name in ([task] if task else scenario.tasks)}
    readings = foreseen(scenario, {name: one.task for name, one in loaded.items()}, [model])
    assumed = probed(scenario, model)
    return [peek(one, model, readings[name, model], rows, assumed=assumed) for name, one in loaded.items()]
