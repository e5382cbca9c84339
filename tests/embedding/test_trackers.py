"""Runs in experiment trackers: MLflow and Weights & Biases as they are installed, offline, and one's own."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

import transfer_prompting as tp

from support.brief import brief_clients, brief_scenario
from support.clients import FunctionClient


class Kept:
    """A tracker that keeps what it gets, and raises where it is to."""

    name = "kept"

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.parameters: Mapping[str, str] = {}
        self.points: list[tp.MetricPoint] = []
        self.summary: tp.RunSummary | None = None

    def begin(self, name: str, parameters: Mapping[str, str]) -> None:
        self._maybe("begin")
        self.parameters = {"name": name, **parameters}

    def log(self, points: Sequence[tp.MetricPoint]) -> None:
        self._maybe("log")
        self.points += points

    def end(self, summary: tp.RunSummary) -> None:
        self._maybe("end")
        self.summary = summary

    def _maybe(self, step: str) -> None:
        if step == self.fails:
            raise ConnectionError("the tracker is away")


async def tracked(folder: Path, *trackers: tp.Tracker) -> tp.Results:
    team = tp.Team(brief_scenario(), out=folder, clients=brief_clients(), trackers=trackers)
    with anyio.fail_after(60):
        async with team:
            return await team.run()


def shown(results: tp.Results) -> Mapping[str, float | None]:
    """The final values that every tracker gets, among others."""
    target = results.targets["tickets", "small"]
    return {
        "test/tickets/small/original/accuracy": target.baseline.scorecard.accuracy,
        "test/tickets/small/best/objective": target.best.scorecard.objective,
        "gain/tickets/small/objective": target.gain["objective"].difference,
        "gain/tickets/small/objective_p": target.gain["objective"].p,
        "calls": results.usage.calls,
    }


async def test_a_tracker_gets_the_best_estimate_as_it_grows_and_then_the_results(tmp_path: Path):
    tracker = Kept()
    results = await tracked(tmp_path, tracker)
    summary = tracker.summary
    assert summary is not None
    assert summary.status == results.status == "complete"
    assert shown(results).items() <= summary.values.items()
    assert summary.prompts == {"best-tickets-small.txt": results.best().text}
    assert [path.name for path in summary.files] == ["results.json", "report.html"]
    assert tracker.parameters["targets"] == "small-1"
    found = [point for point in tracker.points if "search/tickets/small/best" in point.values]
    assert [point.step for point in found] == sorted(point.step for point in found)
    assert found[-1].step > 20
    assert all(0 <= point.values["search/tickets/small/best"] <= 1 for point in found)
    assert any("search/source/best" in point.values for point in tracker.points)


@pytest.mark.parametrize("step", ["log", "end"])
async def test_a_tracker_that_fails_is_left_out_and_never_ends_the_run(
    step: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    broken, whole = Kept(fails=step), Kept()
    results = await tracked(tmp_path, broken, whole)
    assert results.status == "complete"
    assert whole.summary is not None
    assert broken.summary is None
    assert [record.getMessage() for record in caplog.records] == [
        "kept is not called again in this run: the tracker is away"
    ]


async def test_a_tracker_that_cannot_begin_ends_the_run_before_it_asks_anything(tmp_path: Path):
    clients = brief_clients()
    with pytest.raises(tp.EndpointError, match="kept: a run cannot be begun there: the tracker is away"):
        async with tp.Team(brief_scenario(), clients=clients, trackers=[Kept(fails="begin")]) as team:
            await team.run()
    assert not clients["server"].requests


async def test_a_run_that_fails_is_ended_in_the_tracker_too():
    def broken(request: tp.ChatRequest) -> str:
        raise ZeroDivisionError

    tracker = Kept()
    with pytest.raises(ZeroDivisionError):
        async with tp.Team(
            brief_scenario(), clients={"server": FunctionClient(broken)}, trackers=[tracker]
        ) as team:
            await team.run()
    assert tracker.summary is not None
    assert tracker.summary.status == "failed"


@pytest.mark.parametrize("kind", ["MLflow", "WandB"])
def test_a_package_that_is_missing_is_named_with_what_to_install(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, kind.lower(), None)
    with pytest.raises(tp.InputError, match=rf"pip install 'transfer-prompting\[{kind.lower()}\]'"):
        getattr(tp, kind)()


@pytest.mark.filterwarnings("ignore")
async def test_mlflow_holds_parameters_steps_results_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    mlflow: Any = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    results = await tracked(tmp_path / "run", tp.MLflow("Prompts", tracking_uri=uri))
    client = mlflow.MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([client.get_experiment_by_name("Prompts").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "brief")
    assert run.data.params["reference"] == "writer-1"
    assert run.data.params["budget.evaluations"] == "150"
    for name, value in shown(results).items():
        assert run.data.metrics[name] == pytest.approx(value)
    steps = client.get_metric_history(run.info.run_id, "search/tickets/small/best")
    assert len({step.step for step in steps}) > 5
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files == {"results.json", "report.html", "best-tickets-small.txt"}
    assert mlflow.active_run() is None


@pytest.mark.filterwarnings("ignore")
async def test_wandb_holds_parameters_results_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wandb: Any = pytest.importorskip("wandb")
    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": tmp_path, "WANDB_DATA_DIR": tmp_path}.items():
        monkeypatch.setenv(name, str(value))
    ended: list[tuple[Any, dict[str, Any]]] = []
    finish = wandb.Run.finish

    def finished(run: Any, exit_code: int) -> None:
        ended.append((run, dict(run.summary)))  # not to be had once the run is finished
        finish(run, exit_code=exit_code)

    monkeypatch.setattr(wandb.Run, "finish", finished)
    results = await tracked(tmp_path / "run", tp.WandB("Prompts"))
    ((run, summary),) = ended
    assert (run.project, run.name) == ("Prompts", "brief")
    assert run.config["reference"] == "writer-1"
    for name, value in shown(results).items():
        assert summary[name] == pytest.approx(value)
    assert summary["best-tickets-small.txt"] == results.best().text
    assert Path(run.dir).is_relative_to(tmp_path)
