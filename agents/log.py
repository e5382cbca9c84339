"""The log's view of a run: one line an event, without the bulk that the history holds."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import anyio
import msgspec
from structlog.typing import FilteringBoundLogger

from ..runtime.bus import Bus, Event, current_header, route_name
from ..runtime.log import open_log
from .messages import BatchAnswered, ProblemMet, PromptScored, PromptsKept, PromptsProposed, TargetTested


@asynccontextmanager
async def logged(bus: Bus, log: FilteringBoundLogger | None, path: Path | None) -> AsyncGenerator[None]:
    """Log every event that is published inside to `log` and to the file at `path`, where they are given; also
    the last events of a run that fails or is cancelled."""
    with open_log(path) if path is not None else nullcontext() as file:
        writers = [log_events(each) for each in (log, file) if each is not None]

        def write(event: Event) -> None:
            for writer in writers:
                writer(event)

        async def follow() -> None:
            with anyio.CancelScope(shield=True):
                await observer.each(write)

        async with bus.events() as observer, anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            try:
                yield
            finally:
                observer.close()


def log_events(log: FilteringBoundLogger) -> Callable[[Event], None]:
    """A callback that logs every event under its name, with where in the run it was published: `run`, and for
    an event of a request's handler `ask` (the request's id) and `chain` (the requests that wait, outermost
    first)."""

    def write(event: Event) -> None:
        name, facts = type(event).__name__, {**_correlation(), **_facts(event)}
        if isinstance(event, ProblemMet):
            log.warning(name, **facts)
        elif isinstance(event, BatchAnswered):
            log.debug(name, **facts)
        else:
            log.info(name, **facts)

    return write


def _correlation() -> dict[str, object]:
    header = current_header()
    if header is None:
        return {}
    asked = {"ask": header.id, "chain": [route_name(step) for step in header.chain]} if header.chain else {}
    return {"run": header.run, **asked}


def _facts(event: Event) -> dict[str, object]:
    match event:
        case PromptsProposed():
            ids = [prompt.id for prompt in event.prompts]
            return {"scope": event.scope, "step": event.step, "prompts": ids, "refused": event.refused}
        case PromptScored():
            return {
                "scope": event.scope,
                "step": event.step,
                "split": event.split,
                "prompt": event.prompt.id,
                "origin": event.prompt.origin,
                "objective": event.objective,
            }
        case PromptsKept():
            ids = [prompt.id for prompt in event.prompts]
            return {"scope": event.scope, "prompts": ids, "reason": event.reason}
        case TargetTested():
            return {
                "task": event.task,
                "model": event.model,
                "part": event.part,
                "prompt": event.prompt.id,
                "objective": event.scorecard.objective,
            }
        case _:
            return msgspec.structs.asdict(event)
