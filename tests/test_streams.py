"""Standard streams that are closed, or that nobody reads any more: a run goes on to its end."""

import json
import os
import subprocess
from pathlib import Path

import anyio
import pytest

from support.commands import COMMAND
from support.runs import simulated


def status(folder: Path) -> object:
    return json.loads((folder / "out" / "results.json").read_text())["status"]


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_a_run_whose_reader_goes_away_goes_on(tmp_path: Path, form: list[str]):
    command = [*COMMAND, "run", "scenario.yaml", "--out", "out", *form]
    async with simulated(tmp_path):
        with anyio.fail_after(110):
            async with await anyio.open_process(command, cwd=tmp_path, stderr=subprocess.PIPE) as run:
                assert run.stdout is not None
                assert run.stderr is not None
                await run.stdout.receive()
                await run.stdout.aclose()
                said = b"".join([piece async for piece in run.stderr])
    assert (run.returncode, said) == (0, b"")
    assert status(tmp_path) == "complete"


@pytest.mark.skipif(os.name != "posix", reason="closes streams by a POSIX shell")
async def test_a_run_without_standard_streams_ends_as_any_other(tmp_path: Path):
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *COMMAND, "run", "scenario.yaml", "--out", "out"]
    async with simulated(tmp_path):
        with anyio.fail_after(110):
            done = await anyio.run_process(closed, cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert status(tmp_path) == "complete"
