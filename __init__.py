"""Prompt optimisation that transfers, as an async agent system (Transfer-Prompting, arXiv 2502.14211).

    import transfer_prompting as tp

    scenario = tp.Scenario.load("scenario.yaml")
    async with tp.Team(scenario) as team:
        team.bus.subscribe(tp.PromptScored, on_scored)
        results = await team.run()

`Scenario` describes a run, `Team` runs it, `Results` hold its outcome. The rest of these names are for hosts:
events to observe, messages to serve or intercept, what a host's own chat clients and targets are handed and
return, and the errors. Importing starts nothing, configures nothing, and loads a name only when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .agents.application import Response
    from .agents.reference.strategies import Strategy
    from .agents.team import Team
    from .runtime import errors
    from .runtime.bus import (
        Bus,
        EncodingBus,
        Event,
        Header,
        InProcessBus,
        Interceptor,
        Observer,
        Proceed,
        Request,
        current_header,
    )
    from .runtime.errors import (
        BudgetReached,
        BusError,
        CallFailed,
        EndpointError,
        InputError,
        TransferPromptingError,
    )
    from .runtime.evaluation.outcomes import Failed, Graded, Reply
    from .runtime.evaluation.scorecard import Scorecard
    from .runtime.llm.chat import ChatClient, ChatRequest, ChatResponse, Message, Usage
    from .runtime.messages import (
        Answer,
        Answered,
        BatchAnswered,
        CandidatesProposed,
        ProblemMet,
        PromptScored,
        Propose,
        Proposed,
        RunEnded,
        RunStarted,
        Score,
        Scored,
        SearchEnded,
        SearchStarted,
        TargetTested,
    )
    from .runtime.prompt import Prompt
    from .runtime.record.results import Results
    from .runtime.tasks.example import Question
    from .runtime.telemetry import Telemetry
    from .scenarios import Scenario

_MODULES = {
    "agents.application": ("Response",),
    "agents.reference.strategies": ("Strategy",),
    "agents.team": ("Team",),
    "runtime.bus": (
        "Bus",
        "EncodingBus",
        "Event",
        "Header",
        "InProcessBus",
        "Interceptor",
        "Observer",
        "Proceed",
        "Request",
        "current_header",
    ),
    "runtime.errors": (
        "BudgetReached",
        "BusError",
        "CallFailed",
        "EndpointError",
        "InputError",
        "TransferPromptingError",
    ),
    "runtime.evaluation.outcomes": ("Failed", "Graded", "Reply"),
    "runtime.evaluation.scorecard": ("Scorecard",),
    "runtime.llm.chat": ("ChatClient", "ChatRequest", "ChatResponse", "Message", "Usage"),
    "runtime.messages": (
        "Answer",
        "Answered",
        "BatchAnswered",
        "CandidatesProposed",
        "ProblemMet",
        "PromptScored",
        "Propose",
        "Proposed",
        "RunEnded",
        "RunStarted",
        "Score",
        "Scored",
        "SearchEnded",
        "SearchStarted",
        "TargetTested",
    ),
    "runtime.prompt": ("Prompt",),
    "runtime.record.results": ("Results",),
    "runtime.tasks.example": ("Question",),
    "runtime.telemetry": ("Telemetry",),
    "scenarios": ("Scenario",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Answer",
    "Answered",
    "BatchAnswered",
    "BudgetReached",
    "Bus",
    "BusError",
    "CallFailed",
    "CandidatesProposed",
    "ChatClient",
    "ChatRequest",
    "ChatResponse",
    "EncodingBus",
    "EndpointError",
    "Event",
    "Failed",
    "Graded",
    "Header",
    "InProcessBus",
    "InputError",
    "Interceptor",
    "Message",
    "Observer",
    "ProblemMet",
    "Proceed",
    "Prompt",
    "PromptScored",
    "Propose",
    "Proposed",
    "Question",
    "Reply",
    "Request",
    "Response",
    "Results",
    "RunEnded",
    "RunStarted",
    "Scenario",
    "Score",
    "Scorecard",
    "Scored",
    "SearchEnded",
    "SearchStarted",
    "Strategy",
    "TargetTested",
    "Team",
    "Telemetry",
    "TransferPromptingError",
    "Usage",
    "current_header",
    "errors",
]


def __getattr__(name: str) -> object:
    """The public name, loaded with its module when it is first used."""
    if name == "errors":
        return import_module(".runtime.errors", __name__)
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
