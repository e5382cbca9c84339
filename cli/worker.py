"""The process of a worker, from the command line."""

from collections.abc import Callable, Sequence

from pydantic import ValidationError

from ..agents.team import Team
from ..scenarios import Bus, Scenario
from ..scenarios.errors import InputError
from .run import run_event_loop


def run_worker(
    scenario: Scenario, hosts: Sequence[str], *, url: str | None, say: Callable[[str], None]
) -> None:
    """Host these agents (`target:NAME`, `scorer`) until SIGTERM; `say` gets a line for what happens.

    `url` goes before the address in the scenario. Raises InputError for what is wrong here, BusError when
    the nats-server is out of reach.
    """
    settings = _settings(scenario, url)
    team = Team(scenario.model_copy(update={"bus": settings}))  # says it where the extra is missing
    from ..agents._worker import Hosts, Worker

    worker = Worker(scenario, team.prepared(), settings=settings, hosts=Hosts.of(hosts, scenario), say=say)
    run_event_loop(worker.run)


def _settings(scenario: Scenario, url: str | None) -> Bus:
    if url is None and scenario.bus is None:
        raise InputError("--bus: give the address of the nats-server, here or as `bus` in the scenario")
    named = {} if scenario.bus is None else scenario.bus.model_dump()
    try:
        return Bus.model_validate(named | ({"url": url} if url else {}))
    except ValidationError as error:
        raise InputError(f"--bus {url}: expected nats://host:port, without credentials") from error
