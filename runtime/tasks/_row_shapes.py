"""Shapes of rows that a guess looks through: nested objects, chat turns, one column for each option."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from .data import Values
from .mapping import at, has

DEPTH = 3
"""Levels of objects looked into."""

_TURNS = (("role", "content", "assistant", "user"), ("from", "value", "gpt", "human"))
"""Chat turns as OpenAI and as ShareGPT write them: keys of speaker and text, names of model and person."""

_OPTION = re.compile(r"(?i)(?P<stem>|op|opt[ _]?|option[ _]?|choice[ _]?|ending[ _]?)(?P<mark>[a-h]|\d)")


def value(row: Values, path: str) -> object:
    """The value at a dotted path; None where there is nothing."""
    return at(row, path) if has(row, path) else None


def paths_of(row: Values) -> Iterator[str]:
    """The fields of a row, those inside objects by dotted paths."""
    yield from _paths(row, "", DEPTH)


def _paths(fields: Values, before: str, depth: int) -> Iterator[str]:
    for name, found in fields.items():
        path = f"{before}{name}"
        if isinstance(found, Mapping) and depth and "text" not in found:
            yield from _paths(cast("Values", found), f"{path}.", depth - 1)
        else:
            yield path


def chat_paths(rows: Sequence[Values]) -> tuple[str, str] | None:
    """The paths of the last user's turn and of the model's reply, where every row is such a chat of one
    length."""
    for name, found in rows[0].items():
        for speaker, text, model, person in _TURNS:
            speakers = _speakers(found, speaker, text)
            if not speakers or speakers[-1] != model or person not in speakers:
                continue
            if all(_speakers(row.get(name), speaker, text) == speakers for row in rows):
                asked = len(speakers) - 1 - speakers[::-1].index(person)
                return f"{name}.{asked}.{text}", f"{name}.{len(speakers) - 1}.{text}"
    return None


def _speakers(found: object, speaker: str, text: str) -> list[object]:
    turns = cast("list[object]", found) if isinstance(found, list) else []
    named = [cast("Values", turn) for turn in turns if isinstance(turn, Mapping)]
    whole = len(named) == len(turns) and all(speaker in turn and text in turn for turn in named)
    return [turn[speaker] for turn in named] if whole else []


def option_fields(names: Sequence[str]) -> tuple[str, ...]:
    """The columns that hold one option each (`opa`, `option_1`; `A` to `C` at least), in order."""
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        found = _OPTION.fullmatch(name.strip())
        if found is not None and (found["stem"] or not found["mark"].isdecimal()):
            groups[found["stem"].lower()][found["mark"].lower()] = name
    for stem, marks in groups.items():
        first = next((run for run in ("abcdefgh", "123456789", "012345678") if run[0] in marks), "")
        inside = [marks[mark] for mark in first[: len(marks)] if mark in marks]
        if len(inside) == len(marks) >= (2 if stem else 3):
            return tuple(inside)
    return ()
