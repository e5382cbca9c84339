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
from ._row_shapes import chat_paths, option_fields, paths_of, value
from .answers.numeric import canonical
from .data import Row, Values, read
from .mapping import ANSWERS, CHOICES, QUESTIONS, Raw, Unfit, listed
from .presets import Preset, presets

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
    *("answerkey", "answer_key", "answer_idx", "answer_index", "correct_option", "cop"),
    *("sentiment", "intent", "topic", "rating", "score", "stars", "output", "completion"),
)
_LIKELY_QUESTIONS = (
    *QUESTIONS,
    *(
        "stem",
        "instruction",
        "prompt",
        "query",
        "message",
        "body",
        "content",
        "sentence",
        "review",
        "document",
        "description",
    ),
)

_WHOLE = re.compile(r"-?\d+(?:\.0+)?")
"""A number that may be a label: an index, a rating. Others are amounts."""

_YES_NO = frozenset(("yes", "no", "true", "false"))


class Guess(msgspec.Struct, frozen=True):
    """A task as its rows suggest it; `labels` in order of name, empty but for classification.

    Fields may be dotted paths. `choices` are the fields with the options, empty where their name is usual or
    there are none. `blank` counts the rows without an answer and `unread` those that cannot be read, which
    `on_bad_row: skip` leaves out. `preset` is the one that reads the file, if any; `question` and `answer`
    are empty then.
    """

    kind: Kind
    question: str
    answer: str
    labels: tuple[str, ...] = ()
    blank: int = 0
    choices: tuple[str, ...] = ()
    unread: int = 0
    preset: str = ""


def guess(path: Path, answer: str | None = None, *, presets: bool = False) -> Guess:
    """Look at the first rows of a file; `answer` names the field of the answer where it is known.

    With `presets` a file that is named like a public set, and that its preset reads, is taken for that.
    Raises InputError where the file cannot be read or shows no answer.
    """
    if presets and answer is None and (found := _preset(path)) is not None:
        return Guess(found.kind, "", "", preset=found.name)
    items = [*islice(read(str(path), Path()), ROWS)]
    rows = [item.values for item in items if isinstance(item, Row)]
    if not rows:
        raise InputError(f"{path}: no row that can be read")
    if answer is None and path.suffix.lower() in (".csv", ".tsv"):
        _expect_header(path, rows)
    found = guess_rows(str(path), rows, answer)
    return msgspec.structs.replace(found, unread=len(items) - len(rows))


def guess_rows(path: str, rows: Sequence[Values], answer: str | None = None) -> Guess:
    """`guess` from rows that are read already, at least one; messages call them `path`."""
    names = list(dict.fromkeys(name for row in rows for name in paths_of(row)))
    chat = chat_paths(rows)
    options = option_fields(names)
    if answer is None:
        answer = chat[1] if chat else _answer(path, [name for name in names if name not in options], rows)
    elif answer not in names:
        raise InputError(f"{path}: no field {answer!r}; {nearest(answer, names)}")
    others = [name for name in names if name not in (answer, *options) and not _blank(name, rows)]
    question = chat[0] if chat else _named(others, _LIKELY_QUESTIONS) or _longest(others, rows)
    if question is None:
        raise InputError(f"{path}: no field beside {answer!r} that could be the question")
    answers = [value(row, answer) for row in rows]
    given = [one for one in answers if not _empty(one)]
    if not given:
        raise InputError(f"{path}: the field {answer!r} holds no answer in the first {len(rows)} rows")
    blank = len(answers) - len(given)
    offered = next((name for name in names if name.rpartition(".")[2] in CHOICES), None)
    if offered is not None:
        choices = () if offered in CHOICES else (offered,)
        return Guess("multiple_choice", question, answer, (), blank, choices)
    if options and all(_chooses(value(row, answer), row, options) for row in rows):
        numbers = {str(one).strip() for one in given}
        if "0" not in numbers and all(map(str.isdecimal, numbers)):
            raise InputError(
                f"{path}: the answers in {answer!r} seem to count the options from 1; give letters, texts or "
                "numbers from 0"
            )
        return Guess("multiple_choice", question, answer, (), blank, options)
    kind, labels = _kind(given)
    return Guess(kind, question, answer, labels, blank)


def _expect_header(path: Path, rows: Sequence[Values]) -> None:
    """InputError where a name of the first line is also a value below it: then that line is a row."""
    names = list(rows[0])
    for name in names:
        # A line where every value is a name is a header in the middle, of files that were joined.
        if any(row.get(name) == name and list(row.values()) != names for row in rows):
            raise InputError(
                f"{path}:1: {name!r} is the name of a field and a value of it, so this line may be a row; "
                "put a line with the names of the fields before it, such as text,label"
            )


def _preset(path: Path) -> Preset | None:
    """The preset whose name is in that of the file or its folder, and which reads its first rows."""
    name = _underscored(f" {path.absolute().parent.name} {path.stem} ")
    named = [one for one in presets() if f"_{one.name}_" in name or f"_{one.name.replace('_', '')}_" in name]
    return next((one for one in sorted(named, key=lambda one: -len(one.name)) if _reads(one, path)), None)


def _underscored(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower())


PRESET_ROWS = 50
"""Rows that a preset must be able to read."""


def _reads(preset: Preset, path: Path) -> bool:
    try:
        items = [*islice(read(str(path), Path(), preset.shape), PRESET_ROWS)]
        found = [preset.read(item.values) for item in items if isinstance(item, Row)]
    except (Unfit, InputError):
        return False
    return len(found) == len(items) and any(isinstance(one, Raw) for one in found)


def _answer(path: str, names: Sequence[str], rows: Sequence[Values]) -> str:
    """The field of a usual name, else the one with the fewest different values, if they are few; of several
    the last."""
    usual = _named(names, _LIKELY_ANSWERS)
    if usual is not None:
        return usual
    values = {name: {str(found) for row in rows if not _empty(found := value(row, name))} for name in names}
    different = {name: len(found) for name, found in values.items()}
    few = [name for name in names if 2 <= different[name] <= min(MOST_LABELS, len(rows) // 2)]
    if not few:
        raise InputError(
            f"{path}: no field that could be the answer among {listed(names)}; name it {', '.join(ANSWERS)}, "
            "or say which it is: --answer FIELD of tprompt init, fields: {answer: FIELD} in a scenario"
        )
    return min(reversed(few), key=lambda name: different[name])


def _named(names: Sequence[str], usual: Sequence[str]) -> str | None:
    """The field with the first of these usual names, in any case, with spaces or underscores; of a nested one
    the last part counts."""
    found = {_underscored(name.rpartition(".")[2].strip()): name for name in reversed(names)}
    found |= {_underscored(name.strip()): name for name in reversed(names)}
    return next((found[name] for name in usual if name in found), None)


def _blank(name: str, rows: Sequence[Values]) -> bool:
    """True where a field is empty in most rows, as `input` is in rows that are instructions alone."""
    return sum(_empty(value(row, name)) for row in rows) > len(rows) / 2


def _empty(found: object) -> bool:
    return found is None or str(found).strip().lower() in ("", "nan")


def answer_counts(path: Path, answer: str) -> Counter[str]:
    """The number of the first rows with each answer; each label of a list counts. Blank answers do not."""
    counts: Counter[str] = Counter()
    for item in islice(read(str(path), Path()), ROWS):
        if isinstance(item, Row):
            counts.update(_each(value(item.values, answer)))
    return counts


def _each(answer: object) -> list[str]:
    if isinstance(answer, list):
        return [str(one).strip() for one in cast("list[object]", answer)]
    text = "" if answer is None else str(answer).strip()
    return [] if text.lower() in ("", "nan") else [text]


def _longest(names: Sequence[str], rows: Sequence[Values]) -> str | None:
    length = Counter({name: sum(len(str(value(row, name) or "")) for row in rows) for name in names})
    return length.most_common(1)[0][0] if length else None


def _kind(answers: Sequence[object]) -> tuple[Kind, tuple[str, ...]]:
    if all(isinstance(answer, list) for answer in answers):
        return "labels", tuple(sorted({label for answer in answers for label in _each(answer)}))
    values = {str(answer).strip() for answer in answers}
    if {value.lower() for value in values} <= _YES_NO:
        return "yes_no", ()
    numbers = all(isinstance(answer, int | float) or _is_number(str(answer)) for answer in answers)
    if numbers and not all(_WHOLE.fullmatch(value) for value in values):
        return "numeric", ()
    if len(values) <= min(MOST_LABELS, len(answers) // 2):
        return "classification", tuple(sorted(values))
    if numbers:
        return "numeric", ()
    short = all(len(value) <= LABEL_CHARACTERS for value in values)
    if short and len(values) <= min(MOST_OFTEN, len(answers) // OFTEN):
        return "classification", tuple(sorted(values))
    return "text", ()


def _chooses(answer: object, row: Values, options: Sequence[str]) -> bool:
    """True where an answer is one of the options, its letter or its number; blank answers say nothing."""
    said = str(answer).strip()
    if _empty(answer):
        return True
    texts = [str(value(row, name)).strip() for name in options]
    letters = "ABCDEFGH"[: len(options)]
    known = {*options, *texts, *letters, *letters.lower(), *map(str, range(len(options) + 1))}
    return said in known


def _is_number(answer: str) -> bool:
    """True for a number with at most one word behind it: `1.234,56`, `2½`, `1.5 million`, `18 apples`."""
    words = re.findall(r"[^\W\d_]{2,}", answer)
    return canonical(answer) is not None and len(words) <= 1 and not answer[:1].isalpha()
