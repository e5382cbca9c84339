"""One Ctrl-C or SIGTERM at any moment: 130, results on disk, never a traceback."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from support.chat_server import Body
from support.commands import outputs, started
from support.runs import scenario_data, simulated, write_scenario

MOMENTS = [(signal.SIGINT, 1, 1), (signal.SIGTERM, 1, 1), (signal.SIGINT, 1, 9), (signal.SIGTERM, 4, 3)]


@pytest.mark.parametrize(("number", "at_once", "call"), MOMENTS)
async def test_a_signal_while_one_call_of_a_batch_is_in_flight_ends_with_130(
    tmp_path: Path, number: signal.Signals, at_once: int, call: int
):
    reached, go_on = anyio.Event(), anyio.Event()
    async with simulated(tmp_path) as (_, world, server):

        async def behaviour(body: Body) -> str:
            if server.count >= call:
                reached.set()
                await go_on.wait()
            return world(body)

        server.behaviour = behaviour
        limit = f"endpoints.server.limits.concurrency={at_once}"
        with anyio.fail_after(90):
            process = await started(
                "run", "scenario.yaml", "--out", "out", "-q", "--set", limit, cwd=tmp_path, heard=True
            )
            await reached.wait()
            process.send_signal(number)
            assert process.stderr is not None
            said = b""
            while b"stopping" not in said:
                said += await process.stderr.receive()
            go_on.set()
            _, err = await outputs(process)
            await process.aclose()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "interrupted; to continue: tprompt run scenario.yaml" in err
    assert json.loads((tmp_path / "out" / "results.json").read_text())["status"] == "interrupted"


# The command line, which gets a signal as the import of a module begins, where an exception would be lost.
AMID_IMPORT = """
import os, sys

class Lost:
    def __del__(self):
        os.kill(os.getpid(), number)

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == module:
            Lost()

module, number = sys.argv[1], int(sys.argv[2])
del sys.argv[1:3]
sys.meta_path.insert(0, Finder)
from transfer_prompting.cli import main
main()
"""


@pytest.mark.parametrize(
    ("number", "module"),
    [
        (signal.SIGTERM, "transfer_prompting.cli.app"),
        (signal.SIGINT, "typer"),
        (signal.SIGINT, "pydantic.main"),
        (signal.SIGHUP, "transfer_prompting.agents.checks"),
    ],
)
def test_a_signal_amid_imports_ends_at_once_with_one_line(
    tmp_path: Path, number: signal.Signals, module: str
):
    write_scenario(tmp_path, scenario_data("http://127.0.0.1:1/v1"))
    command = [sys.executable, "-c", AMID_IMPORT, module, str(int(number)), "validate", "scenario.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "interrupted\n")
