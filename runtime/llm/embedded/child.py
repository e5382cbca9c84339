"""The life of the embedded model's process, seen from its parent: started, ready or explained, ended."""

import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import IO

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from ...errors import EndpointError
from . import server
from .server import Order, Ready

# -P keeps this folder, the first on a script's path, from hiding modules of the same names.
COMMAND = [sys.executable, "-P", server.__file__]
GRACE = 3.0  # seconds a child has to end by itself, and again to be reaped once it was killed

# How often the threads of a calculation look for one another before they sleep (libgomp). Calls/s of the
# bundled model (prompts of 60 tokens, one token out) on two cores, both free and one of them busy:
#     1 thread                          4.3   4.0
#     2 threads, sleeping at once       6.2   2.6
#     2 threads, looking 1,000 times    7.9   3.0
#     2 threads, libgomp's own choice   7.8   1.6; beside a second such server it all but stood still
SPINS = "1000"

ERROR = re.compile(r"^[\d.]+ E (.*)$", re.MULTILINE)  # time, level and text, as the engine writes them


@asynccontextmanager
async def running(order: Order, *, log: Path | None, patience: float) -> AsyncGenerator[Ready]:
    """Run the child; yields what it said when it was ready, and leaves no process behind.

    Raises EndpointError when it stops first or takes longer than `patience` seconds.
    """
    with _open_log(log) as written:
        began = os.fstat(written.fileno()).st_size
        process = await _spawn(written)
        ready: Ready | None = None
        try:
            with anyio.move_on_after(patience) as waiting:
                ready = await _hand_over(process, order)
            if ready is None:
                late = waiting.cancelled_caught
                fate = f"was not ready after {patience:g} s" if late else await _fate(process)
                raise EndpointError(f"the embedded model {order['gguf']} {fate}: {_reason(written, began)}")
            yield ready
        finally:
            await _end(process)


def _open_log(log: Path | None) -> IO[bytes]:
    """Where the engine writes: `log`, or a nameless file that only serves to explain a failed start."""
    return tempfile.TemporaryFile() if log is None else log.open("a+b")


async def _spawn(written: IO[bytes]) -> Process:
    environment = {"GOMP_SPINCOUNT": SPINS, **os.environ}
    return await anyio.open_process(COMMAND, stdin=PIPE, stdout=PIPE, stderr=written, env=environment)


async def _hand_over(process: Process, order: Order) -> Ready | None:
    """Write the order and wait until the child is ready; None when it stopped first.

    Its stdin stays open from here on: the child lives as long as that, and this process alone holds it.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await process.stdin.send(msgspec.json.encode(order) + b"\n")
        line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 4096)
    except (anyio.BrokenResourceError, anyio.IncompleteRead, ConnectionError):
        return None
    return msgspec.json.decode(line, type=Ready)


async def _fate(process: Process) -> str:
    """How the child ended."""
    code = await process.wait()
    if code >= 0:
        return f"did not start (exit code {code})"
    hint = ", perhaps for want of memory" if code == -signal.SIGKILL else ""
    return f"did not start (ended by {signal.Signals(-code).name}{hint})"


def _reason(written: IO[bytes], began: int) -> str:
    """The first errors in what was logged since `began`; the last lines where it names no error."""
    written.seek(began)
    text = written.read().decode(errors="replace")
    errors = list(dict.fromkeys(ERROR.findall(text)))
    return "; ".join(errors[:3] or text.splitlines()[-3:]) or "it left no log"


async def _end(process: Process) -> None:
    """Let the child go by closing its stdin, kill it if it stays; it is reaped either way."""
    assert process.stdin is not None
    with anyio.CancelScope(shield=True):
        await process.stdin.aclose()
        with anyio.move_on_after(GRACE):
            await process.wait()
        if process.returncode is None:
            process.kill()
        with anyio.move_on_after(GRACE):
            await process.aclose()
