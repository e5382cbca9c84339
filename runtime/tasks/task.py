"""A task without its rows, its reading, and the messages a target model gets."""

from typing import Literal

import msgspec

from ...prompts import render
from ..llm.chat import Message
from ..prompt import Prompt
from .answers.space import AnswerSpace
from .answers.strict import asked
from .example import Question

Read = Literal["generate", "likelihood"]
ConfidenceSource = Literal["verbalised", "token_probability", "agreement", "top_k", "none"]


class Reading(msgspec.Struct, frozen=True):
    """How answers are obtained from one model for one task, `auto` already resolved.

    `read` is `generate` (two lines, parsed) or `likelihood` (one token, read from `top_logprobs`).
    `confidence` says where the confidence comes from; with `likelihood` it is always token probability.
    `samples` counts draws per row for `agreement`; `max_tokens` bounds one answer.
    """

    read: Read
    confidence: ConfidenceSource
    samples: int = 1
    max_tokens: int = 64
    top_logprobs: int = 20


class Task(msgspec.Struct, frozen=True):
    """A task as agents know it; its rows travel in messages, never here.

    `original` is the prompt text that people use today, the baseline of every comparison.
    """

    name: str
    description: str
    answers: AnswerSpace
    original: str

    @property
    def closed(self) -> bool:
        """Whether the answers of a row can be listed: choices and labels, not numbers and free text."""
        return self.answers.kind not in ("numeric", "text", "judged")


def messages(task: Task, prompt: Prompt, question: Question, reading: Reading) -> tuple[Message, ...]:
    """The chat turns that ask one row under a prompt.

    The user turn holds the row (context, question, options) and then the format the answer must have. The
    prompt stands in a system turn, before the row, or between row and format. What is the same for every row
    comes first wherever the position allows, so that a server's prefix cache can serve it.
    """
    return turns(prompt, framed(task, question, reading))


def framed(task: Task, question: Question, reading: Reading) -> tuple[str, str]:
    """What every prompt shares of a row's messages: the row, and the format its answer must have."""
    return shown(task, question), answer_format(task, question, reading)


def turns(prompt: Prompt, frame: tuple[str, str]) -> tuple[Message, ...]:
    """`messages` of a row that is framed already."""
    row, form = frame
    if prompt.position == "system":
        system = [Message("system", prompt.text.strip())] if prompt.text.strip() else []
        return (*system, Message("user", _joined(row, form)))
    if prompt.position == "before":
        return (Message("user", _joined(prompt.text, row, form)),)
    return (Message("user", _joined(row, prompt.text, form)),)


def shown(task: Task, question: Question) -> str:
    """The row as the model sees it: context, question and options, a blank line between them."""
    return _joined(question.context, question.question, task.answers.options(question))


def answer_format(task: Task, question: Question, reading: Reading) -> str:
    """What a reply must look like, in words: the strict format that IFR counts."""
    if reading.read == "likelihood":
        return render("answer_word", options=_either(task.answers.allowed(question)))
    hint = task.answers.hint(question)
    if reading.confidence == "verbalised":
        return render("answer_confidence", hint=hint)
    if reading.confidence == "top_k":
        return _guesses(hint, asked(task.answers.allowed(question)))
    return render("answer_only", hint=hint)


def _either(names: tuple[str, ...]) -> str:
    """`a, b or c`. Small models favour what is named first or last, so the order is the scenario's."""
    return " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _guesses(hint: str, count: int) -> str:
    lines = "\n".join(f"G{rank}: a guess\nP{rank}: NN%" for rank in range(1, count + 1))
    return render("answer_guesses", hint=hint, count=str(count), lines=lines)


def _joined(*parts: str) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip())
