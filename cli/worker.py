"""The process of a worker, from the command line."""

import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus
from pydantic import ValidationError

from ..runtime.concurrency import ungrouped
from ..scenarios import Bus, Scenario
from ..scenarios.errors import InputError
from .run import run_event_loop

if TYPE_CHECKING:
    from ..runtime.llm.relay import RelayWorker


def run_worker(
    scenario: Scenario,
    models: Sequence[str],
    *,
    url: str | None,
    say: Callable[[str], object],
    metrics: str | None = None,
) -> None:
    """Serve calls of these entries of `models` until SIGTERM; `say` gets a line for what happens, and
    `metrics` is where metrics and health are served.

    Calls in flight finish then; a second SIGTERM ends them. `url` takes precedence over the address in the
    scenario. Raises what `RelayWorker` raises.
    """
    settings = _settings(scenario, url)
    from ..runtime.llm.relay import RelayWorker

    worker = RelayWorker(scenario, models, settings, say=say)

    async def serve() -> None:
        async with ungrouped(), _monitored(worker, metrics, say), anyio.create_task_group() as tasks:
            await tasks.start(_stop_on_sigterm, worker.stop, tasks.cancel_scope)
            await worker.run()
            tasks.cancel_scope.cancel()

    run_event_loop(serve)


@asynccontextmanager
async def _monitored(
    worker: "RelayWorker", where: str | None, say: Callable[[str], object]
) -> AsyncGenerator[None]:
    if where is None:
        yield
        return
    from ..runtime.report.monitor import WorkerMonitor, address, monitored

    host, port = address(where)
    monitor = WorkerMonitor(worker.state)
    async with monitored(monitor.families, monitor.health, host=host, port=port) as url:
        say(f"metrics: {url}/metrics, health: {url}/health")
        yield


async def _stop_on_sigterm(
    stop: Callable[[], None], everything: anyio.CancelScope, *, task_status: TaskStatus[None]
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        task_status.started()
        received = 0
        async for _ in signals:
            received += 1
            if received == 2:
                break
            stop()
    everything.cancel()


def _settings(scenario: Scenario, url: str | None) -> Bus:
    if url is None and scenario.bus is None:
        raise InputError("--bus: give the address of the nats-server, here or as `bus` in the scenario")
    named = {} if scenario.bus is None else scenario.bus.model_dump()
    try:
        return Bus.model_validate(named | ({"url": url} if url else {}))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise InputError(f"--bus: {problem}") from None  # without the address, which may hold a password
