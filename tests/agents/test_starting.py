"""A run that ends while its models are tried, before its first search."""

from pathlib import Path

import anyio
import pytest

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.record.results import Results
from transfer_prompting.scenarios import load

from support.chat_server import Body, chat_server
from support.runs import scenario_data, write_scenario


async def interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start a run, and cancel it when its first call is on its way: the trial of a model."""
    monkeypatch.setenv("SOME_KEY", "sk-of-the-server")
    asked = anyio.Event()

    async def never(_: Body) -> str:
        asked.set()
        await anyio.sleep_forever()
        return ""

    async with chat_server(never) as server:
        path = write_scenario(folder, scenario_data(server.base_url))
        scenario = load(path, ["endpoints.server.api_key_env=SOME_KEY"])

        async def enter() -> None:
            async with Team(scenario, out=folder / "out"):
                raise AssertionError("the model has not answered")

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(enter)
                await asked.wait()
                tasks.cancel_scope.cancel()


async def test_a_run_interrupted_before_its_first_search_says_so_in_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    await interrupted(tmp_path, monkeypatch)
    results = Results.load(tmp_path / "out")
    assert (results.name, results.status, results.targets) == ("simulated", "interrupted", ())


async def test_results_of_an_earlier_invocation_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "out").mkdir()
    earlier = '{"schema": 1}'
    (tmp_path / "out" / "results.json").write_text(earlier)
    await interrupted(tmp_path, monkeypatch)
    assert (tmp_path / "out" / "results.json").read_text() == earlier
