"""Prompt optimisation that transfers, as an async agent system (Transfer-Prompting, arXiv 2502.14211).

    import transfer_prompting as tp

    results = await tp.optimize("Is this ticket urgent?", rows, model="openai:gpt-4.1-nano", budget=2000)

`evaluate`, `score` and `optimize` are the short way; `run_sync` calls them from programs that are not
asynchronous. All else is built from `Scenario`, which describes a run, `Team`, which runs it, and `Results`,
which hold its outcome:

    scenario = tp.Scenario.load("scenario.yaml")
    async with tp.Team(scenario) as team:
        team.bus.subscribe(tp.PromptScored, on_scored)
        results = await team.run()

The rest of these names are for hosts: events to observe, messages to serve or intercept, what a host's own
parts are handed and return, and the errors. Importing starts nothing, configures nothing, and loads a name
only when it is used.
"""

from importlib import import_module

TYPE_CHECKING = False  # for type checkers True; the import of `typing` takes longer than all else here
if TYPE_CHECKING:
    from .agents.api import EvaluationResult, evaluate, optimize, run_sync, score
    from .agents.application import Response, TargetFunction
    from .agents.reference.operators import ProposalContext
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
    from .runtime.evaluation.outcomes import Failed, Graded, Outcomes, Reply
    from .runtime.evaluation.own_metrics import Own, OwnMetric
    from .runtime.evaluation.ratings import Rated
    from .runtime.evaluation.scorecard import Scorecard
    from .runtime.llm.chat import (
        ChatClient,
        ChatRequest,
        ChatResponse,
        Message,
        TokenChoice,
        TokenLogprob,
        Usage,
    )
    from .runtime.llm.limits.shared import Endpoints
    from .runtime.messages import (
        Answer,
        Answered,
        BatchAnswered,
        CallCost,
        CandidatesProposed,
        CompareResponses,
        Exemplar,
        Failure,
        Judged,
        JudgedResponse,
        JudgePrompt,
        JudgeResponses,
        NotesTaken,
        OperatorRecord,
        ProblemMet,
        PromptScored,
        Propose,
        Proposed,
        Reflect,
        Reflected,
        RunEnded,
        RunStarted,
        Score,
        Scored,
        ScoredPrompt,
        SearchEnded,
        SearchStarted,
        TargetTested,
        TaskSummary,
        WorkRefused,
    )
    from .runtime.prompt import Prompt
    from .runtime.record.results import Results
    from .runtime.report.tracking import MetricPoint, MLflow, RunSummary, Tracker, WandB
    from .runtime.tasks.answers.formats import AnswerFormat
    from .runtime.tasks.answers.strict import Lines
    from .runtime.tasks.data.own import DataReader
    from .runtime.tasks.example import Example, Question
    from .runtime.telemetry import Telemetry
    from .scenarios import Scenario

_MODULES = {
    "agents.api": (
        "EvaluationResult",
        "evaluate",
        "optimize",
        "run_sync",
        "score",
    ),
    "agents.application": (
        "Response",
        "TargetFunction",
    ),
    "agents.reference.operators": ("ProposalContext",),
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
    "runtime.evaluation.outcomes": (
        "Failed",
        "Graded",
        "Outcomes",
        "Reply",
    ),
    "runtime.evaluation.own_metrics": (
        "Own",
        "OwnMetric",
    ),
    "runtime.evaluation.ratings": ("Rated",),
    "runtime.evaluation.scorecard": ("Scorecard",),
    "runtime.llm.chat": (
        "ChatClient",
        "ChatRequest",
        "ChatResponse",
        "Message",
        "TokenChoice",
        "TokenLogprob",
        "Usage",
    ),
    "runtime.llm.limits.shared": ("Endpoints",),
    "runtime.messages": (
        "Answer",
        "Answered",
        "BatchAnswered",
        "CallCost",
        "CandidatesProposed",
        "CompareResponses",
        "Exemplar",
        "Failure",
        "JudgePrompt",
        "JudgeResponses",
        "Judged",
        "JudgedResponse",
        "NotesTaken",
        "OperatorRecord",
        "ProblemMet",
        "PromptScored",
        "Propose",
        "Proposed",
        "Reflect",
        "Reflected",
        "RunEnded",
        "RunStarted",
        "Score",
        "Scored",
        "ScoredPrompt",
        "SearchEnded",
        "SearchStarted",
        "TargetTested",
        "TaskSummary",
        "WorkRefused",
    ),
    "runtime.prompt": ("Prompt",),
    "runtime.record.results": ("Results",),
    "runtime.report.tracking": (
        "MLflow",
        "MetricPoint",
        "RunSummary",
        "Tracker",
        "WandB",
    ),
    "runtime.tasks.answers.formats": ("AnswerFormat",),
    "runtime.tasks.answers.strict": ("Lines",),
    "runtime.tasks.data.own": ("DataReader",),
    "runtime.tasks.example": (
        "Example",
        "Question",
    ),
    "runtime.telemetry": ("Telemetry",),
    "scenarios": ("Scenario",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Answer",
    "AnswerFormat",
    "Answered",
    "BatchAnswered",
    "BudgetReached",
    "Bus",
    "BusError",
    "CallCost",
    "CallFailed",
    "CandidatesProposed",
    "ChatClient",
    "ChatRequest",
    "ChatResponse",
    "CompareResponses",
    "DataReader",
    "EncodingBus",
    "EndpointError",
    "Endpoints",
    "EvaluationResult",
    "Event",
    "Example",
    "Exemplar",
    "Failed",
    "Failure",
    "Graded",
    "Header",
    "InProcessBus",
    "InputError",
    "Interceptor",
    "JudgePrompt",
    "JudgeResponses",
    "Judged",
    "JudgedResponse",
    "Lines",
    "MLflow",
    "Message",
    "MetricPoint",
    "NotesTaken",
    "Observer",
    "OperatorRecord",
    "Outcomes",
    "Own",
    "OwnMetric",
    "ProblemMet",
    "Proceed",
    "Prompt",
    "PromptScored",
    "ProposalContext",
    "Propose",
    "Proposed",
    "Question",
    "Rated",
    "Reflect",
    "Reflected",
    "Reply",
    "Request",
    "Response",
    "Results",
    "RunEnded",
    "RunStarted",
    "RunSummary",
    "Scenario",
    "Score",
    "Scorecard",
    "Scored",
    "ScoredPrompt",
    "SearchEnded",
    "SearchStarted",
    "Strategy",
    "TargetFunction",
    "TargetTested",
    "TaskSummary",
    "Team",
    "Telemetry",
    "TokenChoice",
    "TokenLogprob",
    "Tracker",
    "TransferPromptingError",
    "Usage",
    "WandB",
    "WorkRefused",
    "current_header",
    "errors",
    "evaluate",
    "optimize",
    "run_sync",
    "score",
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
