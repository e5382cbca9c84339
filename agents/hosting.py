"""What a process needs to host the agents that answer for a target model."""

from collections.abc import Mapping

from ..runtime.bus import Bus
from ..runtime.llm.protocol import ChatClient
from ..runtime.tasks.task import Task
from ..scenarios import Scenario
from .scorer import BATCH, Readings
from .target import Sampling, Target


def target_agent(
    bus: Bus,
    scenario: Scenario,
    name: str,
    *,
    client: ChatClient,
    tasks: Mapping[str, Task],
    readings: Readings,
) -> Target:
    """The Target of the model `name`, as the scenario wants it called."""
    return Target(
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


def batches_at_once(scenario: Scenario, model: str) -> int:
    """Batches at once: half again as many as fill the endpoint, so that it never waits for the next."""
    concurrency = scenario.endpoints[scenario.models[model].endpoint].limits.concurrency
    return -(-3 * concurrency // (2 * BATCH)) + 1
