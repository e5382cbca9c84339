"""The protocol of answer spaces: allowed answers, the words that ask for one, and readers of replies."""

from typing import Protocol, runtime_checkable

import msgspec

from ..example import Example, Question


class Recovered(msgspec.Struct, frozen=True):
    """An answer in canonical form and the name of the rule that found it."""

    answer: str
    rule: str


@runtime_checkable
class AnswerSpace(Protocol):
    """The answers of one task.

    Canonical answers are what `Example.gold` holds: a letter, a label, `yes`/`no`/`maybe`, a decimal number
    as text, or a free text.
    """

    @property
    def kind(self) -> str:
        """The scenario's name of this kind."""
        ...

    def allowed(self, question: Question) -> tuple[str, ...]:
        """Every canonical answer in order, or () where the space is open."""
        ...

    def options(self, question: Question) -> str:
        """The block that lists a row's options as the model sees it, or ''."""
        ...

    def hint(self, question: Question) -> str:
        """The allowed answers as text, e.g. `one of: positive, negative`."""
        ...

    def strict(self, answer: str, question: Question) -> str | None:
        """The canonical answer when `answer`, the text after `Answer:`, is exactly an allowed one."""
        ...

    def lenient(self, text: str, question: Question) -> Recovered | None:
        """The answer a reasonable reader would take the whole reply for, or None."""
        ...

    def credit(self, answer: str, example: Example) -> float:
        """The credit of a canonical answer, in [0, 1]; 0 or 1 for closed spaces."""
        ...
