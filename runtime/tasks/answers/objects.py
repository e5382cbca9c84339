"""JSON objects in replies."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar, cast

_DECODER = json.JSONDecoder()
_BRACES = 60
"""Braces at which an object may begin, from the end of the text."""

_LONGEST = 20_000
"""Characters of a text that are read, from its end."""

_LEVELS = 20

Object = Mapping[str, object]
T = TypeVar("T")


def json_objects(text: str) -> Iterator[Object]:
    """The JSON objects in the last 20,000 characters of a text, those inside others left out."""
    text = text[-_LONGEST:]
    end = 0
    for start in [match.start() for match in re.finditer(r"\{", text)][-_BRACES:]:
        if start < end:
            continue
        try:
            value, end = cast("tuple[Object, int]", _DECODER.raw_decode(text, start))
            value = _without_halves(value)
        except (ValueError, RecursionError):
            continue
        yield value


def whole_object(text: str) -> Object | None:
    """The object that is all of a text, None where it is anything else."""
    try:
        value: object = _without_halves(json.loads(text[:_LONGEST]))
    except (ValueError, RecursionError):
        return None
    return cast("Object", value) if isinstance(value, dict) else None


def _without_halves(value: T) -> T:
    """The value with half surrogate pairs, which JSON can escape and no file can hold, replaced."""
    text = json.dumps(value, ensure_ascii=False)
    return (
        value
        if text.isascii()
        else json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    )


def value_at(found: object, path: str) -> object:
    """The value at a dotted path; None where there is none."""
    for name in path.split(".") if path else ():
        if isinstance(found, Mapping):
            found = cast("Object", found).get(name)
        elif (
            isinstance(found, list)
            and name.isdecimal()
            and len(name) < 9
            and int(name) < len(cast("list[object]", found))
        ):
            found = cast("list[object]", found)[int(name)]
        else:
            return None
    return found


def as_text(value: object, levels: int = _LEVELS) -> str | None:
    """A value of a JSON object as an answer is written: lists with commas, objects as JSON; None for null,
    and for what lies deeper than so many `levels` of lists."""
    match value:
        case None:
            return None
        case str():
            return value.strip()
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list() if levels:
            return ", ".join(as_text(one, levels - 1) or "" for one in cast("Sequence[object]", value))
        case list():
            return None
        case _:
            return json.dumps(value, ensure_ascii=False)
