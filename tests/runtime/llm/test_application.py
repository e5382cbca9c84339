"""A function of the application as a chat client: what it is handed, what its answers and errors become."""

from collections.abc import Awaitable, Callable
from typing import cast

import anyio
import pytest

from transfer_prompting.agents.application import (
    ApplicationClient,
    Response,
    TargetFunction,
    application_messages,
)
from transfer_prompting.runtime.errors import (
    CallFailed,
    ContextTooLong,
    EndpointError,
    RateLimited,
    Rejected,
    ServerFault,
    Unreachable,
)
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Usage
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.tasks.example import Question

PROMPT = Prompt(text="Sort it.", position="system", origin="improve", parents=("a",))
QUESTION = Question("7", "Is it urgent?", context="Mail", choices=("yes", "no"))


def asked(*, confidence: bool = False, prompt: Prompt = PROMPT) -> ChatRequest:
    messages = application_messages(prompt, QUESTION, confidence=confidence)
    return ChatRequest(model="app", messages=messages, max_tokens=64)


def client(function: TargetFunction, timeout: float = 5) -> ApplicationClient:
    return ApplicationClient("here", {"app": function}, timeout=timeout)


def answering(answer: object) -> Callable[[Prompt, Question], Awaitable[str | Response]]:
    async def function(prompt: Prompt, question: Question) -> str | Response:
        return answer  # pyright: ignore[reportReturnType]

    return function


def raising(error: Exception, cause: Exception | None = None) -> TargetFunction:
    async def function(prompt: Prompt, question: Question) -> str:
        raise error from cause

    return function


async def test_a_function_is_handed_the_prompt_and_the_question():
    seen: list[tuple[Prompt, Question]] = []

    async def note(prompt: Prompt, question: Question) -> str:
        seen.append((prompt, question))
        return "yes"

    await client(note).chat(asked())
    ((prompt, question),) = seen
    assert (prompt.id, prompt.text, prompt.position) == (PROMPT.id, "Sort it.", "system")
    assert question == QUESTION


def test_equal_prompts_of_other_origin_are_the_same_call():
    assert asked() == asked(prompt=Prompt(text="Sort it.", position="system"))
    assert asked() != asked(prompt=Prompt(text="Sort it.", position="before"))
    assert asked() != asked(confidence=True)


@pytest.mark.parametrize(
    ("answer", "confidence", "text"),
    [
        ("yes", False, "Answer: yes"),
        (" yes\n", False, "Answer: yes"),
        ("Answer: yes", False, "Answer: yes"),
        ("", True, ""),
        ("yes", True, "Answer: yes"),
        (Response("yes", 0.824), True, "Answer: yes\nConfidence: 82%"),
        (Response("yes", 0.824), False, "Answer: yes"),
        (Response("", 0.5), True, ""),
    ],
)
async def test_what_it_returns_is_read_as_what_a_model_writes(answer: object, confidence: bool, text: str):
    assert (await client(answering(answer)).chat(asked(confidence=confidence))).text == text


async def test_tokens_are_counted_where_the_application_knows_them():
    response = await client(answering(Response("yes", None, 30, 5))).chat(asked())
    assert isinstance(response, ChatResponse)
    assert response.usage == Usage(30, 5)
    assert response.attempts == 1


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (7, TypeError, "'app' returned 7; expected a str or a Response"),
        (Response(cast("str", None)), TypeError, "expected a str or a Response"),
        (Response("yes", 1.5), ValueError, "'app' has the confidence 1.5; expected a number from 0 to 1"),
    ],
)
async def test_what_is_no_answer_is_an_error_of_the_application(
    answer: object, error: type[Exception], said: str
):
    with pytest.raises(error, match=said):
        await client(answering(answer)).chat(asked())


class StatusError(Exception):
    def __init__(self, status: int, said: str = "no", **headers: str) -> None:
        super().__init__(said)
        self.status_code = status
        self.response = StatusError.Answer(headers)

    class Answer:
        def __init__(self, headers: dict[str, str]) -> None:
            self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (StatusError(429, retry_after="3"), RateLimited),
        (StatusError(500), ServerFault),
        (StatusError(400), Rejected),
        (StatusError(400, "maximum context length is 8"), ContextTooLong),
        (StatusError(401), EndpointError),
        (TimeoutError(), Unreachable),
        (ConnectionResetError("reset"), Unreachable),
    ],
)
async def test_errors_that_speak_of_the_world_are_failures_of_the_call(
    raised: Exception, error: type[Exception]
):
    for function in (raising(raised), raising(RuntimeError("agent failed"), raised)):
        with pytest.raises(error) as caught:
            await client(function).chat(asked())
        assert type(caught.value) is error
        assert caught.value.__cause__ is not None
        assert "here" in str(caught.value)
        if isinstance(caught.value, RateLimited):
            assert caught.value.retry_after == 3


@pytest.mark.parametrize("error", [ServerFault("down"), CallFailed("odd"), KeyError("bug")])
async def test_the_packages_own_errors_and_those_of_the_application_go_on_as_they_are(error: Exception):
    with pytest.raises(type(error)) as caught:
        await client(raising(error)).chat(asked())
    assert caught.value is error


async def test_a_function_that_takes_too_long_is_cancelled_and_unreachable():
    ended = anyio.Event()

    async def hang(prompt: Prompt, question: Question) -> str:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return ""

    with anyio.fail_after(5), pytest.raises(Unreachable, match=r"here did not answer in time \(0\.01 s\)"):
        await client(hang, timeout=0.01).chat(asked())
    assert ended.is_set()
