"""Prompt optimisation that transfers, as an async agent system (Transfer-Prompting, arXiv 2502.14211).

    import transfer_prompting as tp

    scenario = tp.Scenario.load("scenario.yaml")
    async with tp.Team(scenario) as team:
        team.bus.subscribe(tp.PromptScored, on_scored)
        results = await team.run()

`Scenario` says what is to be done, `Team` does it, `Results` are what came of it. The rest of these names are
for hosts: events to observe, messages to serve or intercept, what a host's own chat clients and targets are
handed and return, and the errors. Importing starts nothing and configures nothing.
"""

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
from .runtime.errors import BudgetReached, BusError, CallFailed, EndpointError
from .runtime.evaluation.outcomes import Failed, Graded, Reply
from .runtime.evaluation.scorecard import Scorecard
from .runtime.llm.chat import ChatClient, ChatRequest, ChatResponse, Message, Usage
from .runtime.messages import (
    Answer,
    Answered,
    BatchAnswered,
    ProblemMet,
    PromptScored,
    PromptsKept,
    PromptsProposed,
    Propose,
    Proposed,
    RunEnded,
    RunStarted,
    Score,
    Scored,
    StageStarted,
    StepEnded,
    TargetTested,
)
from .runtime.prompt import Prompt
from .runtime.record.results import Results
from .runtime.tasks.example import Question
from .runtime.telemetry import Telemetry
from .scenarios import Scenario
from .scenarios.errors import InputError, TransferPromptingError

__all__ = [
    "Answer",
    "Answered",
    "BatchAnswered",
    "BudgetReached",
    "Bus",
    "BusError",
    "CallFailed",
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
    "PromptsKept",
    "PromptsProposed",
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
    "StageStarted",
    "StepEnded",
    "Strategy",
    "TargetTested",
    "Team",
    "Telemetry",
    "TransferPromptingError",
    "Usage",
    "current_header",
    "errors",
]
