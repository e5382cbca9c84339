"""A task without its rows, its reading, and the messages a target model gets."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from ...prompts import render
from ...scenarios.named_texts import split_texts
from ..llm.chat import Message
from ..prompt import Prompt
from .answers.formats import LINES, AnswerFormat
from .answers.space import AnswerSpace
from .answers.strict import asked
from .example import Question
from .template import Role, chat_turns, filled, variables

Read = Literal["generate", "likelihood"]
ConfidenceSource = Literal["verbalised", "token_probability", "agreement", "top_k", "none"]


class Reading(msgspec.Struct, frozen=True):
    """The way answers are obtained from one model for one task, `auto` already resolved.

    `read` is `generate` (two lines, parsed) or `likelihood` (one token, read from `top_logprobs`).
    `confidence` is its source; with `likelihood` it is always token probability.
    `samples` counts draws per row for `agreement`; `max_tokens` bounds one answer.
    """

    read: Read
    confidence: ConfidenceSource
    samples: int = 1
    max_tokens: int = 64
    top_logprobs: int = 20

    def describe(self) -> str:
        """The reading as text: how answers are obtained and where confidence comes from."""
        how = "scored by label likelihood" if self.read == "likelihood" else "answers generated and parsed"
        drawn = f" of {self.samples} samples" if self.samples > 1 else ""
        return f"{how}, confidence by {self.confidence}{drawn}"


class Task(msgspec.Struct, frozen=True):
    """A task as agents know it; its rows travel in messages, never here.

    `original` is the prompt text that people use today, the baseline of every comparison. `format` is the
    form of a reply. Without `framed` nothing is added to a prompt, neither the allowed answers nor the form.
    `variables` are the row's fields that the prompt has places for; such a prompt shows the row itself.
    """

    name: str
    description: str
    answers: AnswerSpace
    original: str
    format: AnswerFormat = LINES
    framed: bool = True
    variables: tuple[str, ...] = ()

    @property
    def closed(self) -> bool:
        """True when the answers of a row can be listed: choices and labels, not numbers and free text."""
        return self.answers.kind not in ("numeric", "text", "judged", "labels", "extraction")

    @property
    def placed(self) -> bool:
        """True when the position of a prompt makes a difference: it has neither variables nor turns, and is
        one text."""
        return not (self.variables or chat_turns(self.original) or split_texts(self.original))


class Frame(msgspec.Struct, frozen=True):
    """The part of a row's messages that is the same under every prompt.

    `row` is the row as it is shown under a prompt that has no variables for its `fields`; `form` are the
    words that ask for the format of the answer, empty where the task adds none.
    """

    row: str
    form: str
    fields: tuple[tuple[str, str], ...] = ()


def messages(task: Task, prompt: Prompt, question: Question, reading: Reading) -> tuple[Message, ...]:
    """The chat turns that ask one row under a prompt.

    The user turn holds the row (context, question, options) and then the format the answer must have. The
    prompt is in a system turn, before the row, or between row and format. Everything that is the same
    for every row comes first wherever the position allows, so that a server's prefix cache can serve it.

    A prompt with variables shows the row itself, with its fields in their places. A prompt with turns of its
    own is sent as these turns; what is added goes to the end of its last user turn.
    """
    return turns(prompt, framed(task, question, reading))


def framed(task: Task, question: Question, reading: Reading) -> Frame:
    """The row, and the format its answer must have."""
    form = answer_format(task, question, reading) if task.framed else ""
    return Frame(shown(task, question), form, question.fields)


def turns(prompt: Prompt, frame: Frame) -> tuple[Message, ...]:
    """`messages` of a row that is framed already."""
    values, own = dict(frame.fields), chat_turns(prompt.text)
    placed = not variables(prompt.text).isdisjoint(values)
    added = _joined("" if placed else frame.row, frame.form)
    if own:
        return _own_turns(own, values, added)
    if placed:
        return (Message("user", _joined(filled(prompt.text, values), added)),)
    if prompt.position == "system":
        system = [Message("system", prompt.text.strip())] if prompt.text.strip() else []
        return (*system, *([Message("user", added)] if added else ()))
    if prompt.position == "before":
        return (Message("user", _joined(prompt.text, frame.row, frame.form)),)
    return (Message("user", _joined(frame.row, prompt.text, frame.form)),)


def _own_turns(own: list[tuple[Role, str]], values: Mapping[str, str], added: str) -> tuple[Message, ...]:
    """The turns of a prompt; values are filled in per turn, so that none can add a turn."""
    texts: list[tuple[Role, str]] = [(role, filled(text, values)) for role, text in own]
    if added and (not texts or texts[-1][0] != "user"):
        texts.append(("user", ""))
    last = len(texts) - 1
    return tuple(
        Message(role, _joined(text, added if place == last else ""))
        for place, (role, text) in enumerate(texts)
    )


def shown(task: Task, question: Question) -> str:
    """The row as the model sees it: context, question and options, a blank line between them."""
    return _joined(question.context, question.question, task.answers.options(question))


def answer_format(task: Task, question: Question, reading: Reading) -> str:
    """The words that ask for the format of a reply: the strict one that IFR counts."""
    if reading.read == "likelihood":
        return render("answer_word", options=_either(task.answers.allowed(question)))
    hint = task.answers.hint(question)
    if reading.confidence == "top_k":
        return _guesses(hint, asked(task.answers.allowed(question)))
    return task.format.request(hint, confidence=reading.confidence == "verbalised")


def _either(names: tuple[str, ...]) -> str:
    """`a, b or c`. Small models favour what is named first or last, so the order is the scenario's."""
    return " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _guesses(hint: str, count: int) -> str:
    lines = "\n".join(f"G{rank}: a guess\nP{rank}: NN%" for rank in range(1, count + 1))
    return render("answer_guesses", hint=hint, count=str(count), lines=lines)


def _joined(*parts: str) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip())
