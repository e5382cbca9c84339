"""From a stream of rows to examples: gold answers read, bad rows reported or skipped, the rest sampled."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import cast

import msgspec

from ...scenarios.errors import InputError
from ...scenarios.tasks import Kind
from .answers.numeric import canonical
from .data import Bad, ClassIndex, Item, Values, sample
from .example import LETTERS, Example
from .mapping import Drop, Mapper, Raw, Unfit, at, required, text, written_list

Labels = Sequence[str] | Mapping[str, str] | None
"""The labels in order, or from the data's values to labels; None where they are the data's own values."""

_LETTER = re.compile(r"[(\[（]?([A-Za-z])[)\]）.:]?")
_YES_NO = {
    "yes": "yes",
    "no": "no",
    "true": "yes",
    "false": "no",
    "y": "yes",
    "n": "no",
    "t": "yes",
    "f": "no",
    "on": "yes",
    "off": "no",
    "1": "yes",
    "0": "no",
}


def read_gold(raw: Raw, kind: Kind, labels: Labels) -> tuple[str, tuple[str, ...]]:
    """The canonical answer of a row and, for free text, what else is accepted. Raises Unfit."""
    match kind:
        case "multiple_choice":
            return _letter(raw, labels), ()
        case "classification":
            return _class(raw.answer, labels), ()
        case "labels":
            return _label_set(raw.answer, labels), ()
        case "extraction":
            return _fields(raw.answer), ()
        case "yes_no" | "yes_no_maybe":
            return _yes_no(_value(raw.answer), labels, maybe=kind == "yes_no_maybe"), ()
        case "numeric":
            return _number(_value(raw.answer)), ()
        case "text":
            return _texts(raw.answer)
        case "judged":
            return ("", ()) if raw.answer is None else _texts(raw.answer)


def _value(answer: object) -> str:
    found = text(answer, "the answer")
    if not found:
        raise Unfit("the answer is empty")
    return found


def _whole(value: str) -> str:
    """`1` for `1.0`: pandas writes whole numbers so where a column has gaps."""
    match = re.fullmatch(r"(-?\d{1,18})\.0+", value)
    return match[1] if match else value


def _letter(raw: Raw, labels: Labels) -> str:
    if not 2 <= len(raw.choices) <= len(LETTERS):
        raise Unfit(f"{len(raw.choices)} choices; multiple choice takes 2 to {len(LETTERS)}")
    value = _whole(_value(raw.answer))
    if isinstance(labels, Mapping):
        value = labels.get(value, value)
    if value in raw.markers:
        return LETTERS[raw.markers.index(value)]
    return LETTERS[_position(value, raw.choices)]


def _position(value: str, choices: Sequence[str]) -> int:
    """The one choice that a text, letter or index (from 0) can mean."""
    meant = {i for i, choice in enumerate(choices) if choice == value}
    letter = _LETTER.fullmatch(value)
    if letter:
        meant.add(LETTERS.index(letter[1].upper()))
    if value.isdecimal():
        meant.add(int(value))
    inside = {i for i in meant if i < len(choices)}
    if not inside:
        raise Unfit(
            f"answer {value!r} is none of the {len(choices)} choices: no text, letter or index from 0 of them"
        )
    if len(inside) > 1:
        options = ", ".join(LETTERS[i] for i in sorted(inside))
        raise Unfit(f"answer {value!r} can mean several choices ({options}); map it to letters with `labels`")
    return inside.pop()


def _label(value: str, labels: Labels) -> str:
    if labels is None:
        return value
    if isinstance(labels, Mapping):
        known = {**{label: label for label in labels.values()}, **labels}
    else:
        # Where labels are numbers themselves, a number is a label and no index.
        numbers = any(_whole(label).lstrip("-").isdecimal() for label in labels)
        indexed = {} if numbers else {str(i): label for i, label in enumerate(labels)}
        known = {**indexed, **{label: label for label in labels}}
    value = value if value in known else _whole(value)
    if value in known:
        return known[value]
    near = {key.casefold(): label for key, label in known.items()}
    if value.casefold() in near:
        return near[value.casefold()]
    shown = ", ".join(dict.fromkeys(known.values()))
    raise Unfit(f"label {value!r} is not among the labels ({shown}); add it, or map it with `labels`")


def _class(answer: object, labels: Labels) -> str:
    """The label of one row; a class of a Hugging Face set by its name, where labels do not name its index."""
    if isinstance(answer, list | tuple):
        several = cast("Sequence[object]", answer)
        if len(several) != 1:
            raise Unfit(
                f"the answer is a list of {len(several)} labels; set kind: labels for several labels a row"
            )
        answer = several[0]
    if isinstance(answer, ClassIndex):
        if labels is None or isinstance(labels, Mapping):
            return _label(str(int(answer)) if labels and str(int(answer)) in labels else answer.name, labels)
        return labels[answer] if answer < len(labels) else _label(answer.name, labels)
    return _label(_value(answer), labels)


def _label_set(answer: object, labels: Labels) -> str:
    """The labels of one row with commas between them: from a list, or from a text that separates them."""
    if isinstance(answer, str):
        written = written_list(answer)
        answer = [part for part in re.split("[,;|]", answer) if part.strip()] if written is None else written
    if answer is None:
        answer = []
    if not isinstance(answer, list | tuple):
        answer = [answer]
    found = dict.fromkeys(_class(one, labels) for one in cast("Sequence[object]", answer))
    found.pop("none", None)
    for label in found:
        if "," in label:
            raise Unfit(f"label {label!r} holds a comma, which separates labels; map it with `labels`")
    order = list(labels.values() if isinstance(labels, Mapping) else labels or sorted(found))
    return ", ".join(sorted(found, key=order.index)) or "none"


def _fields(answer: object) -> str:
    """The fields to be found and their values as a JSON object of texts."""
    if not isinstance(answer, Mapping) or not answer:
        raise Unfit("the answer is no object of fields; name several with `fields.answer`")
    values = cast("Values", answer)
    return msgspec.json.encode({name: text(value, name) for name, value in values.items()}).decode()


def _yes_no(value: str, labels: Labels, *, maybe: bool) -> str:
    allowed = ("yes", "no", "maybe") if maybe else ("yes", "no")
    if labels is not None:
        value = _label(value, labels)
    plain = _whole(value).casefold().rstrip(".")
    found = "maybe" if maybe and plain == "maybe" else _YES_NO.get(plain)
    if found is None:
        raise Unfit(f"answer {value!r} is none of {', '.join(allowed)}; map it with `labels`")
    return found


def _number(value: str) -> str:
    """The number after `####` where there is one, else the only number of the answer."""
    last = value.rpartition("####")[2].strip()
    found = canonical(last)
    if found is None:
        raise Unfit(f"answer {last[:60]!r} is no number, or more than one")
    return found


def _texts(answer: object) -> tuple[str, tuple[str, ...]]:
    if isinstance(answer, list | tuple):
        accepted = tuple(required(one, "an accepted answer") for one in cast("list[object]", answer))
        if accepted:
            return accepted[0], accepted[1:]
    return _value(answer), ()


MOST_PROBLEMS = 5
"""So many bad rows are listed in one message; reading stops there."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """An example and the place of its row."""

    example: Example
    place: str


class Recipe(msgspec.Struct, frozen=True):
    """Settings by which rows become examples.

    `mapper` and `variables` (the fields that the prompt shows) are found from the first row; ids are prefixed
    with `prefix`. With `skip`, bad rows are left out and counted.
    """

    name: str
    mapper: Callable[[Values], Mapper]
    variables: Callable[[Values], Sequence[str]]
    kind: Kind
    labels: Labels
    prefix: str = ""
    skip: bool = False


def collect(
    items: Iterable[Item],
    recipe: Recipe,
    dropped: Counter[str],
    *,
    limit: int | None,
    shuffle: bool,
    random: random.Random,
) -> list[Placed]:
    """At most `limit` examples. Rows left out on purpose are counted in `dropped` by reason.

    Raises InputError listing the first few bad rows with file and line, also for an id that occurs twice;
    where the recipe skips bad rows they are counted in `dropped` too.
    """
    problems = _Problems(recipe.name, dropped if recipe.skip else None)
    kept = sample(_examples(items, recipe, dropped, problems), limit, shuffle=shuffle, random=random)
    seen: dict[str, str] = {}
    for placed in kept:
        earlier = seen.setdefault(placed.example.id, placed.place)
        if earlier is not placed.place:
            problems.add(placed.place, f"id {placed.example.id!r} is also that of {earlier}; ids must differ")
    problems.report()
    return [placed for placed in kept if seen[placed.example.id] is placed.place]


def _examples(
    items: Iterable[Item], recipe: Recipe, dropped: Counter[str], problems: "_Problems"
) -> Iterator[Placed]:
    mapper: Mapper | None = None
    shown: Sequence[str] = ()
    for number, item in enumerate(items, start=1):
        if isinstance(item, Bad):
            problems.add(item.place, item.problem)
            continue
        if mapper is None:
            mapper, shown = recipe.mapper(item.values), recipe.variables(item.values)
        try:
            raw = mapper(item.values)
            if isinstance(raw, Drop):
                dropped[raw.reason] += 1
            else:
                fields = tuple((name, text(at(item.values, name), name)) for name in shown)
                yield Placed(_example(raw, recipe, number, fields), item.place)
        except Unfit as unfit:
            problems.add(item.place, str(unfit))
    problems.report()


def _example(raw: Raw, recipe: Recipe, number: int, fields: tuple[tuple[str, str], ...]) -> Example:
    gold, also = read_gold(raw, recipe.kind, recipe.labels)
    id = f"{recipe.prefix}{raw.id or number}"
    return Example(id, raw.question, gold, raw.context, raw.choices, also, fields)


SKIPPED = "unusable, e.g. "
"""Beginning of the reason under which skipped rows are counted."""


class _Problems:
    """Bad rows of one task: counted where they are skipped, else kept until there are enough to report."""

    def __init__(self, name: str, skipped: Counter[str] | None) -> None:
        self._name = name
        self._skipped = skipped
        self._found: list[str] = []

    def add(self, place: str, problem: str) -> None:
        if self._skipped is not None:
            reason = next((reason for reason in self._skipped if reason.startswith(SKIPPED)), None)
            self._skipped[reason or f"{SKIPPED}{place}: {problem}"] += 1
            return
        self._found.append(f"{place}: {problem}")
        if len(self._found) == MOST_PROBLEMS:
            self._found.append(f"(the first {MOST_PROBLEMS} bad rows; there may be more)")
            self.report()

    def report(self) -> None:
        """Raise InputError if anything was found."""
        if self._found:
            head = f"tasks.{self._name}: bad rows in the data (on_bad_row: skip leaves them out):"
            raise InputError("\n".join([head, *self._found]))
