"""Every message the agents exchange.

Requests flow downward only: Coordinator -> Reference, Scorer, Judge; Scorer -> Target, Judge. Events are
facts in the past tense. All are frozen values that encode to MessagePack; a request has exactly one answer.
"""

from typing import Literal

import msgspec

from .bus import Event, Request
from .evaluation import own_metrics as custom
from .evaluation.outcomes import Failed, Graded, Outcomes, Reply, worst
from .evaluation.own_metrics import Own
from .evaluation.ratings import Rated
from .evaluation.scorecard import Scorecard
from .prompt import Prompt
from .tasks.example import Example, Question

Stage = Literal["source", "target"]
Unit = Literal["calls", "evaluations"]


class Exemplar(msgspec.Struct, frozen=True):
    """A train row as the reference LLM may see it: the question as shown, and its gold answer."""

    question: str
    answer: str


class TaskSummary(msgspec.Struct, frozen=True):
    """One task as the reference LLM sees it.

    `answers` describes the allowed answers as text; `variables` are fields of a row that a prompt must keep a
    place for.
    """

    task: str
    description: str
    answers: str
    exemplars: tuple[Exemplar, ...] = ()
    variables: tuple[str, ...] = ()


Fault = Literal["answer", "format", "confidence", "metric"]


class Failure(msgspec.Struct, frozen=True):
    """A failure on one train row: the answer, its format, a misleading confidence, or a low value of a
    metric of one's own; `remark` are the words of such metrics about the response."""

    task: str
    question: str
    response: str
    expected: str
    fault: Fault
    remark: str = ""


class ScoredPrompt(msgspec.Struct, frozen=True):
    """A prompt with its estimated objective as an integer from 0 to 100.

    `wins` is the share in [0, 1] of train rows on which no other prompt did better; `failures` are train rows
    answered wrongly or out of format under it. `before` is the score of the prompt it was made from, where
    that one was scored.
    """

    prompt: Prompt
    score: int
    wins: float = 0.0
    failures: tuple[Failure, ...] = ()
    before: int | None = None


class OperatorRecord(msgspec.Struct, frozen=True):
    """Counts of an operator's candidates that were scored, and of those that beat their nearest parent."""

    tries: int = 0
    wins: int = 0


class CallCost(msgspec.Struct, frozen=True):
    """HTTP calls and tokens behind an answer; replayed calls count as what they cost when they were paid."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "CallCost") -> "CallCost":
        return CallCost(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens


class Proposed(msgspec.Struct, frozen=True):
    """Candidates, none of them in the history. `refused` counts replies by why they gave none."""

    prompts: tuple[Prompt, ...]
    refused: dict[str, int] = {}
    cost: CallCost = CallCost()


class Propose(Request[Proposed], frozen=True, kw_only=True):
    """One call of the reference LLM: write up to `count` candidates from the history, which ends with the
    best.

    Prompts that miss a required bound come before those that meet them all, and ascend by score like these.
    `number` counts the proposals of the search `key` from 1; both make the call reproducible: the same
    request gives the same sampling seed. `progress` is the share in [0, 1] of the search that is behind.
    `operators` are by the origin that candidates name.
    """

    stage: Stage
    key: str
    number: int
    progress: float
    count: int
    tasks: tuple[TaskSummary, ...]
    history: tuple[ScoredPrompt, ...]
    notes: tuple[str, ...] = ()
    operators: tuple[tuple[str, OperatorRecord], ...] = ()


class Reflected(msgspec.Struct, frozen=True):
    """The notes as they stand now; the earlier ones where the reply held none."""

    notes: tuple[str, ...]
    cost: CallCost = CallCost()


class Reflect(Request[Reflected], frozen=True, kw_only=True):
    """Rewrite the notes of a search from the prompts scored since the last notes, in ascending order."""

    key: str
    number: int
    tasks: tuple[TaskSummary, ...]
    tried: tuple[ScoredPrompt, ...]
    notes: tuple[str, ...] = ()


class JudgedResponse(msgspec.Struct, frozen=True):
    """A response as the judge sees it: the row alone, all that was asked (the row with the prompt and the
    format around it), and the right answer where there is one."""

    example: str
    row: str
    asked: str
    response: str
    reference: str = ""


class Judged(msgspec.Struct, frozen=True):
    """The judge's ratings, item by item in the order they were asked for."""

    rated: tuple[Rated, ...]
    cost: CallCost = CallCost()


class JudgeResponses(Request[Judged], frozen=True, kw_only=True):
    """Rate each response on every quality of the scenario, twice."""

    exhibits: tuple[JudgedResponse, ...]


class JudgePrompt(Request[Rated], frozen=True, kw_only=True):
    """Rate a prompt itself for clarity and generality, twice."""

    prompt: Prompt


class CompareResponses(Request[Judged], frozen=True, kw_only=True):
    """Rate two responses to each row side by side, as `one` and `other`, in both orders."""

    pairs: tuple[tuple[JudgedResponse, JudgedResponse], ...]


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a prompt on some rows of one task with one model.

    `responses` holds the `most` worst of them, as many as were asked for. `rated` are the judge's ratings of
    responses, `exhibits` what it was shown of the rows named to be judged, both in ascending order of id.
    `own` holds metrics of one's own; those undefined on these rows are missing.
    """

    outcomes: Outcomes
    most: int = 0
    responses: tuple[Graded | Failed, ...] = ()
    rated: tuple[Rated, ...] = ()
    exhibits: tuple[JudgedResponse, ...] = ()
    own: dict[str, Own] = {}
    cost: CallCost = CallCost()

    def merged(self, other: "Scored") -> "Scored":
        """Both together, over distinct rows; ValueError when an example is in both."""
        most = max(self.most, other.most)
        return Scored(
            outcomes=self.outcomes.merge(other.outcomes),
            most=most,
            responses=worst((*self.responses, *other.responses), most),
            rated=tuple(sorted((*self.rated, *other.rated), key=lambda rated: rated.item)),
            exhibits=tuple(sorted((*self.exhibits, *other.exhibits), key=lambda shown: shown.example)),
            own=custom.merged(self.own, other.own),
            cost=self.cost + other.cost,
        )


class Score(Request[Scored], frozen=True, kw_only=True):
    """Grade one prompt's answers to some rows of one task with one target model.

    `judged` names the examples whose responses the judge is to rate. Where the task's answers get their
    credit from the judge, it rates every response. `final` says that nothing is decided by the answers before
    all are there, so that they may come in batches.
    """

    prompt: Prompt
    task: str
    model: str
    examples: tuple[Example, ...]
    responses: int = 0
    judged: tuple[str, ...] = ()
    final: bool = False

    @property
    def route_key(self) -> str:
        return self.model


class Answered(msgspec.Struct, frozen=True):
    """One response per question, in their order."""

    replies: tuple[Reply | Failed, ...]
    cost: CallCost = CallCost()


class Answer(Request[Answered], frozen=True, kw_only=True):
    """Answer a batch of questions of one task under one prompt; `final` is that of `Score`."""

    prompt: Prompt
    task: str
    model: str
    questions: tuple[Question, ...]
    final: bool = False

    @property
    def route_key(self) -> str:
        return self.model


class RunStarted(Event, frozen=True):
    """The run began. `tasks` maps each task to its rows per split (train, validation, test)."""

    name: str
    seed: int
    tasks: dict[str, tuple[int, int, int]]
    targets: tuple[str, ...]


class SearchStarted(Event, frozen=True):
    """A search began for some tasks and models; `scope` names it (`source`, `target tickets small`).

    `rungs` are rows of each task at which candidates are compared, the last one all search rows. `allotted`
    is how many calls, or evaluations (see `unit`), the search may make, None where no budget bounds it.
    """

    stage: Stage
    scope: str
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    rungs: tuple[int, ...]
    allotted: int | None
    unit: Unit = "calls"


class CandidatesProposed(Event, frozen=True):
    """The reference LLM answered job `job` of the run: new candidates, and replies refused by reason.

    `dropped` where the search ended first, so that the reply was not waited for.
    """

    scope: str
    job: int
    prompts: tuple[Prompt, ...]
    refused: dict[str, int]
    dropped: bool = False


class NotesTaken(Event, frozen=True):
    """The reference LLM rewrote its notes (job `job`); `dropped` as in `CandidatesProposed`."""

    scope: str
    job: int
    notes: tuple[str, ...]
    dropped: bool = False


class WorkRefused(Event, frozen=True):
    """The budget refused work (job `job`), which ends all searches; `caps` are the budget's by name."""

    scope: str
    job: int
    refusal: str
    caps: dict[str, float]


class PromptScored(Event, frozen=True):
    """A prompt answered further search rows (job `job`).

    `rows` counts the rows of each task it has answered by now, `objective` is its estimate in [0, 1] from all
    of them (None where it must not be chosen), `scores` the scorecards of these rows. `leader` is the id of
    the prompt that would be chosen now, `calls` and `evaluations` what the search has cost until here.
    """

    scope: str
    job: int
    prompt: Prompt
    rows: int
    objective: float | None
    scores: dict[str, dict[str, Scorecard]]
    leader: str
    calls: int
    evaluations: int = 0


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Cost of the run so far, replayed calls counted as what they cost when they were paid."""

    calls: int
    tokens: int
    usd: float


class SearchEnded(Event, frozen=True):
    """A search ended: the prompts it keeps, best first, why it stopped, and the cost of the run so far."""

    stage: Stage
    scope: str
    prompts: tuple[Prompt, ...]
    reason: str
    cost: Cost


class TargetTested(Event, frozen=True):
    """A prompt was scored on the test split of one target task and model, in one of three parts."""

    task: str
    model: str
    part: Literal["baseline", "best", "transfer"]
    prompt: Prompt
    scorecard: Scorecard


class ProblemMet(Event, frozen=True):
    """Something failed and the run went on without it."""

    scope: str
    problem: str


class RunEnded(Event, frozen=True):
    """The run ended with this status."""

    status: Literal["complete", "budget", "interrupted", "failed"]


class BatchAnswered(Event, frozen=True):
    """A target answered a batch (progress only; not part of the history)."""

    model: str
    task: str
    answered: int
    failed: int
