"""The application as the target: its own function in the place of a model."""

from collections.abc import Awaitable, Mapping
from inspect import isawaitable, iscoroutinefunction
from math import inf
from time import perf_counter
from typing import Protocol, cast

import anyio
import anyio.to_thread
import msgspec

from ..runtime.concurrency import Turns
from ..runtime.errors import CallFailed, EndpointError, Unreachable
from ..runtime.llm.chat import ChatRequest, ChatResponse, Message, Usage
from ..runtime.llm.http._refusals import refusal
from ..runtime.prompt import Position, Prompt
from ..runtime.tasks.example import Question


class Response(msgspec.Struct, frozen=True):
    """An application's answer: the answer itself, how sure it is (in [0, 1]; None: it does not say), and
    the tokens it used, where it knows."""

    text: str
    confidence: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class TargetFunction(Protocol):
    """A function of the application that answers one question under a prompt, with a text or a `Response`.

    `prompt.text` is what is optimised (of an application with several prompts `prompt.texts` holds them all,
    by name); the question has no gold answer. A plain function is called in a thread, so several of its calls
    run at the same time.
    """

    def __call__(
        self, prompt: Prompt, question: Question, /
    ) -> Awaitable[str | Response] | str | Response: ...


class _Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """The identity of a call: equal calls are made once, and replayed from the call ledger."""

    text: str
    position: Position
    question: Question
    confidence: bool
    whole: bool = False


def application_messages(
    prompt: Prompt, question: Question, *, confidence: bool, whole: bool = False
) -> tuple[Message, ...]:
    """The chat turn that asks an application; `confidence` says whether it is to state one, `whole` whether
    what it returns is the whole reply."""
    asked = _Asked(prompt.text, prompt.position, question, confidence, whole)
    return (Message("user", msgspec.json.encode(asked).decode()),)


class ApplicationClient:
    """A chat client that asks functions of the application, by the model name of the request.

    It stands where the HTTP client of an endpoint stands, so that limits, retries, the call ledger and the
    budget are around it: one call of a function is one call.

    What a function returns is taken as what a model writes behind `Answer:`, so the strict format is kept
    when it is exactly an allowed answer (a text that itself begins with `Answer:` is taken as it is). A
    confidence counts where the task asks for a verbalised one, as a whole percentage. Under another format
    than `lines` the text is the whole reply, in that format.

    A function that takes longer than `timeout` seconds is Unreachable; a plain one goes on in its thread, and
    what it returns is dropped. What it raises is an external
    failure when it is a CallFailed or EndpointError, a TimeoutError or OSError (Unreachable), or carries the
    status of an HTTP answer as errors of model SDKs do (see `refusal`), itself or as its cause. Any other
    error is the application's own and ends the run.
    """

    def __init__(self, name: str, functions: Mapping[str, TargetFunction], *, timeout: float) -> None:
        self._name = name
        self._functions = dict(functions)
        self._timeout = timeout
        self._threads: anyio.CapacityLimiter | None = None
        self._turns = Turns()

    async def chat(self, request: ChatRequest) -> ChatResponse:
        asked = msgspec.json.decode(request.messages[0].content, type=_Asked)
        start = perf_counter()
        try:
            with anyio.fail_after(self._timeout):
                prompt = Prompt(text=asked.text, position=asked.position)
                answered = await self._call(self._functions[request.model], prompt, asked.question)
        except Exception as error:
            failed = self._failed(error)
            if failed is None or failed is error:
                raise
            raise failed from error
        await self._turns.wait()  # functions that answer at once are ready together
        response = self._checked(request.model, answered)
        return ChatResponse(
            text=response.text if asked.whole else written(response, confidence=asked.confidence),
            finish_reason="stop",
            usage=Usage(response.prompt_tokens, response.completion_tokens),
            seconds=perf_counter() - start,
        )

    async def _call(self, function: TargetFunction, prompt: Prompt, question: Question) -> object:
        if iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
            answered: object = function(prompt, question)
        else:
            if self._threads is None:
                self._threads = anyio.CapacityLimiter(inf)  # the limits of the endpoint bound their number
            answered = await anyio.to_thread.run_sync(
                function, prompt, question, abandon_on_cancel=True, limiter=self._threads
            )
        return await answered if isawaitable(answered) else answered

    def _failed(self, error: BaseException | None) -> CallFailed | EndpointError | None:
        """The external failure that an error reports; None where it is the application's own."""
        if error is None or isinstance(error, CallFailed | EndpointError):
            return error
        response: object = getattr(error, "response", None)
        status: object = getattr(error, "status_code", getattr(response, "status_code", None))
        if isinstance(status, int):
            headers: object = getattr(response, "headers", None)
            return refusal(
                endpoint=self._name,
                status=status,
                headers=headers if isinstance(headers, Mapping) else {},
                body=str(error).encode(),
            )
        if isinstance(error, TimeoutError):
            return Unreachable(
                f"{self._name} did not answer in time ({str(error) or f'{self._timeout:g} s'})"
            )
        if isinstance(error, OSError):
            return Unreachable(f"{self._name}: {error or type(error).__name__}")
        return self._failed(error.__cause__)

    def _checked(self, model: str, answered: object) -> Response:
        if isinstance(answered, str):
            return Response(answered)
        if not isinstance(answered, Response) or not isinstance(cast("object", answered.text), str):
            raise TypeError(f"the target {model!r} returned {answered!r}; expected a str or a Response")
        if answered.confidence is not None and not 0 <= answered.confidence <= 1:
            raise ValueError(
                f"the target {model!r} has the confidence {answered.confidence}; "
                "expected a number from 0 to 1"
            )
        return answered


class NobodyClient:
    """A chat client in the place of a model that is never asked."""

    async def chat(self, request: ChatRequest) -> ChatResponse:
        raise CallFailed(f"nobody answers for {request.model}")


def written(response: Response, *, confidence: bool) -> str:
    """The reply as a model writes it."""
    text = response.text.strip()
    answer = text if not text or text.startswith("Answer:") else f"Answer: {text}"
    if not (answer and confidence) or response.confidence is None:
        return answer
    return f"{answer}\nConfidence: {round(100 * response.confidence)}%"
