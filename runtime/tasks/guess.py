"""The kind of task that a data file seems to hold, for a first scenario that a person then reads."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec

from ...scenarios.errors import InputError, nearest
from ...scenarios.tasks import Kind
from .data import Row, Values, read
from .mapping import ANSWERS, CHOICES, QUESTIONS

ROWS = 500
"""Rows looked at."""

MOST_LABELS = 20
"""More different answers than this are no label set."""

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
    names = list(rows[0])
    if answer is None:
        answer = _answer(path, names, rows)
    elif answer not in names:
        raise InputError(f"{path}: no field {answer!r}; {nearest(answer, names)}")
    question = next((name for name in QUESTIONS if name in names), None) or _longest(names, answer, rows)
    if question is None:
        raise InputError(f"{path}: no field beside {answer!r} that could be the question")
    answers = [row.get(answer) for row in rows]
    given = [one for one in answers if one is not None and str(one).strip().lower() not in ("", "nan")]
    if not given:
        raise InputError(f"{path}: the field {answer!r} holds no answer in the first {len(rows)} rows")
    kind, labels = _kind(names, given)
    return Guess(kind, question, answer, labels, len(answers) - len(given))


def _answer(path: str, names: Sequence[str], rows: Sequence[Values]) -> str:
    """The field of the usual name, else the one with the fewest different values, if they are few."""
    usual = next((name for name in ANSWERS if name in names), None)
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


def _longest(names: Sequence[str], answer: str, rows: Sequence[Values]) -> str | None:
    length = Counter(
        {name: sum(len(str(row.get(name, ""))) for row in rows) for name in names if name != answer}
    )
    return length.most_common(1)[0][0] if length else None


def _kind(names: Sequence[str], answers: Sequence[object]) -> tuple[Kind, tuple[str, ...]]:
    if any(name in names for name in CHOICES):
        return "multiple_choice", ()
    values = {str(answer).strip() for answer in answers}
    if {value.lower() for value in values} <= _YES_NO:
        return "yes_no", ()
    if len(values) <= min(MOST_LABELS, len(answers) // 2):
        return "classification", tuple(sorted(values))
    if all(isinstance(answer, int | float) or _is_number(answer) for answer in answers):
        return "numeric", ()
    return "text", ()


def _is_number(answer: object) -> bool:
    try:
        float(str(answer).replace(",", ""))
    except ValueError:
        return False
    return True
