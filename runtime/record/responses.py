"""Every response of the test, row by row: `responses.jsonl`.

A line is either `Asked`, a test row once for all prompts and models, or `Given`, one prompt's response to it
from one model. Rows come before the responses to them.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from ...scenarios.errors import InputError
from ..errors import UNREADABLE
from ..evaluation.outcomes import Failed, Graded
from ..tasks.example import Example
from .files import AGAIN, opened, read_lines, writing


class Asked(msgspec.Struct, frozen=True, tag="row"):
    """A test row of a task."""

    task: str
    example: Example


class Given(msgspec.Struct, frozen=True, tag="response"):
    """A model's response to a row under a prompt (its id), graded; or the failure of the call."""

    task: str
    model: str
    prompt: str
    response: Graded | Failed


class Responses:
    """An append-only file of what the test asked and got."""

    def __init__(self, file: IO[bytes] | None, path: Path = Path("responses.jsonl")) -> None:
        self._file = file
        self._path = path
        self._tasks: set[str] = set()
        self._encoder = msgspec.json.Encoder()

    def ask(self, task: str, rows: Iterable[Example]) -> None:
        """Keep the rows of a task; a task that is kept already is left as it is."""
        if task not in self._tasks:
            self._tasks.add(task)
            self._write(Asked(task, row) for row in rows)

    def give(self, task: str, model: str, prompt: str, responses: Iterable[Graded | Failed]) -> None:
        """Keep one prompt's responses, in the order of their rows."""
        ordered = sorted(responses, key=lambda response: response.example)
        self._write(Given(task, model, prompt, response) for response in ordered)

    def _write(self, lines: Iterable[Asked | Given]) -> None:
        if self._file is None:
            return
        with writing(self._path):
            for line in lines:
                self._file.write(self._encoder.encode(line) + b"\n")
            self._file.flush()


@contextmanager
def open_responses(path: Path | None) -> Generator[Responses]:
    """A file that is rewritten from the start, as the history is; nothing is kept when there is no path."""
    if path is None:
        yield Responses(None)
        return
    with opened(path) as file:
        yield Responses(file, path)


def read_responses(path: Path) -> Iterator[Asked | Given]:
    """The lines of a file, one at a time; none where there is no file.

    A last line without its end, as a killed run leaves it, is passed over. Raises InputError that names
    the line for anything else that is no such line.
    """
    if not path.exists():
        return
    decoder = msgspec.json.Decoder(Asked | Given)
    for number, line in read_lines(path):
        try:
            yield decoder.decode(line)
        except UNREADABLE as error:
            raise InputError(f"{path}:{number}: not a response of a run ({error}); {AGAIN}") from None
