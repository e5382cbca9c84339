"""A process at a real terminal: a pty that is its controlling one, so that Ctrl-C typed there is SIGINT."""

import os
import pty
import re
import sys
import termios
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process

_SETTING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios;fcntl.ioctl(0, termios.TIOCSCTTY, 0);os.execvp(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """What was shown so far, without colours and cursor movements, and the keyboard."""

    def __init__(self, process: Process, master: int) -> None:
        self.process = process
        self.shown = ""
        self._master = master

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    async def see(self, text: str) -> None:
        """Return once `text` has been shown since the last time."""
        while text not in self.shown:
            assert await self._read(), f"{text!r} was never shown:\n{self.shown}"
        self.shown = self.shown[self.shown.index(text) + len(text) :]

    async def end(self) -> int:
        """Read to the end; the exit code."""
        while await self._read():
            pass
        return await self.process.wait()

    async def _read(self) -> bool:
        await anyio.wait_readable(self._master)
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # Linux says that nobody holds the other end
            return False
        self.shown += _SETTING.sub("", piece.decode(errors="replace"))
        return bool(piece)


@asynccontextmanager
async def at_terminal(
    command: Sequence[str], cwd: Path, *, columns: int = 110, lines: int = 40
) -> AsyncGenerator[Terminal]:
    """Run a command at a terminal of that size."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (lines, columns))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
    try:
        process = await anyio.open_process(
            [sys.executable, "-c", _TAKE_TERMINAL, *command],
            cwd=cwd,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(slave)
        async with process:
            yield Terminal(process, master)
    finally:
        os.close(master)
