"""Answers with several parts: sets of labels, and several fields of one text."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from ..example import Example, Question
from .cleaning import folded, plain
from .closed import Labels, Named
from .numeric import number_of
from .objects import as_text, json_objects, whole_object
from .reasoning import without_reasoning
from .space import Recovered
from .statements import refuses, statements
from .strict import answer_of_lines

NONE = "none"
"""The answer where no label applies."""

_BETWEEN = re.compile(r"[,;|&•\n]|\band\b")
_ALSO_BETWEEN = re.compile(r"[/+]")
_ITEM = re.compile(r"^\s*(?:[-*]\s|\(?\d{1,2}[.)]\s)?\s*(?:(?:and|or)\s)?")
"""What may stand before an item of a list."""


class LabelSet(msgspec.Struct, frozen=True):
    """Any number of a fixed set of labels. Canonical are the labels in their order, with commas: `a, c`.

    Strict: labels with commas between them, without regard to case or order, or `none`. Lenient: also
    synonyms, semicolons, line breaks and "and", where the answer is announced or is all there is. Credit is 1
    for the same set, else 0, or with `partial` the F1 of the two sets.
    """

    each: Labels
    partial: bool = False
    kind: str = "labels"

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label, in order."""
        return self.each.labels

    def allowed(self, question: Question) -> tuple[str, ...]:
        return ()

    def options(self, question: Question) -> str:
        return ""

    def hint(self, question: Question) -> str:
        return f"all that apply of: {', '.join(self.labels)} (with commas between them), or {NONE}"

    def strict(self, answer: str, question: Question) -> str | None:
        if answer.casefold() == NONE:
            return NONE
        if answer.count(",") >= len(self.labels):
            return None
        found = [self.each.strict(part.strip(), question) for part in answer.split(",")]
        known = [label for label in found if label is not None]
        return self.joined(known) if len(set(known)) == len(found) else None

    def lenient(self, text: str, question: Question) -> Recovered | None:
        kept = answer_of_lines(text)
        if kept is not None and (found := self.strict(kept, question)) is not None:
            return Recovered(found, "answer line")
        body = plain(text)
        if (listed := _only_value(without_reasoning(text))) is not None:
            body = listed
        for statement in reversed(statements(body)):
            if (found := self._read(statement.text)) is not None:
                return Recovered(found, statement.rule)
        found = None if refuses(body) else self._read(body)
        return None if found is None else Recovered(found, "whole")

    def credit(self, answer: str, example: Example) -> float:
        given, wanted = _set(answer), _set(example.gold)
        if given == wanted or not self.partial:
            return float(given == wanted)
        return 2 * len(given & wanted) / (len(given) + len(wanted))

    def joined(self, labels: Sequence[str]) -> str:
        """The canonical form of a set of labels."""
        return ", ".join(label for label in self.labels if label in labels) or NONE

    def _read(self, text: str) -> str | None:
        """The set that a text names, where it holds nothing else."""
        parts = [_ITEM.sub("", part) for part in _BETWEEN.split(text) if part.strip(" .[](){}\"'-")]
        if len(parts) == 1 and folded(parts[0].strip(" .\"'")) in (NONE, "none of the labels", "n/a"):
            return NONE
        named = [one for part in parts[: 2 * len(self.labels)] for one in self._named(part)]
        found = [one.answer for one in named if one is not None]
        return self.joined(found) if found and len(found) == len(named) >= len(parts) else None

    def _named(self, part: str) -> list[Named | None]:
        """The label that a part names, or those of its own parts; None for anything else."""
        whole = self.each.exact(part)
        return [whole] if whole else [self.each.exact(one) for one in _ALSO_BETWEEN.split(part)]


def _only_value(text: str) -> str | None:
    """The value of a JSON object with one field, as an answer is written; None of any other text."""
    found = whole_object(text)
    return as_text(next(iter(found.values()))) if found and len(found) == 1 else None


def _set(answer: str) -> frozenset[str]:
    return frozenset() if answer == NONE else frozenset(answer.split(", "))


class Extraction(msgspec.Struct, frozen=True):
    """Several fields of one text. Canonical is a JSON object of texts with the fields in order.

    Strict: such an object and nothing else, every field there. Lenient: the last object that has any of the
    fields, or a line `field: value` for each. A field is right when it holds the same words, or an equal
    number; credit is the share of fields that are right, or without `partial` 1 where all are.
    """

    fields: tuple[str, ...]
    partial: bool = True
    kind: str = "extraction"

    def allowed(self, question: Question) -> tuple[str, ...]:
        return ()

    def options(self, question: Question) -> str:
        return ""

    def hint(self, question: Question) -> str:
        return f"a JSON object with the fields {', '.join(self.fields)}"

    def strict(self, answer: str, question: Question) -> str | None:
        found = whole_object(answer)
        return None if found is None or set(found) != set(self.fields) else self.joined(found)

    def lenient(self, text: str, question: Question) -> Recovered | None:
        objects = [one for one in json_objects(without_reasoning(text)) if set(one) & set(self.fields)]
        if objects:
            return Recovered(self.joined(objects[-1]), "json")
        lines: dict[str, str] = {}
        for line in plain(text).splitlines():
            name, colon, value = line.partition(":")
            if colon:
                lines[folded(name.strip(" -*\"'"))] = value.strip(" ,\"'")
        found = {field: lines[folded(field)] for field in self.fields if folded(field) in lines}
        return Recovered(self.joined(found), "lines") if len(found) == len(self.fields) else None

    def credit(self, answer: str, example: Example) -> float:
        given, wanted = whole_object(answer) or {}, whole_object(example.gold) or {}
        right = sum(_same(str(given.get(field, "")), str(wanted.get(field, ""))) for field in self.fields)
        return right / len(self.fields) if self.partial else float(right == len(self.fields))

    def joined(self, values: Mapping[str, object]) -> str:
        """The canonical form of these values; a field that is missing is empty."""
        texts = {field: as_text(values.get(field)) or "" for field in self.fields}
        return msgspec.json.encode(texts).decode()


def _same(one: str, other: str) -> bool:
    if folded(one) == folded(other):
        return True
    numbers = number_of(one), number_of(other)
    return numbers[0] is not None and numbers[0] == numbers[1]
