"""Prompt optimisation that transfers, as an async agent system (Transfer-Prompting, arXiv 2502.14211).

import transfer_prompting as tp

scenario = tp.Scenario.load("scenario.yaml")
async with tp.Team(scenario) as team:
    team.bus.subscribe(tp.PromptScored, on_scored)
    results = await team.run()
"""

from .agents.messages import (
    BatchAnswered,
    ProblemMet,
    PromptScored,
    PromptsKept,
    PromptsProposed,
    RunEnded,
    RunStarted,
    StageStarted,
    StepEnded,
    TargetTested,
)
from .agents.team import Team
from .runtime.bus import Bus, EncodingBus, Event, InProcessBus, Request
from .runtime.errors import (
    BudgetReached,
    BusError,
    CallFailed,
    EndpointError,
    InputError,
    TransferPromptingError,
)
from .runtime.evaluation.scorecard import Scorecard
from .runtime.llm.protocol import ChatClient, ChatRequest, ChatResponse, Message
from .runtime.prompt import Prompt
from .runtime.report.results import Results
from .scenarios import Scenario

__all__ = [
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
    "InProcessBus",
    "InputError",
    "Message",
    "ProblemMet",
    "Prompt",
    "PromptScored",
    "PromptsKept",
    "PromptsProposed",
    "Request",
    "Results",
    "RunEnded",
    "RunStarted",
    "Scenario",
    "Scorecard",
    "StageStarted",
    "StepEnded",
    "TargetTested",
    "Team",
    "TransferPromptingError",
]
