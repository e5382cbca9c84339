"""Functions of an application that are not asynchronous."""

import threading
from collections.abc import Awaitable
from functools import partial

import anyio
import anyio.lowlevel
import pytest

import transfer_prompting as tp

ROWS = [
    {"text": f"{('The server room is on fire', 'Which page')[number % 2]}, {number}?", "label": label}
    for number, label in enumerate(["urgent", "routine"] * 5)
]


async def evaluated(function: tp.TargetFunction, **settings: object) -> tp.EvaluationResult:
    with anyio.fail_after(60):
        return await tp.evaluate(
            "Is it urgent?", ROWS, model=function, kind="classification", settings=settings
        )


async def test_a_plain_function_is_called_in_threads_several_calls_at_once():
    threads: set[int] = set()
    together = threading.Barrier(5)

    def answer(prompt: tp.Prompt, question: tp.Question) -> str:
        threads.add(threading.get_ident())
        together.wait(30)
        return "urgent" if "fire" in question.question else "routine"

    assert (await evaluated(answer)).scorecard.accuracy == 1
    assert len(threads) >= 5
    assert threading.get_ident() not in threads


async def test_asynchronous_functions_are_awaited_in_the_loop_in_whichever_form():
    threads: set[int] = set()

    class Application:
        async def __call__(self, prompt: tp.Prompt, question: tp.Question) -> str:
            await anyio.lowlevel.checkpoint()
            threads.add(threading.get_ident())
            return "urgent"

    application = Application()

    def hidden(prompt: tp.Prompt, question: tp.Question) -> Awaitable[str]:
        return application(prompt, question)

    for function in (application, partial(application.__call__), hidden):
        assert (await evaluated(function)).scorecard.accuracy == 0.5
    assert threads == {threading.get_ident()}


class BugError(Exception):
    """An error of the application itself."""


async def test_an_error_of_a_plain_function_arrives_bare():
    def broken(prompt: tp.Prompt, question: tp.Question) -> str:
        raise BugError(question.id)

    with pytest.raises(BugError):
        await evaluated(broken)


async def test_a_plain_function_that_takes_too_long_is_a_failed_call():
    release = threading.Event()

    def hangs(prompt: tp.Prompt, question: tp.Question) -> str:
        if question.id == "1":
            release.wait(60)
        return "urgent"

    try:
        result = await evaluated(
            hangs, endpoints={"hangs": {"timeout": 0.2, "retry": {"attempts": 1}}}, scorer={"max_failed": 1}
        )
    finally:
        release.set()
    reasons = {one.example: one.reason for one in result.responses if isinstance(one, tp.Failed)}
    assert "did not answer in time" in reasons["1"]
