"""The scenario that the short way stands for: a prompt, rows and models, and what the host hands over."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import msgspec

from ..runtime.evaluation.metrics import is_own
from ..runtime.evaluation.own_metrics import OwnMetric, load
from ..runtime.llm.connection import Client
from ..runtime.prompt import Prompt
from ..runtime.tasks.guess import ROWS, Guess, guess, guess_rows
from ..runtime.tasks.mapping import ANSWERS
from ..scenarios import Scenario
from ..scenarios.errors import InputError
from ..scenarios.providers import model_sections
from .application import TargetFunction

PromptSpec: TypeAlias = str | Mapping[str, str] | Prompt
"""A prompt: its text, the texts of an application by name, or a `Prompt`."""


@runtime_checkable
class DataFrame(Protocol):
    """A data frame of pandas."""

    def astype(self, dtype: Any, /) -> Any: ...
    def notna(self) -> Any: ...


RowsSpec: TypeAlias = str | Path | Iterable[Mapping[str, object]] | DataFrame
"""Rows: a path, glob or `hf://` address, or the rows themselves, as mappings or in a data frame of pandas."""

ModelSpec: TypeAlias = str | Mapping[str, object] | TargetFunction
"""A model: `PROVIDER:MODEL`, one mapping with the keys of an endpoint and of a model (and perhaps `client`, a
chat client or an `AsyncOpenAI`), or a function of the application."""

MetricSpec: TypeAlias = str | OwnMetric | Mapping[str, OwnMetric]
"""A metric of one's own: a function, its dotted name, or several functions by `module:function` names."""

TASK = "task"
"""The name of the task."""


class Setup(msgspec.Struct, frozen=True):
    """A scenario, and what the host hands over for it."""

    scenario: Scenario
    clients: Mapping[str, Client]
    targets: Mapping[str, TargetFunction]
    metrics: Mapping[str, OwnMetric]


def set_up(
    name: str,
    prompt: PromptSpec,
    rows: RowsSpec,
    *,
    models: Sequence[ModelSpec],
    writer: ModelSpec | None,
    metric: MetricSpec | None,
    objective: Mapping[str, float] | None,
    settings: Mapping[str, object],
    task: Mapping[str, object],
) -> Setup:
    """The scenario over one task. Without a `writer` the first of the models writes too; a function cannot.

    `settings` are further keys of a scenario and go before what follows from the rest; `task` holds keys of
    the task. Raises InputError.
    """
    prompt = _prompt(prompt)
    found = _Models()
    targets = [found.add(model) for model in models]
    if writer is None and callable(models[0]):
        raise InputError("writer: a function of the application cannot write prompts; name a model that does")
    metrics, weights = _metrics(metric)
    weights = dict(objective) if objective is not None else weights
    scorer: dict[str, object] = {"metrics": sorted(metrics)}
    if weights:
        scorer["objective"] = weights
    own = bool(weights) and all(is_own(one) for one in weights)
    data: dict[str, object] = {
        "name": name,
        "reference": {"model": found.add(models[0] if writer is None else writer)},
        "endpoints": found.endpoints,
        "models": found.models,
        "targets": targets,
        "scorer": scorer,
        "tasks": {TASK: _task(rows, task, own=own)},
        "stages": {
            "source": {"tasks": [], "seed_prompts": [prompt.text], "seed_position": prompt.position},
            "target": {"tasks": [TASK]},
        },
    }
    # What a program names it may import: permission is for scenario files.
    scenario = Scenario.build(_merged(data, settings), allow_code=True)
    return Setup(scenario, found.clients, found.targets, metrics)


def _prompt(prompt: PromptSpec) -> Prompt:
    try:
        return prompt if isinstance(prompt, Prompt) else Prompt.of(prompt)
    except ValueError as error:
        raise InputError(f"prompt: {error}") from None


class _Models:
    """The sections `endpoints` and `models`, and the clients and functions beside them."""

    def __init__(self) -> None:
        self.endpoints: dict[str, Mapping[str, object]] = {}
        self.models: dict[str, Mapping[str, object]] = {}
        self.clients: dict[str, Client] = {}
        self.targets: dict[str, TargetFunction] = {}

    def add(self, spec: ModelSpec) -> str:
        """The name of a model, added where it is not there yet."""
        if callable(spec):
            return self._function(spec)
        given = {} if isinstance(spec, str) else dict(spec)
        named = isinstance(given.get("client"), str)  # the key of an endpoint
        client = None if named else cast("Client | None", given.pop("client", None))
        sections = model_sections(spec if isinstance(spec, str) else given)
        model = str(sections.model["model"])
        endpoint = sections.endpoint
        if client is not None and not {"base_url", "local", "host"} & endpoint.keys():
            endpoint = {**endpoint, "host": f"client-of-{model}"}
        key = self._endpoint(endpoint, model, client)
        return self._named(model, {**sections.model, "endpoint": key})

    def _function(self, function: TargetFunction) -> str:
        kind = type(function)
        name = str(getattr(function, "__name__", kind.__name__))
        where = str(getattr(function, "__qualname__", kind.__qualname__))
        host = f"{getattr(function, '__module__', kind.__module__)}.{where}"
        name = self._named(name, {"endpoint": self._endpoint({"host": host}, name, None), "model": name})
        self.targets[name] = function
        return name

    def _endpoint(self, endpoint: Mapping[str, object], name: str, client: "Client | None") -> str:
        for key, known in self.endpoints.items():
            if known == endpoint and self.clients.get(key) is client and "host" not in endpoint:
                return key
        key = _free(name, self.endpoints)
        self.endpoints[key] = endpoint
        if client is not None:
            self.clients[key] = client
        return key

    def _named(self, name: str, model: Mapping[str, object]) -> str:
        for key, known in self.models.items():
            if known == model:
                return key
        key = _free(name, self.models)
        self.models[key] = model
        return key


def _free(name: str, taken: Mapping[str, object]) -> str:
    key, number = name, 2
    while key in taken:
        key, number = f"{name}-{number}", number + 1
    return key


def _metrics(metric: MetricSpec | None) -> tuple[dict[str, OwnMetric], dict[str, float]]:
    """Metrics of one's own by name, and the weights of the objective: all alike.

    One that a program names itself may be imported; those that `settings` name may not.
    """
    if metric is None:
        return {}, {}
    if isinstance(metric, str):
        found = {metric: load(metric, Path.cwd(), allow_code=True)}
    elif isinstance(metric, Mapping):
        found = dict(metric)
    else:
        name = str(getattr(metric, "__name__", ""))
        found = {f"own:{name if name.isidentifier() else 'metric'}": metric}
    for name in found:
        if not is_own(name):
            raise InputError(f"metric {name}: expected a name of the form module:function, e.g. own:{name}")
    return found, dict.fromkeys(found, 1.0)


def _task(rows: RowsSpec, task: Mapping[str, object], *, own: bool) -> dict[str, object]:
    """The task's keys; its kind and its fields are guessed from the rows where `task` does not name a kind.

    Where the objective is of metrics of one's `own` alone and no answer is there, none is needed.
    """
    given: dict[str, object] = {**task}
    if isinstance(rows, str | Path):
        given["data"] = str(rows)
    else:
        given["rows"] = list(_records(rows))
        if not given["rows"]:
            raise InputError("rows: there are none; give at least one")
    if "kind" in given or "preset" in given:
        return given
    fields = cast("Mapping[str, object]", given.get("fields") or {})
    answer = fields.get("answer")
    if isinstance(answer, list):
        raise InputError("fields.answer: several fields are for kind: extraction; give kind=")
    if own and answer is None and not _has_answers(given):
        return {**given, "kind": "judged"}
    guessed = _guessed(given, None if answer is None else str(answer))
    known = {"question": guessed.question, "answer": guessed.answer} if not given.get("template") else {}
    options = list(guessed.choices) if len(guessed.choices) > 1 else "".join(guessed.choices)
    choices = {"choices": options} if options else {}
    return {**given, "kind": guessed.kind, "fields": {**known, **choices, **fields}}


def _records(rows: Iterable[object] | DataFrame) -> Iterator[dict[str, object]]:
    """Rows as mappings; a missing value of a data frame is None."""
    if isinstance(rows, DataFrame):
        rows = cast("list[object]", rows.astype(object).where(rows.notna(), None).to_dict("records"))
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise InputError(
                f"rows: row {number} is {type(row).__name__} {row!r:.80}; expected a mapping of its fields, "
                "e.g. {'text': 'Which page?', 'label': 'routine'}"
            )
        yield dict(cast("Mapping[str, object]", row))


def _first(task: Mapping[str, object]) -> list[Mapping[str, object]]:
    return list(islice(cast("list[Mapping[str, object]]", task["rows"]), ROWS))


def _has_answers(task: Mapping[str, object]) -> bool:
    """True where the rows have an answer under a usual name; files are looked at when they are guessed."""
    if "rows" in task:
        return any(name in ANSWERS for name in _first(task)[0])
    try:
        return _guessed(task, None).answer in ANSWERS
    except InputError:
        return False


def _guessed(task: Mapping[str, object], answer: str | None) -> Guess:
    if "rows" in task:
        return guess_rows("rows", _first(task), answer)
    data = str(task["data"])
    if "://" in data:
        raise InputError(f"{data}: the kind of task cannot be guessed from an address; give kind= or preset=")
    return guess(Path(data), answer)


def _merged(data: Mapping[str, object], settings: Mapping[str, object]) -> dict[str, object]:
    """The sections of both, keys of `settings` before those of `data`, on every level."""
    found = dict(data)
    for key, value in settings.items():
        before = found.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            found[key] = _merged(cast("Mapping[str, object]", before), cast("Mapping[str, object]", value))
        else:
            found[key] = value
    return found
