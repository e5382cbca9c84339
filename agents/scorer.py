"""The Scorer agent: has a prompt answered by a target, grades every response, and has some of them judged."""

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
from anyio.abc import TaskGroup

from ..runtime.bus import Bus
from ..runtime.concurrency import off_loop, run_all
from ..runtime.errors import UNUSABLE, BudgetReached
from ..runtime.evaluation.grading import grade
from ..runtime.evaluation.outcomes import Failed, Graded, Outcomes, Reply, worst
from ..runtime.evaluation.own_metrics import Own, measured
from ..runtime.evaluation.ratings import Rated, share_of
from ..runtime.messages import Answer, CallCost, Judged, JudgedResponse, JudgeResponses, Score, Scored
from ..runtime.prompt import Prompt
from ..runtime.tasks.answers.reasoning import without_reasoning
from ..runtime.tasks.example import Example
from ..runtime.tasks.task import Reading, Task, messages, shown
from .judge.rubrics import Judging

BATCH = 8
"""Rows per request where the application answers or judges itself, which it may do for several at once."""

QUICK_ROWS = 2_000
"""Responses whose results are put together within some milliseconds."""

Readings = Mapping[tuple[str, str], Reading]
"""The reading of each (task, model)."""

Replies = Sequence[tuple[Example, Reply | Failed]]
"""Rows with what came back for them."""


class _Batch(msgspec.Struct, frozen=True, gc=False):
    responses: tuple[Graded | Failed, ...]
    rated: tuple[Rated, ...]
    exhibits: tuple[JudgedResponse, ...]
    cost: CallCost


class Scorer:
    """Answers `Score`: asks the target in batches, then holds the replies against the gold answers.

    The target sees questions only. An error that ends a batch ends the ask, after its other batches ended.
    Answers of kind `judged` get the mean rating of their qualities as credit; one that the judge gave no
    usable rating is failed, not wrong. Where nothing is rated, they get the mean of the metrics of one's own.
    """

    def __init__(
        self, bus: Bus, *, tasks: Mapping[str, Task], readings: Readings, judging: Judging | None = None
    ) -> None:
        self._bus = bus
        self._tasks = tasks
        self._readings = readings
        self._judging = judging or Judging()
        self._workers: dict[str, int] = {}
        self._batches: dict[str, int] = {}

    async def start(self, tasks: TaskGroup, *, model: str, workers: int, batch: int = 1) -> None:
        """Serve the prompts to be scored with one target model, `workers` at once, and as many requests for
        its answers, each for a `batch` of rows."""
        self._workers[model] = workers
        self._batches[model] = batch
        await tasks.start(partial(self._bus.serve, Score, self.score, key=model, workers=workers))

    async def score(self, request: Score) -> Scored:
        rows, size = request.examples, self._batches.get(request.model, BATCH)
        parts = [rows[i : i + size] for i in range(0, len(rows), size)]
        # A task goes on with the next rows as its own are answered, so that objects are freed as others are
        # made: few survive to be traversed by the garbage collector.
        batches = await run_all(
            parts,
            partial(self._batch, request),
            limit=self._workers.get(request.model, len(parts)),
            catch=(BudgetReached, *UNUSABLE),
        )
        graded, own = await measured(
            self._judging.metrics,
            self._judging.weighed_metrics,
            [one for batch in batches for one in batch.responses if isinstance(one, Graded)],
        )
        scored = partial(self._scored, request, batches, graded, own)
        return await off_loop(scored, rows=len(request.examples), quick=QUICK_ROWS)

    def _scored(
        self, request: Score, batches: Sequence[_Batch], graded: list[Graded], own: dict[str, Own]
    ) -> Scored:
        if self._tasks[request.task].answers.kind == "judged" and not self._judging.responses:
            graded = [_credited_by_metrics(response) for response in graded]
        failed = (one for batch in batches for one in batch.responses if isinstance(one, Failed))
        responses = [*graded, *failed]
        named = frozenset(request.judged)
        exhibits = [one for batch in batches for one in batch.exhibits if one.example in named]
        return Scored(
            outcomes=Outcomes.of(responses, closed=self._tasks[request.task].closed),
            most=request.responses,
            responses=worst(responses, request.responses),
            rated=tuple(sorted((one for batch in batches for one in batch.rated), key=lambda one: one.item)),
            exhibits=tuple(sorted(exhibits, key=lambda one: one.example)),
            own=own,
            cost=sum((batch.cost for batch in batches), CallCost()),
        )

    async def _batch(self, request: Score, batch: tuple[Example, ...]) -> _Batch:
        questions = tuple(example.asked() for example in batch)
        answer = Answer(
            prompt=request.prompt,
            task=request.task,
            model=request.model,
            questions=questions,
            final=request.final,
        )
        answered = await self._bus.ask(answer)
        replies = list(zip(batch, answered.replies, strict=True))
        exhibits = self._exhibits(request, replies)
        judged = Judged(())
        if exhibits:
            judged = await self._bus.ask(JudgeResponses(exhibits=exhibits))
        responses = self._graded(request, replies, judged.rated)
        return _Batch(responses, judged.rated, exhibits, answered.cost + judged.cost)

    def _graded(
        self, request: Score, replies: Replies, rated: Sequence[Rated]
    ) -> tuple[Graded | Failed, ...]:
        task, reading = self._tasks[request.task], self._readings[request.task, request.model]
        ratings = {one.item: one for one in rated}

        def graded(example: Example, reply: Reply | Failed) -> Graded | Failed:
            if isinstance(reply, Failed):
                return reply
            plainly = grade(task, example, reply, reading)
            if not self._judging.credits(task) or plainly.answer is None:
                return plainly
            credit = self._credit(ratings[example.id])
            if credit is None:
                return Failed(example.id, "the judge gave no usable rating")
            return grade(task, example, reply, reading, credit=credit)

        return tuple(graded(example, reply) for example, reply in replies)

    def _credit(self, rated: Rated) -> float | None:
        """The mean of all qualities as a share in [0, 1]; None where one of them has no rating."""
        ratings = [rated.rating(quality) for quality in self._judging.responses]
        shares = [share_of(rating) for rating in ratings if rating is not None]
        return sum(shares) / len(shares) if shares and len(shares) == len(ratings) else None

    def _exhibits(self, request: Score, replies: Replies) -> tuple[JudgedResponse, ...]:
        """The responses of a batch that the judge is to rate; rows without a response are left out."""
        task, reading = self._tasks[request.task], self._readings[request.task, request.model]
        named = frozenset(request.judged)
        return tuple(
            _exhibit(task, request.prompt, example, reply, reading)
            for example, reply in replies
            if isinstance(reply, Reply) and (self._judging.credits(task) or example.id in named)
        )


def _credited_by_metrics(response: Graded) -> Graded:
    values = response.own.values()
    credit = sum(values) / len(values) if values and response.answer is not None else 0.0
    return msgspec.structs.replace(response, credit=credit, correct=credit >= 0.5)


def _exhibit(task: Task, prompt: Prompt, example: Example, reply: Reply, reading: Reading) -> JudgedResponse:
    question = example.asked()
    return JudgedResponse(
        example=example.id,
        row=shown(task, question),
        asked="\n\n".join(turn.content for turn in messages(task, prompt, question, reading)),
        response=without_reasoning(reply.text),
        reference=example.gold,
    )
