"""The Scorer agent: has a prompt answered by a target and grades every response."""

from collections.abc import Mapping
from functools import partial

from anyio.abc import TaskGroup

from ..runtime.bus import Bus
from ..runtime.concurrency import Done, settle
from ..runtime.errors import BudgetReached, EndpointError
from ..runtime.evaluation.grading import grade
from ..runtime.evaluation.outcomes import Outcomes
from ..runtime.evaluation.response import Failed, Graded, Reply, worst
from ..runtime.tasks.example import Example
from ..runtime.tasks.task import Reading, Task
from .messages import Answer, Score, Scored

BATCH = 16
"""Rows per `Answer`: large enough that a bus costs nothing beside the calls, small enough to spread."""

Readings = Mapping[tuple[str, str], Reading]
"""How each (task, model) is read."""


class Scorer:
    """Answers `Score`: asks the target in batches, then holds the replies against the gold answers.

    The target sees questions only. An error that ends a batch ends the ask, after its other batches ended.
    """

    def __init__(self, bus: Bus, *, tasks: Mapping[str, Task], readings: Readings) -> None:
        self._bus = bus
        self._tasks = tasks
        self._readings = readings

    async def start(self, tasks: TaskGroup, *, model: str, workers: int) -> None:
        """Serve the prompts to be scored with one target model."""
        await tasks.start(partial(self._bus.serve, Score, self.score, key=model, workers=workers))

    async def score(self, request: Score) -> Scored:
        batches = [request.examples[i : i + BATCH] for i in range(0, len(request.examples), BATCH)]

        async def one(batch: tuple[Example, ...]) -> list[Graded | Failed]:
            return await self._graded(request, batch)

        ends = await settle(batches, one, limit=max(1, len(batches)), catch=(BudgetReached, EndpointError))
        responses: list[Graded | Failed] = []
        for end in ends:
            if not isinstance(end, Done):
                raise end.error
            responses.extend(end.value)
        outcomes = Outcomes.of(responses, closed=self._tasks[request.task].closed)
        return Scored(
            outcomes=outcomes, most=request.responses, responses=worst(responses, request.responses)
        )

    async def _graded(self, request: Score, batch: tuple[Example, ...]) -> list[Graded | Failed]:
        answer = Answer(
            prompt=request.prompt,
            task=request.task,
            model=request.model,
            questions=tuple(example.asked() for example in batch),
        )
        answered = await self._bus.ask(answer)
        task, reading = self._tasks[request.task], self._readings[request.task, request.model]
        pairs = zip(batch, answered.replies, strict=True)
        return [
            grade(task, example, reply, reading) if isinstance(reply, Reply) else reply
            for example, reply in pairs
        ]
