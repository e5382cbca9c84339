"""One Ctrl-C or SIGTERM at any moment: 130, results on disk, never a traceback."""

import json
import signal
from pathlib import Path

import anyio
import pytest

from support.chat_server import Body
from support.commands import outputs, started
from support.runs import simulated

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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_before_the_first_call_ends_without_a_traceback(
    tmp_path: Path, number: signal.Signals
):
    async with simulated(tmp_path):
        for delay in (0.3, 0.7):
            with anyio.fail_after(60):
                process = await started("validate", "scenario.yaml", cwd=tmp_path, heard=True)
                await anyio.sleep(delay)
                if process.returncode is None:
                    process.send_signal(number)
                _, err = await outputs(process)
                await process.aclose()
            # Python itself ends by SIGINT where Ctrl-C, or what ends as it does, comes during its own start.
            assert process.returncode in (0, 1, 130, -number, -signal.SIGINT)
            assert "Traceback" not in err
