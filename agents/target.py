"""The Target agent: hosts one target model and answers batches of questions under a prompt."""

from collections.abc import Mapping
from functools import lru_cache, partial

import msgspec
from anyio.abc import TaskGroup

from ..runtime.bus import Bus
from ..runtime.concurrency import run_all
from ..runtime.errors import BudgetReached, CallFailed, ContentFiltered, ContextTooLong, EndpointError
from ..runtime.evaluation.outcomes import Failed, Reply
from ..runtime.llm.chat import ChatClient, ChatRequest, ChatResponse, Message
from ..runtime.messages import Answer, Answered, BatchAnswered, CallCost
from ..runtime.prompt import Prompt
from ..runtime.tasks.example import Question
from ..runtime.tasks.task import Frame, Reading, Task, framed, turns
from .application import application_messages

AGREEMENT_TEMPERATURE = 0.7
"""Draws that are to be compared must differ; Xiong et al. (arXiv 2306.13063) sample at 0.7."""

ROWS_KEPT = 2_000
"""Rows whose part of the messages, the same under every prompt, is kept ready."""

REPORTED = 8
"""Answers after which an event says how many there were."""


class Sampling(msgspec.Struct, frozen=True):
    """Call settings of one model: the name its endpoint knows, and the sampling of an answer.

    With `json_object` answers in the format `json` are asked for as such (`response_format`). With `batch`
    answers of the final test may come in batches.
    """

    model: str
    temperature: float = 0.0
    top_p: float | None = None
    max_tokens: int | None = None
    json_object: bool = False
    batch: bool = False


class Target:
    """Answers `Answer` for one model. One chat call per question, or several where agreement is asked for.

    A call that the world fails becomes `Failed`; a prompt too long for the context is a reply like any
    other, to be graded wrong. An unusable endpoint and a spent budget end the batch with their error, after
    the calls in flight have finished.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        name: str,
        client: ChatClient,
        sampling: Sampling,
        tasks: Mapping[str, Task],
        readings: Mapping[str, Reading],
    ) -> None:
        self._bus = bus
        self._name = name
        self._client = client
        self._sampling = sampling
        self._tasks = tasks
        self._readings = readings
        self._under_way = 0
        self._unreported: dict[str, list[int]] = {}
        self._framed = lru_cache(maxsize=ROWS_KEPT)(self._frame)

    async def start(self, tasks: TaskGroup, *, workers: int) -> None:
        serve = partial(self._bus.serve, Answer, self.answer, key=self._name, workers=workers)
        await tasks.start(serve)

    async def answer(self, request: Answer) -> Answered:
        """One response per question, in order; see the class for how calls fail."""

        self._under_way += 1
        try:
            answers = await run_all(
                request.questions,
                partial(self._reply, request),
                limit=len(request.questions),
                catch=(BudgetReached, EndpointError),
            )
        finally:
            self._under_way -= 1
        await self._report(request.task, [reply for reply, _ in answers])
        cost = sum((cost for _, cost in answers), CallCost())
        return Answered(tuple(reply for reply, _ in answers), cost)

    async def _report(self, task: str, replies: list[Reply | Failed]) -> None:
        """Publish how many rows were answered: one event for several, the last when none is under way."""
        counts = self._unreported.setdefault(task, [0, 0])
        for reply in replies:
            counts[isinstance(reply, Failed)] += 1
        if sum(counts) >= REPORTED or not self._under_way:
            found, self._unreported = self._unreported, {}
            for name, (answered, failed) in found.items():
                await self._bus.publish(BatchAnswered(self._name, name, answered, failed))

    async def _reply(self, answer: Answer, question: Question) -> tuple[Reply | Failed, CallCost]:
        task = answer.task
        reading = self._readings[task]
        messages = self._messages(task, answer.prompt, question)
        request = self._request(messages, task, can_wait=answer.final and self._sampling.batch)
        try:
            first, *further = await self._drawn(request, reading.samples)
        except ContextTooLong as error:
            return Reply(example=question.id, text="", too_long=True), CallCost(error.attempts)
        except ContentFiltered as error:
            refused = Reply(example=question.id, text="", finish_reason="content_filter")
            return refused, CallCost(error.attempts)
        except CallFailed as error:
            return Failed(question.id, str(error)), CallCost(error.attempts)
        return _reply(question.id, first, further)

    async def _drawn(self, request: ChatRequest, samples: int) -> list[ChatResponse]:
        """So many draws, one after the other, or together where they may come in a batch."""
        further = [msgspec.structs.replace(request, sample=i) for i in range(1, samples)]
        if request.can_wait and further:
            return await run_all([request, *further], self._client.chat, limit=samples)
        return [await self._client.chat(one) for one in (request, *further)]

    def _frame(self, task: str, question: Question) -> Frame:
        return framed(self._tasks[task], question, self._readings[task])

    def _messages(self, task: str, prompt: Prompt, question: Question) -> tuple[Message, ...]:
        return turns(prompt, self._framed(task, question))

    def _request(self, messages: tuple[Message, ...], task: str, *, can_wait: bool = False) -> ChatRequest:
        reading = self._readings[task]
        likelihood = reading.read == "likelihood"
        probabilities = likelihood or reading.confidence == "token_probability"
        temperature = self._sampling.temperature
        if reading.samples > 1:
            temperature = temperature or AGREEMENT_TEMPERATURE
        return ChatRequest(
            model=self._sampling.model,
            messages=messages,
            max_tokens=1 if likelihood else self._sampling.max_tokens or reading.max_tokens,
            temperature=temperature,
            top_p=self._sampling.top_p,
            top_logprobs=reading.top_logprobs if probabilities else 0,
            # OpenAI refuses the parameter where no message speaks of JSON.
            json_object=self._sampling.json_object
            and self._tasks[task].format.name == "json"
            and any("json" in turn.content.lower() for turn in messages),
            can_wait=can_wait,
        )


class ApplicationTarget(Target):
    """A Target whose client is the application: it receives prompt and question unchanged."""

    def _messages(self, task: str, prompt: Prompt, question: Question) -> tuple[Message, ...]:
        stated = self._readings[task].confidence == "verbalised"
        whole = self._tasks[task].format.name != "lines"
        return application_messages(prompt, question, confidence=stated, whole=whole)


def _reply(example: str, first: ChatResponse, further: list[ChatResponse]) -> tuple[Reply, CallCost]:
    every = [first, *further]
    cost = CallCost(
        sum(response.attempts for response in every),
        sum(response.usage.prompt_tokens for response in every),
        sum(response.usage.completion_tokens for response in every),
    )
    reply = Reply(
        example=example,
        text=first.text,
        tokens=first.tokens,
        samples=tuple(response.text for response in further),
        finish_reason=first.finish_reason,
        prompt_tokens=cost.prompt_tokens,
        completion_tokens=cost.completion_tokens,
        seconds=sum(response.seconds for response in every),
    )
    return reply, cost
