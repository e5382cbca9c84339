"""A run whose standard streams are closed goes on to its end."""

import json
import os
from pathlib import Path

import anyio
import pytest

from support.commands import COMMAND
from support.runs import simulated


def status(folder: Path) -> object:
    return json.loads((folder / "out" / "results.json").read_text())["status"]


@pytest.mark.skipif(os.name != "posix", reason="closes streams by a POSIX shell")
async def test_a_run_without_standard_streams_ends_as_any_other(tmp_path: Path):
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *COMMAND, "run", "scenario.yaml", "--out", "out"]
    async with simulated(tmp_path):
        with anyio.fail_after(110):
            done = await anyio.run_process(closed, cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert status(tmp_path) == "complete"
