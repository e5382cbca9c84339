"""Python processes that begin with the package imported: a fork server for the tests of one process.

Each is a process of its own, with its own standard streams, folder, environment and exit code, that need not
import everything anew, which is most of the work of a short command. Where start-up, signals or kills are
tested, a process is started the ordinary way.
"""

import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.reduction import DupFd
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryFile
from typing import IO, Protocol

import anyio
from anyio.to_thread import run_sync

_SERVER = get_context("forkserver")
_SERVER.set_forkserver_preload(["transfer_prompting.cli.app", "transfer_prompting.agents.assembly", "openai"])


class _Descriptor(Protocol):
    def detach(self) -> int: ...


def _child(
    arguments: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    streams: Sequence[_Descriptor],
) -> None:
    for number, stream in enumerate(streams, 1):
        os.dup2(stream.detach(), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, folder)
    if arguments[0] == "-m":
        sys.argv = [*arguments[1:]]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        assert arguments[0] == "-c", arguments
        sys.argv = ["-c", *arguments[2:]]
        exec(compile(arguments[1], "<string>", "exec"), {"__name__": "__main__"})


async def run_python(
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str],
    together: bool = False,
    seconds: float = 60,
) -> CompletedProcess[str]:
    """Run `python -m MODULE ...` or `python -c CODE ...` to its end, beside this test's own event loop.

    With `together`, what goes to stderr stands between what goes to stdout.
    """
    with TemporaryFile() as out, TemporaryFile() as err:
        streams = (DupFd(out.fileno()), DupFd((out if together else err).fileno()))
        given = (arguments, str(folder), dict(environment), streams)
        process = _SERVER.Process(target=_child, args=given)
        await run_sync(process.start)
        try:
            with anyio.fail_after(seconds):
                await run_sync(process.join, abandon_on_cancel=True)
        finally:
            process.kill()
        code = process.exitcode
        assert code is not None
        return CompletedProcess([sys.executable, *arguments], code, _text(out), _text(err))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
