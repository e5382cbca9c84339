"""Parts of a team that the application which runs it brings: clients, functions, served targets."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import msgspec

from ..runtime.llm.connection import Client
from ..runtime.messages import CompareResponses, JudgePrompt, JudgeResponses, Propose, Reflect, Score
from ..runtime.tasks.task import Task
from ..scenarios import Scenario
from ..scenarios.errors import InputError
from ..scenarios.plugins import check_arguments
from .application import ApplicationClient, NobodyClient, TargetFunction
from .coordinator.plan import hosted, originals

SERVABLE: frozenset[type] = frozenset(
    {Score, Propose, Reflect, JudgeResponses, JudgePrompt, CompareResponses}
)
"""Requests that the host may serve on the bus itself; `Answer` it serves for one target at a time."""


class Parts(msgspec.Struct, frozen=True):
    """Chat clients by endpoint, functions by target model, and the target models that the team need not host
    because `Answer` is served for them on the bus.

    `kinds` are requests that the host serves on the bus in place of the Scorer, Reference or Judge.
    """

    clients: Mapping[str, Client]
    targets: Mapping[str, TargetFunction]
    served: Collection[str]
    kinds: Collection[type] = ()

    def check(self, scenario: Scenario) -> None:
        """Raises InputError when the parts do not fit the scenario, or one that it needs is missing."""
        self._check_kinds()
        _known(scenario, "targets", self.targets)
        _known(scenario, "served", self.served)
        if twice := sorted(set(self.targets) & set(self.served)):
            raise InputError(f"targets: {', '.join(twice)}: served on the bus already")
        for name in self.targets:
            self._check_target(scenario, name)
        for name in sorted({*hosted(scenario)} - {*self.targets, *self.served}):
            endpoint = scenario.models[name].endpoint
            if scenario.endpoints[endpoint].host is not None and endpoint not in self.clients:
                raise InputError(
                    f"endpoints.{endpoint}.host: nothing answers for model {name!r}; the application hands "
                    "over a function for it (targets) or a client for the endpoint (clients), or serves it "
                    "on the bus (served)"
                )

    def check_texts(self, scenario: Scenario, tasks: Mapping[str, Task]) -> None:
        """Raises InputError where the original prompts have texts by name, and these differ, or a model that
        the application does not answer for is to be asked with them."""
        first, *others = originals(scenario, tasks.values())
        names = list(first.texts)
        if unlike := next((one for one in others if list(one.texts) != names), None):
            raise InputError(
                f"original prompts: the texts {_listed(names)} and {_listed(unlike.texts)}; every prompt of "
                "tasks and seed_prompts needs the same names in the same order"
            )
        own = {*self.targets, *self.served}
        if names and (models := sorted({*hosted(scenario)} - own)):
            raise InputError(
                f"targets: {', '.join(models)}: a prompt of several texts ({_listed(names)}) is for a "
                "function of the application; hand one over (targets), or give the model one text"
            )

    def clients_for(self, scenario: Scenario) -> dict[str, Client]:
        """The clients by endpoint, those that ask the application's functions among them."""
        functions: dict[str, dict[str, TargetFunction]] = defaultdict(dict)
        for name, function in self.targets.items():
            model = scenario.models[name]
            functions[model.endpoint][model.model] = function
        own = {
            name: ApplicationClient(name, answer, timeout=scenario.endpoints[name].timeout)
            for name, answer in functions.items()
        }
        return {**self._unasked(scenario), **self.clients, **own}

    def _unasked(self, scenario: Scenario) -> dict[str, Client]:
        """Clients that are never asked: of `host` endpoints whose models only have roles the host serves."""
        replaced: list[str | None] = []
        if set(self.kinds) >= {Propose, Reflect}:
            replaced.append(scenario.reference.model)
        if set(self.kinds) >= {JudgeResponses, JudgePrompt, CompareResponses}:
            replaced.append(scenario.scorer.model)
        names = {scenario.models[name].endpoint for name in replaced if name is not None}
        return {name: NobodyClient() for name in names if scenario.endpoints[name].host is not None}

    def _check_kinds(self) -> None:
        for kind in self.kinds:
            if kind not in SERVABLE:
                names = ", ".join(sorted(one.__name__ for one in SERVABLE))
                given = getattr(kind, "__name__", kind)
                raise InputError(f"served: {given}: expected the name of a target, or one of {names}")

    def _check_target(self, scenario: Scenario, name: str) -> None:
        check_arguments(f"targets: {name}", self.targets[name], "prompt", "question")
        model = scenario.models[name]
        if scenario.endpoints[model.endpoint].host is None:
            raise InputError(
                f"targets: {name}: a function needs an endpoint of its own; write "
                f"endpoints.{model.endpoint} as {{host: NAME}}, where NAME says what answers"
            )
        if model.endpoint in self.clients:
            raise InputError(f"targets: {name}: a client for its endpoint {model.endpoint} is there already")
        for other in self.targets:
            twin = scenario.models[other]
            if other != name and (twin.endpoint, twin.model) == (model.endpoint, model.model):
                raise InputError(f"targets: {name} and {other} are one model of one endpoint")
        for key, writer in (("reference", scenario.reference.model), ("scorer", scenario.scorer.model)):
            if writer is not None and scenario.models[writer].endpoint == model.endpoint:
                raise InputError(
                    f"{key}.model: {writer!r} has the endpoint {model.endpoint}; a function answers there, "
                    "and only a model can write"
                )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "(none)"


def _known(scenario: Scenario, what: str, names: Iterable[str]) -> None:
    if unknown := sorted(set(names) - {*hosted(scenario)}):
        raise InputError(
            f"{what}: {', '.join(unknown)}: no target of the scenario; it has "
            f"{', '.join(sorted(hosted(scenario)))}"
        )
