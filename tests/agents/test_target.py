"""The Target agent: what it sends for a row, and what becomes of each call."""

from collections.abc import Callable

import pytest

from transfer_prompting.agents.target import Sampling, Target
from transfer_prompting.runtime.bus import InProcessBus
from transfer_prompting.runtime.errors import ContextTooLong, EndpointError, Unreachable
from transfer_prompting.runtime.evaluation.outcomes import Failed, Reply
from transfer_prompting.runtime.llm.chat import ChatRequest
from transfer_prompting.runtime.messages import Answer
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.tasks.answers import answer_space
from transfer_prompting.runtime.tasks.example import Question
from transfer_prompting.runtime.tasks.task import Reading, Task

from support.clients import FunctionClient

CHOICE, NUMBER = (
    Task(name=name, description="", answers=answer_space(name), original="Answer.")
    for name in ("multiple_choice", "numeric")
)
READING = Reading(read="generate", confidence="verbalised")


def target(bus: InProcessBus, function: Callable[[ChatRequest], str]) -> tuple[Target, FunctionClient]:
    client = FunctionClient(function)
    tasks = {task.name: task for task in (CHOICE, NUMBER)}
    readings = dict.fromkeys(tasks, READING)
    sampling = Sampling("small-1")
    return Target(bus, name="small", client=client, sampling=sampling, tasks=tasks, readings=readings), client


def asking(*questions: Question, task: Task = CHOICE, prompt: str = "Think.") -> Answer:
    return Answer(prompt=Prompt(text=prompt), task=task.name, model="small", questions=questions)


def row(id: str, text: str) -> Question:
    return Question(id, text, choices=("yes", "no"))


async def test_a_row_is_asked_in_its_own_words_under_each_prompt_and_task():
    """What messages share is kept between calls; neither an id nor a text alone tells rows apart."""
    rows = (row("1", "Is it blue?"), row("1", "Is it red?"), row("2", "Is it red?"))
    async with InProcessBus() as bus:
        agent, client = target(bus, lambda request: "A")
        for task in (CHOICE, NUMBER):
            for prompt in ("Think.", "Guess."):
                await agent.answer(asking(*rows, task=task, prompt=prompt))
    sent = [request.messages[0].content for request in client.requests]
    assert [(text.split("\n\n")[0], text.split("\n\n")[1]) for text in sent] == 2 * [
        (prompt, one.question) for prompt in ("Think.", "Guess.") for one in rows
    ]
    assert ["one letter of" in text for text in sent] == 6 * [True] + 6 * [False]


async def test_a_call_the_world_failed_is_failed_and_one_the_prompt_failed_is_a_reply():
    def function(request: ChatRequest) -> str:
        text = request.messages[0].content
        if "long" in text:
            raise ContextTooLong("too many tokens")
        if "lost" in text:
            raise Unreachable("connection reset")
        return "Answer: A"

    async with InProcessBus() as bus:
        agent, _ = target(bus, function)
        answered = await agent.answer(asking(row("1", "fine"), row("2", "long"), row("3", "lost")))
    assert answered.replies == (
        Reply(example="1", text="Answer: A"),
        Reply(example="2", text="", too_long=True),
        Failed("3", "connection reset"),
    )


async def test_an_endpoint_that_cannot_be_used_ends_the_batch_with_its_error():
    def function(request: ChatRequest) -> str:
        if "2" in request.messages[0].content:
            raise EndpointError("refuses the key")
        return "Answer: A"

    async with InProcessBus() as bus:
        agent, client = target(bus, function)
        with pytest.raises(EndpointError, match="refuses the key"):
            await agent.answer(asking(*(row(str(i), f"question {i}") for i in range(4))))
    assert len(client.requests) == 4
