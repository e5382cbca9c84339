"""Processes that tests talk to by what they print."""

import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

import transfer_prompting

_TESTS = Path(__file__).parents[1]


class Talking:
    """A running process. What it prints, on either stream, is read line by line."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.said: list[str] = []
        assert process.stdout is not None
        self._lines = BufferedByteReceiveStream(process.stdout)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def says(self, text: str) -> str:
        """The next line that holds the text; fails when it ends before, or takes a minute."""
        with anyio.fail_after(60):
            while True:
                line = await self._line()
                assert line is not None, f"ended without saying {text!r}:\n" + "\n".join(self.said)
                if text in line:
                    return line

    async def ends(self) -> int:
        """Its exit code."""
        with anyio.fail_after(60):
            while await self._line() is not None:
                pass
            return await self.process.wait()

    async def _line(self) -> str | None:
        try:
            line = (await self._lines.receive_until(b"\n", 2**20)).decode()
        except (anyio.EndOfStream, anyio.IncompleteRead):
            return None
        self.said.append(line)
        return line


@asynccontextmanager
async def python(module: str, *arguments: str, **environment: str) -> AsyncGenerator[Talking]:
    """`python -m module arguments`, killed at the end where it still runs."""
    path = os.pathsep.join([str(_TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = await anyio.open_process(
        [sys.executable, "-m", module, *arguments],
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **environment},
    )
    try:
        yield Talking(process)
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


def tprompt(*arguments: str, **environment: str) -> AbstractAsyncContextManager[Talking]:
    """The command line."""
    return python(transfer_prompting.__name__, *arguments, **environment)
