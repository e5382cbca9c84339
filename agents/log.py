"""The log's view of a run: one line an event, without the bulk that the history holds."""

from collections.abc import Callable

import msgspec
import structlog

from ..runtime.bus import Event
from .messages import BatchAnswered, ProblemMet, PromptScored, PromptsKept, PromptsProposed, TargetTested


def log_events(log: structlog.typing.FilteringBoundLogger) -> Callable[[Event], None]:
    """A subscriber that logs every event under its name."""

    def write(event: Event) -> None:
        name, facts = type(event).__name__, _facts(event)
        if isinstance(event, ProblemMet):
            log.warning(name, **facts)
        elif isinstance(event, BatchAnswered):
            log.debug(name, **facts)
        else:
            log.info(name, **facts)

    return write


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
