"""The kind of task that a data file seems to hold, for a first scenario that a person then reads."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import msgspec

from ...scenarios.errors import InputError, nearest
from ...scenarios.tasks import Kind
from .answers.numeric import canonical
from .data import Row, Values, read
from .mapping import ANSWERS, CHOICES, QUESTIONS

ROWS = 20_000
"""Rows looked at; files are often sorted by their answers."""

MOST_LABELS = 20
"""More different answers than this are no label set, unless each comes often."""
MOST_OFTEN, OFTEN, LABEL_CHARACTERS = 200, 4, 60
"""So many answers of so many characters are one where each comes so often on average."""

_LIKELY_ANSWERS = (
    *ANSWERS,
    *("answers", "labels", "gold", "gold_label", "gold_answer", "correct_answer", "correct", "expected"),
    *(
        "expected_output",
        "expected_answer",
        "ground_truth",
        "solution",
        "category",
        "class",
        "classification",
    ),
    *("sentiment", "intent", "topic", "rating", "score", "stars", "output", "completion"),
)
_LIKELY_QUESTIONS = (
    *QUESTIONS,
    *("prompt", "query", "message", "body", "content", "sentence", "review", "document", "description"),
)

_YES_NO = frozenset(("yes", "no", "true", "false"))


class Guess(msgspec.Struct, frozen=True):
    """A task as its rows suggest it; `labels` in order of name, empty but for classification.

    `blank` counts the rows without an answer, which `on_bad_row: skip` leaves out.
    """

    kind: Kind
    question: str
    answer: str
    labels: tuple[str, ...] = ()
    blank: int = 0


def guess(path: Path, answer: str | None = None) -> Guess:
    """Look at the first rows of a file; `answer` names the field of the answer where it is known.

    Raises InputError where the file cannot be read or shows no answer.
    """
    rows = [item.values for item in islice(read(str(path), Path()), ROWS) if isinstance(item, Row)]
    if not rows:
        raise InputError(f"{path}: no row that can be read")
    return guess_rows(str(path), rows, answer)


def guess_rows(path: str, rows: Sequence[Values], answer: str | None = None) -> Guess:
    """`guess` from rows that are read already, at least one; messages call them `path`."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if answer is None:
        answer = _answer(path, names, rows)
    elif answer not in names:
        raise InputError(f"{path}: no field {answer!r}; {nearest(answer, names)}")
    others = [name for name in names if name != answer]
    question = _named(others, _LIKELY_QUESTIONS) or _longest(names, answer, rows)
    if question is None:
        raise InputError(f"{path}: no field beside {answer!r} that could be the question")
    answers = [row.get(answer) for row in rows]
    given = [one for one in answers if one is not None and str(one).strip().lower() not in ("", "nan")]
    if not given:
        raise InputError(f"{path}: the field {answer!r} holds no answer in the first {len(rows)} rows")
    kind, labels = _kind(names, given)
    return Guess(kind, question, answer, labels, len(answers) - len(given))


def _answer(path: str, names: Sequence[str], rows: Sequence[Values]) -> str:
    """The field of a usual name, else the one with the fewest different values, if they are few."""
    usual = _named(names, _LIKELY_ANSWERS)
    if usual is not None:
        return usual
    different = {name: len({str(row.get(name)) for row in rows}) for name in names}
    few = [name for name in names if 2 <= different[name] <= min(MOST_LABELS, len(rows) // 2)]
    if not few:
        raise InputError(
            f"{path}: no field that could be the answer; name it {', '.join(ANSWERS)}, or write the scenario "
            "with fields: {question: …, answer: …}"
        )
    return min(few, key=lambda name: different[name])


def _named(names: Sequence[str], usual: Sequence[str]) -> str | None:
    """The field with the first of these usual names, in any case, with spaces or underscores."""
    found = {name.strip().lower().replace(" ", "_"): name for name in reversed(names)}
    return next((found[name] for name in usual if name in found), None)


def answer_counts(path: Path, answer: str) -> Counter[str]:
    """The number of the first rows with each answer; each label of a list counts. Blank answers do not."""
    counts: Counter[str] = Counter()
    for item in islice(read(str(path), Path()), ROWS):
        if isinstance(item, Row):
            counts.update(_each(item.values.get(answer)))
    return counts


def _each(answer: object) -> list[str]:
    if isinstance(answer, list):
        return [str(one).strip() for one in cast("list[object]", answer)]
    text = "" if answer is None else str(answer).strip()
    return [] if text.lower() in ("", "nan") else [text]


def _longest(names: Sequence[str], answer: str, rows: Sequence[Values]) -> str | None:
    length = Counter(
        {name: sum(len(str(row.get(name, ""))) for row in rows) for name in names if name != answer}
    )
    return length.most_common(1)[0][0] if length else None


def _kind(names: Sequence[str], answers: Sequence[object]) -> tuple[Kind, tuple[str, ...]]:
    if any(name in names for name in CHOICES):
        return "multiple_choice", ()
    if all(isinstance(answer, list) for answer in answers):
        return "labels", tuple(sorted({label for answer in answers for label in _each(answer)}))
    values = {str(answer).strip() for answer in answers}
    if {value.lower() for value in values} <= _YES_NO:
        return "yes_no", ()
    if len(values) <= min(MOST_LABELS, len(answers) // 2):
        return "classification", tuple(sorted(values))
    if all(isinstance(answer, int | float) or _is_number(str(answer)) for answer in answers):
        return "numeric", ()
    short = all(len(value) <= LABEL_CHARACTERS for value in values)
    if short and len(values) <= min(MOST_OFTEN, len(answers) // OFTEN):
        return "classification", tuple(sorted(values))
    return "text", ()


def _is_number(answer: str) -> bool:
    """True for a number with at most one word behind it: `1.234,56`, `2½`, `1.5 million`, `18 apples`."""
    words = re.findall(r"[^\W\d_]{2,}", answer)
    return canonical(answer) is not None and len(words) <= 1 and not answer[:1].isalpha()
