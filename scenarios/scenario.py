"""A scenario: everything a run needs, as people write it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, PrivateAttr, model_validator

from .bus import BusAddress
from .document import Key
from .endpoints import Endpoint, Model
from .nearest import nearest
from .search import Comparison, Race, RunName, StrategyName
from .stages import Budget, Reference, Scorer, Stages
from .strict import Misplaced, Strict
from .tasks import Task


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
    seed: int = Field(default=0, description="All randomness of the run comes from this.")
    endpoints: dict[str, Endpoint] = Field(
        min_length=1,
        description="Where models are asked, by a name of your own.",
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
    reference: Reference = Field(description="Which model writes candidates, and how.")
    scorer: Scorer = Field(
        default_factory=Scorer, description="Who answers, what is weighed, what is judged."
    )
    targets: list[str] = Field(
        min_length=1, description="Names of models the prompts are for.", examples=[["small"]]
    )
    tasks: dict[str, Task] = Field(
        min_length=1,
        description="Tasks by a name of your own: data, kind of answer, and how it is asked and read.",
        examples=[
            {"reviews": {"data": "reviews.jsonl", "kind": "classification", "labels": ["bad", "good"]}}
        ],
    )
    strategy: StrategyName = Field(
        default="transfer",
        description="How candidates come about: `transfer` takes both stages; `opro`, `evolution` and "
        "`reflect` search each target alone; `ask` asks once; `original` changes nothing.",
    )
    stages: Stages = Field(description="The two stages: which tasks they take and how long.")
    race: Race = Field(default_factory=Race, description="How candidates that cannot win are stopped early.")
    compare: Comparison | None = Field(
        default=None,
        description="Run the scenario once per variant and seed, and line the results up.",
        examples=[{"variants": {"whole": {}, "target-only": {"stages.source.tasks": []}}}],
    )
    budget: Budget = Field(default_factory=Budget, description="Caps that nothing passes.")
    bus: BusAddress | None = Field(
        default=None,
        description="The nats-server where workers (`tprompt worker`) host the targets; left out means: all "
        "agents run in this process.",
        examples=["nats://127.0.0.1:4222"],
    )
    cache: str | None = Field(
        default=None,
        description="A call ledger shared between runs, beside the run's own.",
        examples=["cache.sqlite"],
    )

    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @property
    def folder(self) -> Path:
        """Where relative paths start."""
        return self._folder

    def endpoint_of(self, model: str) -> Endpoint:
        """Where an entry of `models` is served."""
        return self.endpoints[self.models[model].endpoint]

    def at(self, folder: Path) -> Self:
        """The same scenario, its relative paths starting at `folder`."""
        copy = self.model_copy()
        copy._folder = folder
        return copy

    def absolute(self) -> Self:
        """The same scenario with absolute paths, so that it can be moved to another folder."""
        tasks = {name: task.at(self._folder) for name, task in self.tasks.items()}
        endpoints = {name: endpoint.at(self._folder) for name, endpoint in self.endpoints.items()}
        cache = None if self.cache is None else str(self._folder / self.cache)
        return self.model_copy(update={"tasks": tasks, "endpoints": endpoints, "cache": cache})

    @classmethod
    def load(cls, scenario: str | Path, overrides: Iterable[str] = ()) -> "Scenario":
        """The scenario at a path, or the bundled one of that name; see `scenarios.load`."""
        from .load import load  # it builds scenarios, so it imports this module

        return load(scenario, overrides)

    @classmethod
    def build(cls, data: Mapping[str, object], folder: Path | None = None) -> "Scenario":
        """The scenario with these keys, as a file would hold them; rows of tasks may be given under `rows`.

        Relative paths start at `folder`, by default the working directory. Raises InputError as `load` does.
        """
        from .document import Document
        from .load import build

        return build(Document("scenario", dict(data)), folder or Path.cwd())

    @model_validator(mode="after")
    def _one_scenario_a_bus(self) -> Self:
        if self.bus is not None and self.compare is not None:
            raise Misplaced(
                ("bus",), "the runs of `compare` take place in one process; leave out one of the two"
            )
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for role, name in (("reference", self.reference.model), ("scorer", self.scorer.model)):
            if name is not None:
                _known((role, "model"), name, self.models, "models")
        for i, name in enumerate(self.targets):
            _known(("targets", i), name, self.models, "models")
        for key, model in self.models.items():
            _known(("models", key, "endpoint"), model.endpoint, self.endpoints, "endpoints")
        for stage, tasks in (("source", self.stages.source.tasks), ("target", self.stages.target.tasks)):
            for i, task in enumerate(tasks):
                _known(("stages", stage, "tasks", i), task, self.tasks, "tasks")
        scorer = self.scorer
        judges = bool(scorer.judge) or scorer.judge_prompt
        if scorer.model is None and (judges or scorer.answers == "scorer"):
            raise Misplaced(("scorer", "model"), "needed to judge, or to answer for the targets")
        return self


def _known(path: tuple[Key, ...], name: str, names: Mapping[str, object], where: str) -> None:
    if name not in names:
        raise Misplaced(path, f"{name!r} is not an entry of {where}; {nearest(name, names)}")
