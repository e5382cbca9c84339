"""Checks of a scenario before any call is made, and the estimate of what its budget buys."""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from ..runtime.evaluation.objective import Objective
from ..runtime.evaluation.own_metrics import OwnMetric
from ..runtime.llm.stack import check_endpoints
from ..runtime.tasks.load import LoadedTask
from ..runtime.tasks.task import Task
from ..scenarios import Scenario
from ..scenarios.scenario import variants
from .coordinator.estimate import Estimate, estimate
from .coordinator.plan import CallCounts, check_budget, hosted, target_plans
from .judge.rubrics import Judging
from .loading import foreseen, load_tasks
from .parts import Parts
from .reference.agent import Writing
from .reference.operators import known
from .reference.strategies import Strategy, strategy_of
from .scorer import Readings

if TYPE_CHECKING:
    from ..runtime.llm.relay import Relay

DEFAULT_OPERATORS = ("improve", "exemplify")


class Checked(msgspec.Struct, frozen=True):
    """A scenario found valid: its tasks with their rows, how each is read before any call, what is judged."""

    loaded: dict[str, LoadedTask]
    readings: Readings
    judging: Judging
    objective: Objective

    @property
    def tasks(self) -> dict[str, Task]:
        return {name: loaded.task for name, loaded in self.loaded.items()}


def check(
    scenario: Scenario,
    strategy: Strategy,
    parts: Parts,
    metrics: Mapping[str, OwnMetric],
    loaded: Mapping[str, LoadedTask] | None = None,
) -> Checked:
    """Check everything that can be wrong before a call is made: data, objective, judge, metrics of one's own,
    operators, keys, model files, readings, variants, and a budget that is too small. Raises InputError.

    `loaded` are the tasks where they are loaded already.
    """
    variants(scenario, scenario.folder)
    objective = Objective.of(scenario.scorer)
    judging = Judging.of(
        scenario.scorer, objective, metrics, folder=scenario.folder, allow_code=scenario.allow_code
    )
    writing(scenario)
    parts.check(scenario)
    check_endpoints(scenario, parts.clients_for(scenario), parts.served)
    loaded = load_tasks(scenario) if loaded is None else dict(loaded)
    tasks = {name: task.task for name, task in loaded.items()}
    judging.check(tasks)
    parts.check_texts(scenario, tasks)
    readings = foreseen(scenario, tasks, hosted(scenario), parts.targets)
    plans = target_plans(scenario, strategy)
    check_budget(scenario, strategy, CallCounts(loaded, readings, judging), plans)
    return Checked(loaded, readings, judging, objective)


def check_scenario(scenario: Scenario) -> Checked:
    """`check` for a scenario as the command line runs it, with nothing brought by an application."""
    relay = relay_of(scenario, (), ())
    parts = Parts({} if relay is None else relay.clients, {}, frozenset())
    return check(scenario, strategy_of(scenario), parts, {})


def estimate_scenario(scenario: Scenario) -> Estimate:
    """Estimate what the budget of a scenario buys; no call is made. Raises InputError as `check` does."""
    return estimated(scenario, strategy_of(scenario), check_scenario(scenario))


def estimated(scenario: Scenario, strategy: Strategy, checked: Checked) -> Estimate:
    """Estimate what the budget of a valid scenario buys; no call is made."""
    return estimate(scenario, strategy, checked.loaded, checked.readings, checked.judging)


def writing(scenario: Scenario, tasks: Iterable[Task] = ()) -> Writing:
    """Call settings of the reference LLM. Raises InputError for an operator that does not exist."""
    settings = scenario.reference
    model = scenario.models[settings.model]
    endpoint = scenario.endpoints[model.endpoint]
    temperature = settings.temperature if model.temperature is None else model.temperature
    last = settings.final_temperature
    # A prompt with variables or turns of its own has its place already.
    placed = all(task.placed for task in tasks)
    positions = tuple(settings.positions) if placed else (scenario.stages.source.seed_position,)
    return Writing(
        model=model.model,
        temperature=temperature,
        final_temperature=temperature if last is None else last,
        max_tokens=model.max_tokens or settings.max_tokens,
        max_characters=settings.max_characters,
        operators=known(settings.operators or DEFAULT_OPERATORS),
        population=settings.population,
        positions=positions,
        seed=scenario.seed,
        seeded=endpoint.local is not None if endpoint.seeded is None else endpoint.seeded,
    )


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
