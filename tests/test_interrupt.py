"""Ctrl-C, SIGTERM and SIGHUP, sent to real runs."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from transfer_prompting.cli.signals import end_signals

from support.commands import COMMAND, half_way, outputs, tprompt
from support.runs import simulated


def results_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_the_first_signal_lets_calls_in_flight_finish_and_the_next_run_goes_on(
    tmp_path: Path, number: signal.Signals
):
    async with half_way(tmp_path, "-q") as (process, server, go_on):
        process.send_signal(number)
        assert process.stderr is not None
        told = b""
        while b"stopping" not in told:
            told += await process.stderr.receive()
        assert process.returncode is None
        go_on.set()
        out, err = await outputs(process)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "to continue: tprompt run scenario.yaml --out out" in err
        assert "simulated: interrupted" in out
        first = results_in(tmp_path / "out")
        assert first["status"] == "interrupted"
        assert first["usage"]["calls"] == server.count
        paid = server.count
        done = await tprompt("run", "scenario.yaml", "--out", "out", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    second = results_in(tmp_path / "out")
    assert second["usage"]["replayed"] >= paid
    assert second["usage"]["calls"] == server.count - paid


async def test_the_second_signal_ends_the_run_at_once(tmp_path: Path):
    async with half_way(tmp_path) as (process, _, _):
        assert process.stdout is not None
        said = b""
        process.send_signal(signal.SIGINT)
        while b"stopping" not in said:
            said += await process.stdout.receive()
        process.send_signal(signal.SIGINT)
        _, err = await outputs(process)
        assert process.returncode == 130
        assert "to continue: " in err
        assert "Traceback" not in err
    assert results_in(tmp_path / "out")["status"] == "interrupted"


def test_a_hangup_is_ignored_where_it_was_ignored_before_as_by_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in end_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.SIGHUP in end_signals()


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_a_reader_that_goes_away_ends_the_run_without_a_traceback(tmp_path: Path, form: list[str]):
    read, write = os.pipe()
    os.close(read)
    async with simulated(tmp_path):
        with anyio.fail_after(60):
            command = [*COMMAND, "run", "scenario.yaml", "--out", "out", *form]
            done = await anyio.run_process(command, cwd=tmp_path, stdout=write, check=False)
    os.close(write)
    assert done.returncode == 1
    assert done.stderr == b"nobody reads standard output any more; the same command goes on from here\n"
    assert results_in(tmp_path / "out")["status"] == "interrupted"
