"""The short way: evaluate or optimise one prompt over rows, without a scenario file."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from inspect import iscoroutine
from pathlib import Path
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread
import msgspec

from ..runtime.bus import InProcessBus
from ..runtime.errors import EndpointError, InputError
from ..runtime.evaluation.confidence import verbalised
from ..runtime.evaluation.evaluate import evaluate as scorecard_of
from ..runtime.evaluation.grading import grade
from ..runtime.evaluation.objective import Objective
from ..runtime.evaluation.outcomes import Failed, Graded, Outcomes, Reply
from ..runtime.evaluation.own_metrics import measured
from ..runtime.evaluation.scorecard import Scorecard
from ..runtime.llm.budget.usage import Meter, UsageReport
from ..runtime.llm.limits.shared import Endpoints
from ..runtime.prompt import Prompt
from ..runtime.record.results import Results
from ..runtime.report.tracking import Tracker
from ..runtime.tasks.load import LoadedTask, load_rows
from ..runtime.tasks.task import Reading
from ._setup import TASK, MetricSpec, ModelSpec, PromptSpec, RowsSpec, Setup, set_up
from .application import NobodyClient, Response, written
from .assembly import Assembler
from .coordinator.plan import original
from .events import Following
from .judge.rubrics import Judging
from .parts import Parts
from .reference.strategies import STRATEGIES, Strategy
from .team import Team

T = TypeVar("T")

_NOBODY = "nobody"
NOBODY = {"model": _NOBODY, "host": _NOBODY}
"""The model in the place of the reference LLM where nothing is to be written."""


class EvaluationResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one prompt over rows, or of responses that existed already (then `prompt` is None).

    `scorecard` has the metrics with their 95 % intervals, `responses` each graded response in the order of
    the rows. `problems` are sentences about failed calls and the data.
    """

    prompt: Prompt | None
    scorecard: Scorecard
    responses: tuple[Graded | Failed, ...]
    usage: UsageReport = msgspec.field(default_factory=lambda: Meter().report())
    problems: tuple[str, ...] = ()


async def evaluate(
    prompt: PromptSpec,
    rows: RowsSpec,
    *,
    model: ModelSpec,
    metric: MetricSpec | None = None,
    objective: Mapping[str, float] | None = None,
    settings: Mapping[str, object] | None = None,
    endpoints: Endpoints | None = None,
    **task: object,
) -> EvaluationResult:
    """Evaluate one prompt on all rows with one model.

        result = await tp.evaluate("Is this ticket urgent?", rows, model="openai:gpt-4.1-nano")
        print(result.scorecard.accuracy, result.scorecard.intervals["accuracy"])

    `model` is `PROVIDER:MODEL`, a mapping with the keys of an endpoint and a model, or a function of the
    application. `metric` is a metric of one's own; alone it is the objective, unless `objective` weighs
    metrics otherwise. Further keywords are keys of a task (`kind`, `labels`, `fields`, `template`, …); kind
    and fields are guessed from the rows where no kind is given. `settings` are further keys of a scenario
    (`cache`, `scorer`, …); `endpoints` are limits shared with other evaluations and teams.

    Raises InputError for wrong rows or settings, EndpointError where the model cannot be used. A failed call
    of a row is among the responses as `Failed`.
    """
    setup, loaded = await anyio.to_thread.run_sync(
        partial(_whole, prompt, rows, model, metric, objective, settings or {}, task)
    )
    scenario, (name,) = setup.scenario, setup.scenario.targets
    bus = InProcessBus()
    assembler = Assembler(
        scenario=scenario,
        strategy=STRATEGIES["original"],
        parts=Parts({**setup.clients, _NOBODY: NobodyClient()}, setup.targets, frozenset()),
        metrics=setup.metrics,
        bus=bus,
        bus_scope=bus,
        relay=None,
        following=Following(),
        out=None,
        telemetry=None,
        endpoints=endpoints,
        loaded={TASK: loaded},
    )
    asked = original(scenario, loaded.task.original)
    every = loaded.splits.test
    async with assembler.open() as assembly:
        evaluator = assembly.evaluator
        evaluation = await evaluator.score(
            asked, {TASK: every}, models=[name], responses=len(every), final=True
        )
        if name in evaluator.lost:
            raise EndpointError(f"{name}: {evaluator.lost[name]}")
        cards = await anyio.to_thread.run_sync(partial(evaluator.cards, evaluation, intervals=True))
        found = {one.example: one for one in evaluation.scored[TASK, name].responses}
        return EvaluationResult(
            prompt=asked,
            scorecard=cards[TASK][name],
            responses=tuple(found[row.id] for row in every),
            usage=assembly.models.usage(),
            problems=(*loaded.warnings, *evaluator.failures),
        )


def score(
    responses: Iterable[str | Response],
    rows: RowsSpec,
    *,
    metric: MetricSpec | None = None,
    objective: Mapping[str, float] | None = None,
    settings: Mapping[str, object] | None = None,
    **task: object,
) -> EvaluationResult:
    """Grade responses that exist already, one for each row in the same order; no model is called.

        result = tp.score(["urgent", "routine"], rows, labels=["urgent", "routine"])

    A response is what a model wrote, or a `Response` with its confidence. Keywords are those of `evaluate`;
    `confidence` is read where a response states one. Raises InputError, also where there are more or fewer
    responses than rows.
    """
    setup, loaded = _whole("", rows, NOBODY, metric, objective, settings or {}, task)
    given = [one if isinstance(one, Response) else Response(one) for one in responses]
    every = loaded.splits.test
    if len(given) != len(every):
        raise InputError(f"responses: {len(given)} for {len(every)} rows; give one for each row, in order")
    scorer = setup.scenario.scorer
    goal = Objective.of(scorer)
    judging = Judging.of(scorer, goal, setup.metrics, folder=setup.scenario.folder)
    if judging.rates:
        raise InputError("score: no model is called here, so nothing is judged; use evaluate for that")
    judging.check({TASK: loaded.task})
    stated = any(one.confidence is not None or verbalised(one.text) is not None for one in given)
    reading = Reading("generate", "verbalised" if stated else "none")
    graded = [
        grade(
            loaded.task,
            row,
            Reply(
                example=row.id,
                text=one.text if one.confidence is None else written(one, confidence=True),
                completion_tokens=one.completion_tokens,
            ),
            reading,
        )
        for row, one in zip(every, given, strict=True)
    ]
    measure = partial(measured, judging.metrics, judging.weighed_metrics, graded)
    graded, own = _elsewhere(measure) if judging.metrics else (graded, {})
    card = scorecard_of(
        Outcomes.of(graded, closed=loaded.task.closed),
        goal,
        seed=setup.scenario.seed,
        intervals=True,
        judged={name: own[name].value if name in own else None for name in judging.metrics},
    )
    return EvaluationResult(prompt=None, scorecard=card, responses=tuple(graded), problems=loaded.warnings)


async def optimize(
    prompt: PromptSpec,
    rows: RowsSpec,
    *,
    model: ModelSpec | Sequence[ModelSpec],
    writer: ModelSpec | None = None,
    budget: int | str | Mapping[str, object] | None = None,
    metric: MetricSpec | None = None,
    objective: Mapping[str, float] | None = None,
    strategy: str | Strategy = "transfer",
    out: str | Path | None = None,
    seed: int = 0,
    settings: Mapping[str, object] | None = None,
    endpoints: Endpoints | None = None,
    trackers: Sequence[Tracker] = (),
    **task: object,
) -> Results:
    """Search for a better prompt, and test it and the original on rows that the search never saw.

        results = await tp.optimize("Is this ticket urgent?", rows, model="openai:gpt-4.1-nano",
                                    writer="openai:gpt-4.1", budget=2000)
        print(results.targets[0].best.prompt.text, results.targets[0].best.scorecard.accuracy)

    `prompt` is a text, or the texts of an application by name, of which one is changed at a time. `model` is
    one model or several, each optimised for; a function of the application may be one. `writer` is the
    reference LLM, by default the (first) model. `budget` is a number of HTTP calls in all, `light`, `medium`
    or `heavy`, or the keys of a scenario's `budget`. With `out`, a folder, the run is durable and resumes.
    `trackers` are experiment trackers, such as `tp.MLflow()`.
    Other arguments are those of `evaluate`. Whatever these do not offer, `Scenario` and `Team` do.

    Raises InputError for wrong rows or settings or too small a budget, EndpointError where a model cannot be
    used. Errors of the host's own functions are raised as they are.
    """
    several = isinstance(model, Sequence) and not isinstance(model, str)
    models = list(cast("Sequence[ModelSpec]", model)) if several else [cast("ModelSpec", model)]
    if not models:
        raise InputError("model: none is given; give at least one")
    caps = {"auto": budget} if isinstance(budget, str) else {"calls": budget}
    more: dict[str, object] = {"seed": seed}
    if isinstance(strategy, str):
        more["strategy"] = strategy
    if budget is not None:
        more["budget"] = budget if isinstance(budget, Mapping) else caps
    setup = await anyio.to_thread.run_sync(
        partial(
            set_up,
            "optimize",
            prompt,
            rows,
            models=models,
            writer=writer,
            metric=metric,
            objective=objective,
            settings={**more, **(settings or {})},
            task=task,
        )
    )
    async with Team(
        setup.scenario,
        out=out,
        clients=setup.clients,
        targets=setup.targets,
        metrics=setup.metrics,
        strategy=None if isinstance(strategy, str) else strategy,
        endpoints=endpoints,
        trackers=trackers,
    ) as team:
        return await team.run()


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run `evaluate`, `optimize` or any other coroutine from a program that is not asynchronous.

        results = tp.run_sync(tp.optimize(prompt, rows, model=..., writer=...))

    Raises RuntimeError inside a running event loop, as in a notebook: there `await` the coroutine instead.
    """
    if not iscoroutine(work):
        raise TypeError(
            f"tp.run_sync got {type(work).__name__}, no coroutine: tp.score is called as it is, and work is "
            "handed over without `await`"
        )
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return anyio.run(_awaited, work)
    work.close()
    raise RuntimeError(
        "tp.run_sync was called inside a running event loop (a notebook, or an async function); "
        "write `await tp.evaluate(...)` there instead"
    )


async def _awaited(work: Coroutine[Any, Any, T]) -> T:
    return await work


def _whole(
    prompt: PromptSpec,
    rows: RowsSpec,
    model: ModelSpec,
    metric: MetricSpec | None,
    objective: Mapping[str, float] | None,
    settings: Mapping[str, object],
    task: Mapping[str, object],
) -> tuple[Setup, LoadedTask]:
    """A scenario that writes nothing, and its task with every row in one split."""
    setup = set_up(
        "evaluate",
        prompt,
        rows,
        models=[model],
        writer=NOBODY,
        metric=metric,
        objective=objective,
        settings={"strategy": "original", **settings},
        task={"shuffle": False, **task},
    )
    scenario = setup.scenario
    loaded = load_rows(
        TASK,
        scenario.tasks[TASK],
        folder=scenario.folder,
        seed=scenario.seed,
        seed_prompt=scenario.seed_prompts[0],
        allow_code=scenario.allow_code,
    )
    return setup, loaded


def _elsewhere(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of asynchronous work, from code that is not: in a thread with an event loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(anyio.run, work).result()
