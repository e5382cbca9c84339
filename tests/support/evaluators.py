"""An evaluator over real agents, whose target is a function: questions in, replies out, no model call."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import anyio
from anyio.abc import TaskStatus

from transfer_prompting.agents.coordinator.evaluator import Evaluator
from transfer_prompting.agents.judge.rubrics import Judging
from transfer_prompting.agents.scorer import Scorer
from transfer_prompting.runtime.bus import EncodingBus
from transfer_prompting.runtime.evaluation.objective import Objective
from transfer_prompting.runtime.evaluation.outcomes import Failed, Reply
from transfer_prompting.runtime.evaluation.ratings import Rated
from transfer_prompting.runtime.messages import Answer, Answered, Judged, JudgedResponse, JudgeResponses
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.record.history import History, Record
from transfer_prompting.runtime.tasks.answers import answer_space
from transfer_prompting.runtime.tasks.example import Example, Question, Splits
from transfer_prompting.runtime.tasks.task import Reading, Task

TASK = Task("mails", "Sort mails.", answer_space("classification", ("spam", "fine")), "Decide.")
READING = Reading(read="generate", confidence="verbalised")
PROMPT = Prompt(text="Decide.")

Target = Callable[[Prompt, Question], Reply | Failed]

Answering = Callable[[Answer], Awaitable[Answered]]

Judge = Callable[[JudgedResponse], float | None]
"""A rating from 1 to 5, or none that is usable."""


def fair(shown: JudgedResponse) -> float:
    return 3.0


def rated(item: str, rating: float | None, judging: Judging) -> Rated:
    if rating is None:
        return Rated(item, {}, {}, {"missing": 2 * len(judging.responses)})
    ratings = dict.fromkeys(judging.responses, rating)
    return Rated(item, ratings, ratings)


def rows(count: int, first: int = 0) -> tuple[Example, ...]:
    golds = ("spam", "fine")
    return tuple(
        Example(f"{i:03d}", f"Mail {i} [{golds[i % 2]}]", golds[i % 2]) for i in range(first, first + count)
    )


def right_every(nth: int) -> Target:
    """A target that is wrong in every nth row, and surer there."""

    def reply(prompt: Prompt, question: Question) -> Reply:
        number = int(question.id)
        gold = "spam" if number % 2 == 0 else "fine"
        other = "fine" if gold == "spam" else "spam"
        answer, sure = (other, 90 - number) if number % nth == 0 else (gold, 60 - number)
        return Reply(example=question.id, text=f"Answer: {answer}\nConfidence: {sure}%")

    return reply


@asynccontextmanager
async def evaluator(
    target: Target,
    *,
    task: Task = TASK,
    reading: Reading = READING,
    splits: Splits | None = None,
    objective: Objective | None = None,
    judging: Judging | None = None,
    judge: Judge = fair,
    answers: Answering | None = None,
    within: anyio.CancelScope | None = None,
) -> AsyncGenerator[Evaluator]:
    """An evaluator of one task and one model, `small`, over a bus that encodes every message.

    `judge` rates every quality of a response alike. Nobody serves comparisons. `answers` serves the model in
    the place of `target`; it goes away when the scope `within` is cancelled.
    """
    tasks: Mapping[str, Task] = {task.name: task}
    judging = judging or Judging()

    async def answer(request: Answer) -> Answered:
        return Answered(tuple(target(request.prompt, question) for question in request.questions))

    async def rate(request: JudgeResponses) -> Judged:
        return Judged(tuple(rated(shown.example, judge(shown), judging) for shown in request.exhibits))

    async def serve(*, task_status: TaskStatus[None]) -> None:
        with within or anyio.CancelScope():
            await bus.serve(Answer, answers or answer, key="small", workers=3, task_status=task_status)

    with anyio.fail_after(30):
        async with EncodingBus() as bus, anyio.create_task_group() as group:
            scorer = Scorer(bus, tasks=tasks, readings={(task.name, "small"): reading}, judging=judging)
            await scorer.start(group, model="small", workers=4)
            await group.start(serve)
            await group.start(partial(bus.serve, JudgeResponses, rate, workers=2))
            yield Evaluator(
                bus,
                Record(History(None), bus),
                splits={task.name: splits or Splits((), (), ())},
                objective=objective or Objective(),
                max_failed=0.02,
                seed=7,
                judging=judging,
            )
            group.cancel_scope.cancel()
