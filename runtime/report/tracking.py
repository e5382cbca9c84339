"""Runs logged to experiment trackers: MLflow, Weights & Biases, or one of the host's."""

import logging
import os
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.to_thread
import msgspec

from ...scenarios import Scenario
from ...scenarios.errors import InputError
from ..bus import Event
from ..concurrency import ungrouped
from ..errors import EndpointError
from ..evaluation.metrics import METRICS
from ..evaluation.scorecard import Scorecard
from ..messages import PromptScored
from ..record.results import Results, Status
from .progress import RunProgress

EXPERIMENT = "transfer-prompting"
"""Name of the experiment (MLflow) or project (Weights & Biases) where none is given."""

PATIENCE_SECONDS = 60.0
"""Seconds that trackers may take to end a run."""

_MOST_POINTS = 1000
"""Metrics that MLflow takes in one request."""

_log = logging.getLogger("transfer_prompting")


class MetricPoint(msgspec.Struct, frozen=True):
    """Values by name after `step` evaluations of the search they belong to."""

    step: int
    values: Mapping[str, float]


class RunSummary(msgspec.Struct, frozen=True):
    """How a run ended: its final values, the best prompts by file name, and the files it wrote."""

    status: Status
    values: Mapping[str, float]
    prompts: Mapping[str, str]
    files: Sequence[Path] = ()


class Tracker(Protocol):
    """Receives one run. The methods may block: they are called in a thread, one after the other."""

    name: str

    def begin(self, name: str, parameters: Mapping[str, str]) -> None:
        """Begin a run with this name; an error here is raised before any call is made."""
        ...

    def log(self, points: Sequence[MetricPoint]) -> None:
        """Take new points, in the order in which they came."""
        ...

    def end(self, summary: RunSummary) -> None:
        """End the run."""
        ...


class MLflow(Tracker):
    """Logs a run to MLflow; server and experiment are those of MLFLOW_TRACKING_URI and
    MLFLOW_EXPERIMENT_NAME where they are not given. The program's active run is left alone.

    Raises InputError where MLflow is not installed.
    """

    name = "mlflow"

    def __init__(self, experiment: str | None = None, *, tracking_uri: str | None = None) -> None:
        self._experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        self._mlflow = _package("mlflow")
        self._client: Any = self._mlflow.MlflowClient(tracking_uri=tracking_uri)
        self._run = ""

    def begin(self, name: str, parameters: Mapping[str, str]) -> None:
        found = self._client.get_experiment_by_name(self._experiment)
        id = self._client.create_experiment(self._experiment) if found is None else found.experiment_id
        self._run = self._client.create_run(id, run_name=name).info.run_id
        entities = self._mlflow.entities
        self._client.log_batch(self._run, params=[entities.Param(*one) for one in parameters.items()])

    def log(self, points: Sequence[MetricPoint]) -> None:
        now, metric = int(1000 * time.time()), self._mlflow.entities.Metric
        metrics = [
            metric(re.sub(r"[^\w./ -]", "_", key), value, now, point.step)
            for point in points
            for key, value in point.values.items()
        ]
        for i in range(0, len(metrics), _MOST_POINTS):
            self._client.log_batch(self._run, metrics=metrics[i : i + _MOST_POINTS])

    def end(self, summary: RunSummary) -> None:
        self.log([MetricPoint(0, summary.values)])
        for name, text in summary.prompts.items():
            self._client.log_text(self._run, text, name)
        for path in summary.files:
            self._client.log_artifact(self._run, str(path))
        ends = {"complete": "FINISHED", "budget": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
        self._client.set_terminated(self._run, ends[summary.status])


class WandB(Tracker):
    """Logs a run to Weights & Biases; project, entity and mode are those of WANDB_PROJECT, WANDB_ENTITY and
    WANDB_MODE where they are not given. Other runs of the program are left alone.

    Raises InputError where wandb is not installed.
    """

    name = "wandb"

    def __init__(self, project: str | None = None, *, entity: str | None = None) -> None:
        self._project = project or os.environ.get("WANDB_PROJECT") or EXPERIMENT
        self._entity = entity
        self._wandb = _package("wandb")
        self._run: Any = None

    def begin(self, name: str, parameters: Mapping[str, str]) -> None:
        self._run = self._wandb.init(
            project=self._project,
            entity=self._entity,
            name=name,
            config=dict(parameters),
            reinit="create_new",
            settings=self._wandb.Settings(console="off", quiet=True),
        )
        self._run.define_metric("search/*", step_metric="evaluations")

    def log(self, points: Sequence[MetricPoint]) -> None:
        for point in points:
            self._run.log({**point.values, "evaluations": point.step})

    def end(self, summary: RunSummary) -> None:
        self._run.summary.update({**summary.values, **summary.prompts, "status": summary.status})
        if summary.files:
            files = self._wandb.Artifact("transfer-prompting-run", type="results")
            for path in summary.files:
                files.add_file(str(path))
            self._run.log_artifact(files)
        self._run.finish(exit_code=int(summary.status == "failed"))


TRACKERS: Mapping[str, Callable[[], Tracker]] = {"mlflow": MLflow, "wandb": WandB}
"""Trackers by the name that the command line knows them by."""


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"{name}: is not installed here: pip install 'transfer-prompting[{name}]' ({error})"
        ) from None


class Tracking:
    """Hands a run on to trackers, in a thread. One that raises once the run has begun is warned about in
    Python's log and left out from then on; it never ends the run."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = list(trackers)
        self._points: list[MetricPoint] = []
        self._news = anyio.Event()
        self._turn = anyio.Lock()
        self._progress = RunProgress(None)

    @asynccontextmanager
    async def of(self, scenario: Scenario, run_id: str, out: Path | None) -> AsyncGenerator[None]:
        """Begin the trackers' runs, and hand on what `take` was given until the scope ends.

        Raises EndpointError where a tracker cannot begin.
        """
        if not self._trackers:
            yield
            return
        parameters = dict(_parameters(scenario, run_id, out))
        for tracker in self._trackers:
            try:
                await anyio.to_thread.run_sync(tracker.begin, scenario.name, parameters)
            except Exception as error:  # whatever the tracker's package raises
                raise EndpointError(f"{tracker.name}: a run cannot be begun there: {error}") from error
        async with ungrouped(), anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow)
            yield
            tasks.cancel_scope.cancel()

    def take(self, event: Event) -> None:
        """Take an event of the run; nothing is awaited."""
        if not self._trackers or not isinstance(event, PromptScored):
            return
        self._progress.apply(event)
        search = self._progress.searches[event.scope]
        name = "/".join(["search", *event.scope.removeprefix("target ").split(" ")])
        values = {f"{name}/candidates": float(search.candidates), f"{name}/calls": float(event.calls)}
        if search.objective is not None:
            values[f"{name}/best"] = search.objective
        self._points.append(MetricPoint(event.evaluations, values))
        self._news.set()

    async def end(self, results: Results, out: Path | None) -> None:
        """End the trackers' runs with these results and the files of the output folder."""
        if not self._trackers:
            return
        files = [] if out is None else [out / name for name in ("results.json", "report.html")]
        prompts = {
            f"best-{target.task}-{target.model}.txt": target.best.prompt.text for target in results.targets
        }
        summary = RunSummary(
            results.status, dict(_values(results)), prompts, [path for path in files if path.is_file()]
        )
        with anyio.move_on_after(PATIENCE_SECONDS) as waiting:
            await self._hand_on()
            async with self._turn:
                await self._each(lambda tracker: tracker.end(summary))
        if waiting.cancelled_caught:
            _log.warning("trackers took more than %g s to end the run, and were left", PATIENCE_SECONDS)

    async def _follow(self) -> None:
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            await self._hand_on()

    async def _hand_on(self) -> None:
        async with self._turn:
            points, self._points = self._points, []
            if points:
                await self._each(lambda tracker: tracker.log(points))

    async def _each(self, do: Callable[[Tracker], None]) -> None:
        for tracker in tuple(self._trackers):
            try:
                await anyio.to_thread.run_sync(partial(do, tracker), abandon_on_cancel=True)
            except Exception as error:  # noqa: BLE001 - whatever the tracker's package raises
                self._trackers.remove(tracker)
                _log.warning("%s is not called again in this run: %s", tracker.name, error)


def _parameters(scenario: Scenario, run_id: str, out: Path | None) -> Iterator[tuple[str, str]]:
    yield from {"scenario": scenario.name, "seed": str(scenario.seed), "run": run_id}.items()
    yield "strategy", scenario.strategy
    yield "reference", scenario.models[scenario.reference.model].model
    yield "targets", ", ".join(scenario.models[name].model for name in scenario.targets)
    yield "source_tasks", ", ".join(scenario.stages.source.tasks)
    yield "target_tasks", ", ".join(scenario.stages.target.tasks)
    caps = scenario.budget.model_dump(exclude_none=True)
    yield from ((f"budget.{name}", str(cap)) for name, cap in caps.items())
    if out is not None:
        yield "folder", str(out)


def _values(results: Results) -> Iterator[tuple[str, float]]:
    for target in results.targets:
        place = f"{target.task}/{target.model}"
        for prompt, one in (("original", target.baseline), ("best", target.best)):
            for metric, value in _measured(one.scorecard):
                yield f"test/{place}/{prompt}/{metric}", value
        for metric, gain in target.gain.items():
            ends = {"": gain.difference, "_low": gain.low, "_high": gain.high, "_p": gain.p}
            for end, value in ends.items():
                if value is not None:
                    yield f"gain/{place}/{metric}{end}", value
    usage = results.usage
    yield from {"calls": float(usage.calls), "usd": usage.usd, "seconds": usage.seconds}.items()


def _measured(card: Scorecard) -> Iterator[tuple[str, float]]:
    values = {"objective": card.objective, **{name: getattr(card, name) for name in METRICS}}
    values |= {f"judged.{name}": value for name, value in card.judged.items()}
    yield from ((name, value) for name, value in values.items() if value is not None)
