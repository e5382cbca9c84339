"""Answers that are labels: classification, yes/no, yes/no/maybe."""

import msgspec

from ..example import Example, Question
from .clean import folded, trimmed
from .closed import Named, recovered
from .lines import answer_of_lines
from .space import Recovered
from .wording import pattern

YES_NO_SYNONYMS: dict[str, tuple[str, ...]] = {
    "yes": ("true", "correct", "right", "yeah", "yep", "是", "是的", "对", "正确"),
    "no": ("false", "incorrect", "wrong", "nope", "否", "不", "不是", "不对", "错", "错误", "不正确"),
    "maybe": ("possibly", "perhaps", "unclear", "uncertain", "也许", "可能", "不确定"),
}


class Labels(msgspec.Struct, frozen=True):
    """One of a fixed set of labels. `synonyms` maps other names, as a reply may use them, to labels.

    Strict: the label as it is, without regard to case. Lenient: see `closed.recovered`; synonyms count, and
    underscores, hyphens and full-width forms make no difference.
    """

    kind: str
    labels: tuple[str, ...]
    synonyms: dict[str, str] = {}

    def allowed(self, question: Question) -> tuple[str, ...]:
        return self.labels

    def options(self, question: Question) -> str:
        return ""

    def hint(self, question: Question) -> str:
        return "one of: " + ", ".join(self.labels)

    def strict(self, answer: str, question: Question) -> str | None:
        if answer in self.labels:
            return answer
        wanted = answer.casefold()
        return next((label for label in self.labels if label.casefold() == wanted), None)

    def lenient(self, text: str, question: Question) -> Recovered | None:
        kept = answer_of_lines(text)
        label = None if kept is None else self.strict(kept, question)
        return Recovered(label, "answer line") if label else recovered(text, self)

    def credit(self, answer: str, example: Example) -> float:
        return float(answer == example.gold)

    def exact(self, text: str) -> Named | None:
        """The label or synonym that the text is, apart from quotes and punctuation around it."""
        name = folded(trimmed(text)) or folded(text)
        for label in self.labels:
            if name in (folded(label), folded(trimmed(label))):
                return Named(label)
        label = self._by_synonym().get(name)
        return Named(label, by="synonym") if label else None

    def mentions(self, text: str) -> list[Named]:
        """Every label or synonym in the text, the longest where several begin together.

        Names of one character count only where they are the whole answer, and `no` not before a noun.
        """
        own = {folded(label): Named(label) for label in self.labels}
        other = {name: Named(label, by="synonym") for name, label in self._by_synonym().items()}
        names = other | own
        return [
            msgspec.structs.replace(names[name], start=match.start(), end=match.end())
            for match in pattern(names).finditer(text)
            if (name := folded(match[0])) in names
        ]

    def _by_synonym(self) -> dict[str, str]:
        return {folded(name): label for name, label in self.synonyms.items()}
