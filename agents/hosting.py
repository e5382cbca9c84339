"""What a process needs to host agents: the Targets, and how each model is called."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ..runtime.bus import Bus
from ..runtime.errors import InputError
from ..runtime.llm.protocol import ChatClient
from ..runtime.tasks.task import Task
from ..scenarios import Scenario
from .operators import known
from .reference import Writing
from .scorer import BATCH, Readings
from .target import Sampling, Target

if TYPE_CHECKING:
    from .fleet import Fleet

DEFAULT_OPERATORS = ("improve",)


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
    """Batches at once: half again as many as fill the endpoint, so that it never waits for the next."""
    concurrency = scenario.endpoint_of(model).limits.concurrency
    return -(-3 * concurrency // (2 * BATCH)) + 1


def fleet_of(scenario: Scenario, clients: Collection[str], targets: Collection[str]) -> "Fleet | None":
    """The workers of a scenario with a bus; `clients` and `targets` are handed over by the application.

    Raises InputError where there are targets too, or the extra is missing.
    """
    if scenario.bus is None:
        return None
    if targets:
        raise InputError("targets: workers host the targets of a scenario with bus; leave one of them out")
    try:
        from .fleet import Fleet
    except ModuleNotFoundError as error:
        raise InputError(
            f"bus: needs the extra nats: pip install 'transfer-prompting[nats]' ({error})"
        ) from None
    return Fleet(scenario, scenario.bus, clients)
