"""A task without its rows: what it is, what its answers are, and how they are read."""

from typing import Literal

import msgspec

from .answers.space import AnswerSpace

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
