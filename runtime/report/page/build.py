"""From an output folder, or the state of a run, to its page."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

import msgspec

from ...evaluation.scorecard import Gain, Scorecard
from ...prompt import Prompt
from ...record.files import read_file, replace_file
from ...record.responses import read_responses
from ...record.results import Results, SearchSummary, TargetResult, load_results
from ..progress import Snapshot, search_name
from ..wording import (
    FORMULAS,
    LABELS,
    UNTESTED,
    advice,
    better,
    conclusion,
    describe_objective,
    describe_run,
    describe_target,
    label,
    notes,
)
from ._responses import pack
from ._sections import Confidences, cells, lineage, rounded
from ._state import RunState, SearchState, read_history
from .document import document
from .view import (
    Estimates,
    Leaders,
    Lineage,
    Measured,
    MetricName,
    MetricView,
    OfferView,
    PromptView,
    ResponsesView,
    SearchView,
    TargetView,
    TradeOff,
    View,
)

Raw = Mapping[str, object]
"""Results as plain data, including the keys that no section of the page shows."""

PLACED = frozenset(Results.__struct_fields__)
"""Keys of results that the page has a place for; others are shown as they are."""

PLACED_OF_TARGET = frozenset(TargetResult.__struct_fields__)

MOST_OF_ONE = 20_000
"""Characters shown of one key that the page has no place for."""


def write_page(folder: Path) -> Path:
    """Write `report.html` from results, history and responses in a folder, replacing it in one step.

    Returns its path. Raises InputError for files that are not those of a run, or of another version.
    """
    path = folder / "report.html"
    replace_file(path, document(*view_of(folder)).encode())
    return path


def view_of(folder: Path) -> tuple[View, tuple[str, ...]]:
    """A folder as the page shows it, and its test responses in blocks.

    Raises InputError for files that are not those of a run, or of another version.
    """
    results, raw = _results(folder / "results.json")
    state = RunState()
    for at, event in read_history(folder / "history.jsonl"):
        state.apply(at, event)
    confidences = Confidences(() if results is None else results.targets)
    path = folder / "responses.jsonl"
    for line in read_responses(path):
        confidences.take(line)
    packed = pack(read_responses(path), read_responses(path))
    responses = ResponsesView(total=packed.total, shown=packed.shown)
    shown = build_view(state, results, raw=raw, confidences=confidences, responses=responses)
    return shown, packed.blocks


def _results(path: Path) -> tuple[Results | None, Raw]:
    if not path.exists():
        return None, {}
    return load_results(path), cast("Raw", msgspec.json.decode(read_file(path)))


def build_view(
    state: RunState,
    results: Results | None = None,
    *,
    raw: Raw | None = None,
    confidences: Confidences | None = None,
    responses: ResponsesView | None = None,
    progress: Snapshot | None = None,
) -> View:
    """The page of a run: of its events so far and, once it has ended, of its results."""
    plain = {} if raw is None else raw
    status = state.status if results is None else results.status
    matrix = cells(state, results)
    targets = tuple(_targets(state, results, plain, confidences))
    offers = tuple(_offers(state, results))
    return View(
        name=state.name if results is None else results.name,
        status=status,
        words=describe_run(results, status),
        seed=state.seed if results is None else results.seed,
        strategy=None if results is None else results.strategy,
        started=_iso(state.began),
        ended=None if status == "running" else _iso(state.latest),
        seconds=_seconds(state, results),
        metrics=dict(_metric_names(targets, {} if results is None else results.objective)),
        splits=state.splits,
        answered=state.answered,
        prompts=tuple(_prompt(state, prompt) for prompt in state.prompts),
        targets=targets,
        lineages=tuple(_lineages(state, targets)),
        cells=matrix,
        searches=tuple(_search(state, search, results) for search in state.searches.values()),
        estimates=_estimates(state),
        leaders=_leaders(state),
        offers=offers,
        likeness=() if results is None else results.likeness,
        progress=progress,
        usage=None if results is None else results.usage,
        problems=tuple(state.problems) if results is None else results.problems,
        responses=responses or ResponsesView(),
        more={key: _as_json(value) for key, value in plain.items() if key not in PLACED},
    )


def _metric_names(
    targets: tuple[TargetView, ...], weights: Mapping[str, float]
) -> Iterator[tuple[str, MetricName]]:
    formulas = {**FORMULAS, "objective": describe_objective(weights)}
    judged: dict[str, Literal["higher", "lower"]] = {
        metric.name: metric.better for target in targets for metric in target.metrics
    }
    for name in {**dict.fromkeys(LABELS), **judged}:
        yield (
            name,
            MetricName(
                label=label(name), formula=formulas.get(name, ""), better=judged.get(name) or better(name)
            ),
        )


def _targets(
    state: RunState, results: Results | None, plain: Raw, confidences: Confidences | None
) -> Iterator[TargetView]:
    if results is None:
        return
    raws = cast("list[Raw]", plain.get("targets") or [{}] * len(results.targets))
    calls = {(one.tasks, one.models): one.calls for one in results.searches if one.stage == "target"}
    for target, raw in zip(results.targets, raws, strict=True):
        base, best = target.baseline.scorecard, target.best.scorecard
        yield TargetView(
            task=target.task,
            model=target.model,
            baseline=state.prompts.place(target.baseline.prompt.prompt()),
            best=state.prompts.place(target.best.prompt.prompt()),
            rows=best.n,
            conclusion=conclusion(target),
            words=describe_target(target),
            advice=advice(target),
            sent=target.sent,
            notes=notes(target),
            metrics=tuple(_metrics(target)),
            calls=calls.get(((target.task,), (target.model,))),
            estimate=_estimate(target),
            selection_bias=rounded(target.selection_bias),
            majority=rounded(target.chance.majority),
            random=rounded(target.chance.random),
            failed=base.failed + (0 if conclusion(target) == "kept" else best.failed),
            diagrams=() if confidences is None else confidences.diagrams(target),
            more={key: _as_json(value) for key, value in raw.items() if key not in PLACED_OF_TARGET},
        )


def _estimate(target: TargetResult) -> float | None:
    """The estimate that chose the best prompt."""
    objective, bias = target.best.scorecard.objective, target.selection_bias
    return None if objective is None or bias is None else rounded(objective + bias)


def _metrics(target: TargetResult) -> Iterator[MetricView]:
    base, best = target.baseline.scorecard, target.best.scorecard
    judged = [*dict.fromkeys([*base.judged, *best.judged])]
    further = [name for name in target.gain if name not in LABELS and name not in judged]
    for name in (*LABELS, *judged, *further):
        measured = _measured(base, name), _measured(best, name)
        gain = target.gain.get(name)
        if gain is not None or any(one[0] is not None for one in measured):
            yield MetricView(
                name=name,
                label=label(name),
                better=better(name) if gain is None else gain.better,
                baseline=measured[0],
                best=measured[1],
                gain=None if gain is None else _shorter(name, gain),
                tested=name not in UNTESTED,
                explained=best.explained.get(name, ""),
            )


def _measured(card: Scorecard, name: str) -> Measured:
    value = card.judged.get(name) if name in card.judged else getattr(card, name, None)
    low, high = card.intervals.get(name, (None, None))
    return rounded(value), rounded(low), rounded(high)


def _shorter(name: str, gain: Gain) -> Gain:
    short = msgspec.structs.replace(
        gain, difference=rounded(gain.difference) or 0.0, low=rounded(gain.low), high=rounded(gain.high)
    )
    return msgspec.structs.replace(short, p=None, p_adjusted=None) if name in UNTESTED else short


def _prompt(state: RunState, prompt: Prompt) -> PromptView:
    return PromptView(
        id=prompt.id,
        text=prompt.text,
        position=prompt.position,
        origin=prompt.origin,
        parents=state.prompts.find(prompt.parents),
    )


def _lineages(state: RunState, targets: tuple[TargetView, ...]) -> Iterator[Lineage]:
    """Of the best prompts and the best source prompt; while nothing is tested, of every leader."""
    originals: dict[int, int | None] = {target.best: target.baseline for target in targets}
    first = next((one.prompt for search in state.searches.values() for one in search.scored), None)
    for search in state.searches.values():
        if search.leader is not None and (not targets or search.started.stage == "source"):
            originals.setdefault(search.leader, first)
    for place, original in originals.items():
        yield lineage(state.prompts, place, original)


def _search(state: RunState, search: SearchState, results: Results | None) -> SearchView:
    started = search.started
    leader = None if search.leader is None else search.latest.get(search.leader)
    summary = _summary(results, started.scope)
    tested = () if results is None or started.stage == "source" else results.targets
    chosen = next(
        (_estimate(one) for one in tested if one.task in started.tasks and one.model in started.models), None
    )
    return SearchView(
        name=search_name(started),
        scope=started.scope,
        stage=started.stage,
        tasks=started.tasks,
        models=started.models,
        rungs=started.rungs,
        risen=tuple(sum(one.rows >= rung for one in search.latest.values()) for rung in started.rungs),
        candidates=len(search.latest),
        finished=search.finished,
        calls=search.calls if summary is None else summary.calls,
        allotted=started.allotted if started.unit == "calls" else None,
        leader=search.leader,
        objective=rounded(search.objective()) if chosen is None else chosen,
        rows=0 if leader is None else leader.rows,
        reason=search.reason,
        refused=dict(sorted(search.refused.items())),
        notes=search.notes,
        front=tuple(
            TradeOff(
                prompt=state.prompts.place(one.prompt.prompt()),
                merits=one.merits,
                objective=rounded(one.objective),
            )
            for one in (() if summary is None else summary.front)
        ),
    )


def _summary(results: Results | None, scope: str) -> SearchSummary | None:
    found = (one for one in (() if results is None else results.searches) if one.scope == scope)
    return next(found, None)


def _estimates(state: RunState) -> Estimates:
    found = [(i, one) for i, search in enumerate(state.searches.values()) for one in search.latest.values()]
    return Estimates(
        search=[i for i, _ in found],
        prompt=[one.prompt for _, one in found],
        rows=[one.rows for _, one in found],
        objective=[rounded(one.objective) for _, one in found],
    )


def _leaders(state: RunState) -> Leaders:
    found = [(i, one) for i, search in enumerate(state.searches.values()) for one in search.leaders()]
    return Leaders(
        search=[i for i, _ in found],
        calls=[one.calls for _, one in found],
        prompt=[one.prompt for _, one in found],
        rows=[one.rows for _, one in found],
        objective=[rounded(one.objective) for _, one in found],
    )


def _offers(state: RunState, results: Results | None) -> Iterator[OfferView]:
    names = {scope: search_name(search.started) for scope, search in state.searches.items()}
    for offer in () if results is None else results.offers:
        for place in state.prompts.find([offer.prompt_id]):
            yield OfferView(
                prompt=place,
                search=names.get(offer.scope, offer.scope),
                sources=tuple(names.get(scope, scope) for scope in offer.sources),
                objective=rounded(offer.objective),
                rows=offer.rows,
                chosen=offer.chosen,
            )


def _seconds(state: RunState, results: Results | None) -> float | None:
    if results is not None:
        return results.usage.seconds
    if state.began is None or state.latest is None:
        return None
    return (state.latest - state.began).total_seconds()


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")


def _as_json(value: object) -> str:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return text if len(text) <= MOST_OF_ONE else f"{text[:MOST_OF_ONE]}\n… (see results.json)"
