"""Building the agents of a team: the host's parts, the endpoints' abilities, one agent per role."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..runtime.bus import Bus
from ..runtime.errors import EndpointError
from ..runtime.llm.chat import ChatClient
from ..runtime.llm.connection import Client
from ..runtime.llm.probes import probe_logprobs, unreachable
from ..runtime.llm.stack import Models
from ..runtime.tasks.task import Task
from ..scenarios import Scenario
from ..scenarios.errors import InputError
from .application import ApplicationClient, TargetFunction
from .coordinator.plan import hosted
from .loading import probed
from .reference.agent import Writing
from .reference.operators import known
from .scorer import Readings
from .target import Sampling, Target

if TYPE_CHECKING:
    from ..runtime.llm.relay import Relay


@dataclass(frozen=True, slots=True)
class Parts:
    """Chat clients by endpoint, functions by target model, and the target models that the team need not host
    because `Answer` is served for them on the bus."""

    clients: Mapping[str, Client]
    targets: Mapping[str, TargetFunction]
    served: Collection[str]

    def check(self, scenario: Scenario) -> None:
        """Raises InputError when the parts do not fit the scenario, or one that it needs is missing."""
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
        return {**self.clients, **own}

    def _check_target(self, scenario: Scenario, name: str) -> None:
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


def _known(scenario: Scenario, what: str, names: Iterable[str]) -> None:
    if strangers := sorted(set(names) - {*hosted(scenario)}):
        raise InputError(
            f"{what}: {', '.join(strangers)}: no target of the scenario; it has "
            f"{', '.join(sorted(hosted(scenario)))}"
        )


async def lost_targets(
    scenario: Scenario, endpoints: Iterable[str], missing: Mapping[str, str], *, judges: bool
) -> dict[str, str]:
    """The target models whose endpoint, one of these, accepts no connection, or that are `missing`, with the
    reason.

    EndpointError when it is the reference LLM (or, where it `judges`, the scorer LLM), or when no target is
    left.
    """
    reasons: dict[str, str] = {}
    for name in endpoints:
        url = scenario.endpoints[name].base_url
        reason = None if url is None else await unreachable(str(url))
        if reason is not None:
            reasons[name] = reason
    roles = {"reference LLM": scenario.reference.model}
    if scenario.scorer.model is not None and judges:
        roles["scorer LLM"] = scenario.scorer.model
    unusable = {
        name: f"endpoint {model.endpoint!r}: {reasons[model.endpoint]}"
        for name, model in scenario.models.items()
        if model.endpoint in reasons
    } | dict(missing)
    for role, model in roles.items():
        if model in unusable:
            raise EndpointError(f"{role}: {unusable[model]}")
    lost = {model: unusable[model] for model in hosted(scenario) if model in unusable}
    if len(lost) == len(hosted(scenario)):
        raise EndpointError("no target can be reached: " + "; ".join(sorted(set(lost.values()))))
    return lost


async def logprobs(
    scenario: Scenario, parts: Parts, models: Models, lost: Mapping[str, str]
) -> dict[str, bool]:
    """Whether each target model returns log-probabilities: as the scenario says, else tried once. Functions
    of the application have none; models that are lost are taken to have them."""
    return {name: name in lost or await _able(scenario, parts, name, models) for name in hosted(scenario)}


async def _able(scenario: Scenario, parts: Parts, model: str, models: Models) -> bool:
    endpoint = scenario.endpoint_of(model)
    if model in parts.targets:
        return False
    if model in parts.served or not probed(scenario, model):
        return bool(endpoint.logprobs)
    name = scenario.models[model].model
    return await probe_logprobs(models.client(model, "target"), name, endpoint.top_logprobs)


DEFAULT_OPERATORS = ("improve", "exemplify")


def target_agent(
    bus: Bus,
    scenario: Scenario,
    name: str,
    *,
    client: ChatClient,
    tasks: Mapping[str, Task],
    readings: Readings,
    kind: type[Target] = Target,
) -> Target:
    """The Target of the model `name`, as the scenario wants it called."""
    return kind(
        bus,
        name=name,
        client=client,
        sampling=sampling(scenario, name),
        tasks=tasks,
        readings={task: reading for (task, other), reading in readings.items() if other == name},
    )


def sampling(scenario: Scenario, name: str) -> Sampling:
    """How the model `name` is called to answer, or to judge."""
    model = scenario.models[name]
    return Sampling(model.model, model.temperature or 0.0, model.top_p, model.max_tokens)


def writing(scenario: Scenario) -> Writing:
    """How the reference LLM is called. Raises InputError for an operator that does not exist."""
    settings = scenario.reference
    model = scenario.models[settings.model]
    endpoint = scenario.endpoints[model.endpoint]
    temperature = settings.temperature if model.temperature is None else model.temperature
    last = settings.final_temperature
    return Writing(
        model=model.model,
        temperature=temperature,
        final_temperature=temperature if last is None else last,
        max_tokens=model.max_tokens or settings.max_tokens,
        max_characters=settings.max_characters,
        operators=known(settings.operators or DEFAULT_OPERATORS),
        population=settings.population,
        positions=tuple(settings.positions),
        seed=scenario.seed,
        seeded=endpoint.local is not None if endpoint.seeded is None else endpoint.seeded,
    )


def batches_at_once(scenario: Scenario, model: str) -> int:
    """Requests in hand at once; how many calls are sent at once is for the endpoint's limits to say."""
    return 2 * scenario.endpoint_of(model).limits.concurrency


def relay_of(scenario: Scenario, given: Collection[str], answered: Collection[str]) -> "Relay | None":
    """The relay of a scenario with a bus; None where no model is relayed. The application brings clients for
    the endpoints `given`, and answers for the targets `answered` itself.

    Raises InputError where the extra is missing, or a variable that `bus` names is not set.
    """
    if scenario.bus is None:
        return None
    from ..runtime.llm.relay import Relay

    relay = Relay(scenario, scenario.bus, given=given, answered=answered)
    return relay if relay.relays else None
