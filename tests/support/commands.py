"""The command line as a process: run to its end, or met half way."""

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process

from .chat_server import ChatServer
from .forked import run_python
from .runs import simulated

COMMAND = [sys.executable, "-m", "transfer_prompting"]


async def tprompt(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line beside this test's own event loop."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    command = ("-m", "transfer_prompting", *map(str, arguments))
    return await run_python(*command, folder=cwd or Path.cwd(), environment=environment)


async def started(*arguments: str | Path, cwd: Path | None = None, heard: bool = False) -> Process:
    """The command line, running on; what it prints is dropped, or to be read by `outputs`."""
    command: Sequence[str] = [*COMMAND, *map(str, arguments)]
    nothing = subprocess.PIPE if heard else subprocess.DEVNULL
    return await anyio.open_process(command, cwd=cwd, stdout=nothing, stderr=nothing)


def told(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The message of a command that was to fail with this code, without a traceback."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr


@asynccontextmanager
async def half_way(folder: Path, *arguments: str) -> AsyncGenerator[tuple[Process, ChatServer, anyio.Event]]:
    """A run in progress that has asked 300 times; what it asked since is answered once the event is set."""
    reached, go_on = anyio.Event(), anyio.Event()
    async with simulated(folder) as (_, world, server):

        async def behaviour(body: dict[str, object]) -> str:
            if server.count >= 300:
                reached.set()
                await go_on.wait()
            return world(body)

        server.behaviour = behaviour
        command = [*COMMAND, "run", "scenario.yaml", "--out", "out", *arguments]
        async with await anyio.open_process(command, cwd=folder) as process:
            with anyio.fail_after(60):
                await reached.wait()
                yield process, server, go_on


async def outputs(process: Process) -> tuple[str, str]:
    """What a process says on stdout and stderr until it ends."""
    said: dict[str, bytes] = {"out": b"", "err": b""}

    async def read(name: str, stream: ByteReceiveStream | None) -> None:
        assert stream is not None
        async for piece in stream:
            said[name] += piece

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read, "out", process.stdout)
        tasks.start_soon(read, "err", process.stderr)
    await process.wait()
    return said["out"].decode(), said["err"].decode()
