"""JSON Lines: one JSON value a line."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from .row import Bad, Item, as_row
from .text import lines


def read_jsonl(path: Path) -> Iterator[Item]:
    """The rows of a JSON Lines file; blank lines are no rows. Holds one line in memory."""
    for number, line in enumerate(lines(path), start=1):
        if line.strip():
            yield _row(line, f"{path}:{number}")


def _row(line: str, place: str) -> Item:
    try:
        return as_row(msgspec.json.decode(line), place)
    except msgspec.DecodeError as error:
        return Bad(place, broken(line, str(error)))


def broken(text: str, error: str) -> str:
    """What to say of text that is not JSON."""
    hint = (
        "NaN and Infinity are not JSON" if "NaN" in text or "Infinity" in text else "expected one JSON object"
    )
    return f"not valid JSON ({error}); {hint}"
