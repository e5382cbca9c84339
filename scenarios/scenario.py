"""A scenario: everything a run needs, as people write it, and how it is loaded."""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple, Self, cast, get_args, get_origin

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, model_validator

from ._yaml import read_yaml
from .document import Document, Key, parse, read_text, refuse_secrets
from .endpoints import BusAddress, Endpoint, Misplaced, Model, Seed, Strict
from .errors import InputError, nearest
from .stages import (
    BudgetSettings,
    ComparisonSettings,
    RaceSettings,
    ReferenceSettings,
    RunName,
    ScorerSettings,
    StagesSettings,
    StrategyName,
)
from .tasks import TaskSettings, names_file

PROBLEMS = 50
"""Problems of one scenario that are listed."""
SHOWN = 200
"""Characters shown of a wrong value."""


class Scenario(Strict):
    """A validated scenario: `load` it from a file, or `build` it in code from the same keys.

    `folder` is where its relative paths start.
    """

    name: RunName = Field(description="Names the run and its folder.", examples=["reviews-to-tickets"])
    description: str = Field(
        default="",
        description="One line, shown by `tprompt scenarios`.",
        examples=["Reviews to tickets, two models."],
    )
    seed: Seed = Field(default=0, description="All randomness of the run comes from this.")
    endpoints: dict[str, Endpoint] = Field(
        min_length=1,
        description="Servers of models, each under a name of your own.",
        examples=[
            {"openai": {"base_url": "https://api.openai.com/v1", "api_key_env": "OPENAI_API_KEY"}},
            {"embedded": {"local": "smollm2-135m-instruct"}},
        ],
    )
    models: dict[str, Model] = Field(
        min_length=1,
        description="Models by a name of your own: an endpoint, the name it knows, sampling and prices.",
        examples=[{"small": {"endpoint": "openai", "model": "gpt-4.1-nano"}}],
    )
    reference: ReferenceSettings = Field(description="The model that writes candidates, and its settings.")
    scorer: ScorerSettings = Field(
        default_factory=ScorerSettings, description="The objective, the judge, and who answers."
    )
    targets: list[str] = Field(
        min_length=1, description="Names of models the prompts are for.", examples=[["small"]]
    )
    tasks: dict[str, TaskSettings] = Field(
        min_length=1,
        description="Tasks by a name of your own: data, kind of answer, and how it is asked and read.",
        examples=[
            {"reviews": {"data": "reviews.jsonl", "kind": "classification", "labels": ["bad", "good"]}}
        ],
    )
    strategy: StrategyName = Field(
        default="transfer",
        description="Way to propose candidates: `transfer` takes both stages; `opro`, `evolution` and "
        "`reflect` search each target alone; `ask` asks once; `original` changes nothing. Also one of your "
        "own, `package.module:name` or the name of an entry point.",
        examples=["opro", "my_package.strategies:brief"],
    )
    stages: StagesSettings = Field(description="The two stages: their tasks, and optional caps.")
    race: RaceSettings = Field(default_factory=RaceSettings, description="Comparison of candidates.")
    deterministic: bool = Field(
        default=False,
        description="Take results in the order in which work was issued: equal seeds then give equal results "
        "whatever the latency, at the price of waiting. Default: as they arrive, in a recorded order.",
    )
    compare: ComparisonSettings | None = Field(
        default=None,
        description="Run the scenario once for each variant and seed, and compare the results.",
        examples=[{"variants": {"whole": {}, "target-only": {"stages.source.tasks": []}}}],
    )
    budget: BudgetSettings = Field(
        default_factory=BudgetSettings, description="Size of the search, and caps on the whole run."
    )
    bus: BusAddress | None = Field(
        default=None,
        description="The nats-server over which workers on other machines (`tprompt worker`) call the "
        "targets' models; default: every call is made from here.",
        examples=["nats://127.0.0.1:4222"],
    )
    cache: str | None = Field(
        default=None,
        description="A call ledger shared between runs, beside the run's own.",
        examples=["cache.sqlite"],
    )

    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _allow_code: bool = PrivateAttr(default=False)

    @property
    def folder(self) -> Path:
        """The folder where relative paths start."""
        return self._folder

    @property
    def allow_code(self) -> bool:
        """True when Python modules that it names may be imported; the caller decides, not the file."""
        return self._allow_code

    @property
    def seed_prompts(self) -> list[str]:
        """The texts of the seed prompts, read from their files where these are named. Raises InputError."""
        return [_held(prompt, self._folder) for prompt in self.stages.source.seed_prompts]

    def endpoint_of(self, model: str) -> Endpoint:
        """The endpoint that serves an entry of `models`."""
        return self.endpoints[self.models[model].endpoint]

    def search_rows(self, targets: int) -> int | None:
        """`BudgetSettings.search_rows`, where a cap in dollars that no price of a model reaches is no cap."""
        budget = self.budget
        names = {self.reference.model, *self.targets, self.scorer.model}
        if not any(self.models[name].price.usd(1, 1) for name in names if name is not None):
            budget = budget.model_copy(update={"usd": None})
        return budget.search_rows(targets)

    def at(self, folder: Path, *, allow_code: bool = False) -> Self:
        """The same scenario, its relative paths starting at `folder`."""
        copy = self.model_copy()
        copy._folder = folder
        copy._allow_code = allow_code
        return copy

    def absolute(self) -> Self:
        """The same scenario with absolute paths, so that it can be moved to another folder."""
        tasks = {name: task.at(self._folder) for name, task in self.tasks.items()}
        endpoints = {name: endpoint.at(self._folder) for name, endpoint in self.endpoints.items()}
        cache = None if self.cache is None else str(self._folder / self.cache)
        source = self.stages.source.model_copy(update={"seed_prompts": self.seed_prompts})
        stages = self.stages.model_copy(update={"source": source})
        return self.model_copy(
            update={"tasks": tasks, "endpoints": endpoints, "cache": cache, "stages": stages}
        )

    @classmethod
    def load(
        cls, scenario: str | Path, overrides: Iterable[str] = (), *, allow_code: bool = False
    ) -> "Scenario":
        """The scenario at a path, or the bundled one of that name; see `scenarios.load`."""

        return load(scenario, overrides, allow_code=allow_code)

    @classmethod
    def build(
        cls, data: Mapping[str, object], folder: str | Path | None = None, *, allow_code: bool = False
    ) -> "Scenario":
        """The scenario with these keys, as a file would hold them; rows of tasks may be given under `rows`.

        Relative paths start at `folder`, by default the working directory. Raises InputError as `load` does.
        `allow_code`: parts named `module:name` may be imported, which runs their code.
        """
        document = Document("scenario", dict(data))
        return build(document, Path(folder) if folder else Path.cwd(), allow_code=allow_code)

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for role, name in (("reference", self.reference.model), ("scorer", self.scorer.model)):
            if name is not None:
                _known((role, "model"), name, self.models, "models")
        _all_known(("targets",), self.targets, self.models, "models")
        _all_known(("bus", "models"), (self.bus and self.bus.models) or (), self.models, "models")
        for key, model in self.models.items():
            _known(("models", key, "endpoint"), model.endpoint, self.endpoints, "endpoints")
        for stage, tasks in (("source", self.stages.source.tasks), ("target", self.stages.target.tasks)):
            _all_known(("stages", stage, "tasks"), tasks, self.tasks, "tasks")
        scorer = self.scorer
        judges = bool(scorer.judge) or scorer.judge_prompt
        if scorer.model is None and (judges or scorer.answers == "scorer"):
            raise Misplaced(("scorer", "model"), "needed to judge, or to answer for the targets")
        return self


def _all_known(path: tuple[Key, ...], named: Sequence[str], names: Mapping[str, object], where: str) -> None:
    for i, name in enumerate(named):
        _known((*path, i), name, names, where)
        if name in named[:i]:
            raise Misplaced((*path, i), f"{name!r} is named twice")


def _known(path: tuple[Key, ...], name: str, names: Mapping[str, object], where: str) -> None:
    if name not in names:
        raise Misplaced(path, f"{name!r} is not an entry of {where}; {nearest(name, names)}")


def load(scenario: str | Path, overrides: Iterable[str] = (), *, allow_code: bool = False) -> Scenario:
    """The scenario at a path, or the bundled one of that name, with `key.path=value` overrides applied.

    `allow_code`: parts that it names as `module:name` may be imported, which runs their code.

    Raises InputError: no such scenario, YAML that does not parse, an unknown key, a wrong value, a secret.
    """
    path = find(scenario)
    document = parse(read_text(path), str(path))
    for override in overrides:
        _override(document, override)
    return build(document, path.parent, allow_code=allow_code)


def find(scenario: str | Path) -> Path:
    """The file of a scenario given by path or bundled name; InputError when there is none."""
    path = Path(scenario)
    if path.exists() and not path.is_dir():
        return path
    names = bundled()
    if str(scenario) in names:
        return names[str(scenario)]
    if path.is_dir():
        inside = ", ".join(file.name for file in _scenario_files(path))
        raise InputError(f"{scenario}: a folder; give the scenario file{inside and f' in it: {inside}'}")
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        beside = [str(file) for file in _scenario_files(path.parent)]
        hint = f"; {nearest(str(path), beside)}" if beside else ""
        raise InputError(f"{scenario}: no such scenario file{hint}")
    known = [*names, *(str(file) for file in _scenario_files(path.parent))]
    raise InputError(f"{scenario}: neither a file nor a bundled scenario; {nearest(str(scenario), known)}")


def completions(incomplete: str) -> list[str]:
    """Completions of SCENARIO: bundled names, scenario files, and folders that may hold some."""
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    below = [f"{entry}/" for entry in sorted(folder.glob("*/")) if not entry.name.startswith(".")]
    found = [*bundled(), *(str(file) for file in _scenario_files(folder)), *below]
    return [name for name in found if name.startswith(incomplete)]


def _scenario_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if file.suffix in {".yaml", ".yml"})


def bundled() -> dict[str, Path]:
    """The bundled scenarios by name."""
    paths = (
        Path(str(entry))
        for entry in files(__name__.rpartition(".")[0]).iterdir()
        if entry.name.endswith(".yaml")
    )
    return {path.stem: path for path in sorted(paths)}


def build(document: Document, folder: Path, *, allow_code: bool = False) -> Scenario:
    """Validate a document; InputError lists every problem with its file, line and key."""
    refuse_secrets(document)
    try:
        return Scenario.model_validate(document.data).at(folder, allow_code=allow_code)
    except ValidationError as invalid:
        errors = cast("list[Mapping[str, object]]", invalid.errors(include_url=False))
        problems = dict.fromkeys(_problem(document, error) for error in errors[:PROBLEMS])
        if len(errors) > PROBLEMS:
            problems[f"and {len(errors) - PROBLEMS:,} more problems"] = None
        raise InputError("\n".join(problems)) from None


def _held(prompt: str, folder: Path) -> str:
    if not names_file(prompt):
        return prompt
    path = folder / Path(prompt.strip()).expanduser()
    text = read_text(path).strip()
    if not text:
        raise InputError(f"{path}: the file of the prompt is empty")
    return text


def _problem(document: Document, error: Mapping[str, object]) -> str:
    path = cast("tuple[Key, ...]", error["loc"])
    context = cast("Mapping[str, object]", error.get("ctx", {}))
    if isinstance(found := context.get("error"), Misplaced):
        return f"{document.place((*path, *found.path))}: {found.problem}"
    where = document.place(path)
    message = str(error["msg"]).removeprefix("Value error, ")
    match error["type"]:
        case "extra_forbidden":
            return f"{where}: unknown key{_nearest(path)}"
        case "missing":
            return f"{where}: missing; this key is required"
        case "value_error":
            return f"{where}: {message}"
        case "string_pattern_mismatch" if path[-1] == "[key]":
            return f"{document.place(path[:-1])}: this name must match {context['pattern']}"
        case _:
            return f"{where}: {message}, got {_shortened(repr(error['input']))}"


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _nearest(path: tuple[Key, ...]) -> str:
    known = sorted(_model_at(path[:-1]).model_fields)
    return f"; {nearest(str(path[-1]), known, all_are='known keys here are')}"


def _model_at(path: tuple[Key, ...]) -> type[BaseModel]:
    """The pydantic class that validates the mapping at this path."""
    model: type[BaseModel] = Scenario
    keys = iter(path)
    for key in keys:
        field = model.model_fields.get(str(key))
        if field is not None:
            model = _class_in(field.annotation) or model
            if _by_name(field.annotation):
                next(keys, None)
    return model


def _by_name(annotation: object) -> bool:
    """True when the keys of this value are names of the user's own."""
    return any(get_origin(kind) is dict for kind in (annotation, *get_args(annotation)))


def _class_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _class_in(inner)
        if found is not None:
            return found
    return None


def _override(document: Document, override: str) -> None:
    path, equals, value = override.partition("=")
    if not equals or not path.strip():
        raise InputError(f"--set {override}: expected key.path=value, e.g. --set budget.calls=500")
    parsed, _ = read_yaml(value, f"--set {override}")
    document.set(path.strip(), parsed, f"--set {override}")


DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> str:
    """The schema as indented JSON; `schema.json` beside this file holds the same text."""
    schema = {"$schema": DIALECT, **Scenario.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False)


class Variant(NamedTuple):
    """One run of a comparison: `folder` is the name of its output folder within the comparison's."""

    folder: str
    scenario: Scenario


def variants(scenario: Scenario, cache: Path) -> list[Variant]:
    """Every variant with every seed, in the order of the file, all sharing the call ledger `cache`.

    A run is named `SCENARIO-VARIANT`, or as the scenario where it has seeds only. Raises InputError for a
    key that does not exist or a wrong value.
    """
    comparison = scenario.compare
    if comparison is None:
        return []
    found: list[Variant] = []
    for name, values in (comparison.variants or {"": {}}).items():
        for seed in comparison.seeds:
            data = scenario.model_dump(mode="json", exclude={"compare"}, exclude_defaults=True)
            where = f"compare.variants.{name}"
            document = Document(where, data)
            for key, value in values.items():
                document.set(key, value, f"{where}.{key}")
            called = f"{scenario.name}-{name}" if name else scenario.name
            shared = {"name": called, "seed": seed, "cache": str(cache.absolute())}
            document.data.update(shared)
            run = build(document, scenario.folder, allow_code=scenario.allow_code)
            found.append(Variant(f"{name or 'seed'}-{seed}", run))
    return found
