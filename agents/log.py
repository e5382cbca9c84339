"""The log's view of a run: one line an event, without the bulk that the history holds."""

from collections.abc import Callable

import msgspec
from structlog.typing import FilteringBoundLogger

from ..runtime.bus import Event, current_header, route_name
from .messages import BatchAnswered, ProblemMet, PromptScored, PromptsKept, PromptsProposed, TargetTested


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
