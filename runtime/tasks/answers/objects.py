"""JSON objects in replies."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

_DECODER = json.JSONDecoder()
_BRACES = 60
"""Braces at which an object may begin, from the end of the text."""

_LONGEST = 20_000
"""Characters of a text that are read, from its end."""

Object = Mapping[str, object]


def json_objects(text: str) -> Iterator[Object]:
    """The JSON objects in the last 20,000 characters of a text, those inside others left out."""
    text = text[-_LONGEST:]
    end = 0
    for start in [match.start() for match in re.finditer(r"\{", text)][-_BRACES:]:
        if start < end:
            continue
        try:
            value, end = cast("tuple[Object, int]", _DECODER.raw_decode(text, start))
        except (ValueError, RecursionError):
            continue
        yield value


def whole_object(text: str) -> Object | None:
    """The object that is all of a text, None where it is anything else."""
    try:
        value: object = json.loads(text[:_LONGEST])
    except (ValueError, RecursionError):
        return None
    return cast("Object", value) if isinstance(value, dict) else None


def value_at(found: object, path: str) -> object:
    """The value at a dotted path; None where there is none."""
    for name in path.split(".") if path else ():
        if isinstance(found, Mapping):
            found = cast("Object", found).get(name)
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(cast("list[object]", found)):
            found = cast("list[object]", found)[int(name)]
        else:
            return None
    return found


def as_text(value: object) -> str | None:
    """A value of a JSON object as an answer is written: lists with commas, objects as JSON; None for null."""
    match value:
        case None:
            return None
        case str():
            return value.strip()
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list():
            return ", ".join(as_text(one) or "" for one in cast("Sequence[object]", value))
        case _:
            return json.dumps(value, ensure_ascii=False)
