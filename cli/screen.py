"""Consoles for text that others wrote, whose readers may go away: `tprompt run … | head`."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# Of C0 all but tab and newline, C1, and the marks that turn around what follows (UAX 9).
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """The text with a sign in place of each character that a terminal would obey instead of showing it."""
    return _CONTROLS.sub("�", text)


def discard(stream: IO[Any]) -> None:
    """Drop what is written to a stream from now on, and what Python flushes at its end: its reader has gone
    away."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class Screen(Console):
    """A console that shows text as it is, without obeying it. Once its reader has gone away it raises
    BrokenPipeError, which ends a command quietly, and then prints nothing."""

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=soft_wrap, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of a renderable, their text visible."""
        for segment in super().render(renderable, options):
            if segment.control or not _CONTROLS.search(segment.text):
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Called where the error is handled."""
        self.quiet = True
        discard(self.file)
        raise  # noqa: PLE0704
