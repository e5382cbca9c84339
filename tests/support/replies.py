"""What the chat server of the tests can answer with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Alternatives = Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Completion:
    """A reply. `logprobs` holds a (token, logprob, alternatives) per token, best alternative first.

    `usage` is (prompt tokens, completion tokens); left out, words are counted; False sends no usage.
    """

    text: str | None
    logprobs: Sequence[tuple[str, float, Alternatives]] | None = None
    usage: tuple[int, int] | bool = True
    finish_reason: str = "stop"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """An error status. `message` and `code` make an OpenAI error body; `body` sends these bytes instead."""

    status: int
    message: str = "something is wrong"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class Reset:
    """The connection is closed without an answer."""


@dataclass(frozen=True)
class Truncated:
    """The answer ends in the middle of its body."""


@dataclass(frozen=True)
class Malformed:
    """Status 200 with a body that is no chat completion."""

    body: bytes = b'{"choices": [{"message": {"content": "half a sen'


Reply = str | Completion | Fault | Reset | Truncated | Malformed
