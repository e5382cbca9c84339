"""Consoles whose readers may go away: `tprompt run … | head`."""

import os
from contextlib import suppress
from typing import IO, Any

from rich.console import Console


def discard(stream: IO[Any]) -> None:
    """Drop what is written to a stream from now on, because its reader has gone away."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class Screen(Console):
    """A console that prints nothing once its reader has gone away: the command goes on to its end."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        discard(self.file)
