"""From a run's story and results to the view."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import cast

import msgspec

from ...evaluation.scorecard import Gain, Scorecard
from ...prompt import Prompt
from ...record.results import Results, TargetResult
from ._sections import Confidences, cells, lineage, rounded
from ._story import SearchStory, Story
from ._words import LABELS, better, in_all, label, notes, told, verdict
from .view import (
    Compromise,
    Lineage,
    Measured,
    MetricView,
    Points,
    PromptView,
    ResponsesView,
    SearchView,
    StepView,
    TargetView,
    View,
)

Raw = Mapping[str, object]
"""Results as plain data, with what the page has no place of its own for."""

PLACED = frozenset(
    {
        "schema",
        "name",
        "status",
        "seed",
        "source_prompts",
        "targets",
        "transfer",
        "searches",
        "problems",
        "strategy",
        "usage",
    }
)
"""Keys of results that the page has a place for; others are shown as they are."""

PLACED_OF_TARGET = frozenset(
    {"task", "model", "baseline", "best", "gain", "preference", "validation", "selection_bias", "chance"}
)

MOST_OF_ONE = 20_000
"""Characters shown of one key that the page has no place for."""


def view(
    story: Story,
    results: Results | None = None,
    *,
    raw: Raw | None = None,
    confidences: Confidences | None = None,
    responses: ResponsesView | None = None,
) -> View:
    """The page of a run: of what its events have told and, once it has ended, of its results."""
    plain = {} if raw is None else raw
    status = story.status if results is None else results.status
    matrix = cells(story, results)
    targets = tuple(_targets(story, results, plain, confidences))
    searches = tuple(_search(story, search, results) for search in story.searches.values())
    return View(
        name=story.name if results is None else results.name,
        status=status,
        words=in_all(results, status),
        seed=story.seed if results is None else results.seed,
        strategy=None if results is None else results.strategy,
        started=_iso(story.began),
        ended=None if status == "running" else _iso(story.latest),
        seconds=_seconds(story, results),
        splits=story.splits,
        answered=story.answered,
        prompts=tuple(_prompt(story, prompt) for prompt in story.prompts),
        targets=targets,
        lineages=tuple(_lineages(story, targets)),
        cells=matrix,
        searches=searches,
        points=_points(story),
        steps=tuple(_steps(story)),
        usage=None if results is None else results.usage,
        problems=tuple(story.problems) if results is None else results.problems,
        responses=responses or ResponsesView(),
        more={key: _told(value) for key, value in plain.items() if key not in PLACED},
    )


def _targets(
    story: Story, results: Results | None, plain: Raw, confidences: Confidences | None
) -> Iterator[TargetView]:
    if results is None:
        return
    raws = cast("list[Raw]", plain.get("targets") or [{}] * len(results.targets))
    for target, raw in zip(results.targets, raws, strict=True):
        base, best = target.baseline.scorecard, target.best.scorecard
        yield TargetView(
            task=target.task,
            model=target.model,
            baseline=story.prompts.place(target.baseline.prompt.prompt()),
            best=story.prompts.place(target.best.prompt.prompt()),
            rows=best.n,
            verdict=verdict(target),
            words=told(target),
            notes=notes(target),
            metrics=tuple(_metrics(target)),
            validation=None if target.validation is None else rounded(target.validation.objective),
            selection_bias=rounded(target.selection_bias),
            majority=rounded(target.chance.majority),
            random=rounded(target.chance.random),
            failed=base.failed + best.failed,
            diagrams=() if confidences is None else confidences.diagrams(target),
            more={key: _told(value) for key, value in raw.items() if key not in PLACED_OF_TARGET},
        )


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
                gain=None if gain is None else _shorter(gain),
                explained=best.explained.get(name, ""),
            )


def _measured(card: Scorecard, name: str) -> Measured:
    value = card.judged.get(name) if name in card.judged else getattr(card, name, None)
    low, high = card.intervals.get(name, (None, None))
    return rounded(value), rounded(low), rounded(high)


def _shorter(gain: Gain) -> Gain:
    return msgspec.structs.replace(
        gain, difference=round(gain.difference, 4), low=rounded(gain.low), high=rounded(gain.high)
    )


def _prompt(story: Story, prompt: Prompt) -> PromptView:
    return PromptView(
        id=prompt.id,
        text=prompt.text,
        position=prompt.position,
        origin=prompt.origin,
        parents=story.prompts.find(prompt.parents),
    )


def _lineages(story: Story, targets: tuple[TargetView, ...]) -> Iterator[Lineage]:
    """Of the best prompts and the best source prompt; while nothing is tested, of every best so far."""
    originals: dict[int, int | None] = {target.best: target.baseline for target in targets}
    first = next((one.prompt for search in story.searches.values() for one in search.scored), None)
    for search in story.searches.values():
        if search.best is not None and (not targets or search.began.stage == "source"):
            originals.setdefault(search.best, first)
    for place, original in originals.items():
        yield lineage(story.prompts, place, original)


def _search(story: Story, search: SearchStory, results: Results | None) -> SearchView:
    began = search.began
    trained = [one for one in search.scored if one.split == "train"]
    return SearchView(
        scope=began.scope,
        stage=began.stage,
        tasks=began.tasks,
        models=began.models,
        steps=began.steps,
        visited=len({one.prompt for one in trained}),
        stopped=len({one.prompt for one in trained if one.stopped}),
        best=search.best,
        objective=rounded(search.objective),
        reason=search.reason,
        refused=dict(sorted(search.refused.items())),
        notes=search.notes,
        front=tuple(
            Compromise(
                prompt=story.prompts.place(one.prompt.prompt()),
                merits=one.merits,
                objective=rounded(one.objective),
            )
            for summary in (() if results is None else results.searches)
            if summary.scope == began.scope
            for one in summary.front
        ),
    )


def _points(story: Story) -> Points:
    searches = list(story.searches.values())
    scored = [one for search in searches for one in search.scored]
    return Points(
        search=[i for i, search in enumerate(searches) for _ in search.scored],
        step=[one.step for one in scored],
        split=[one.split for one in scored],
        prompt=[one.prompt for one in scored],
        objective=[rounded(one.objective) for one in scored],
        stopped=[one.stopped for one in scored],
    )


def _steps(story: Story) -> Iterator[StepView]:
    for i, search in enumerate(story.searches.values()):
        for number, step in sorted(search.steps.items()):
            cost = step.cost
            yield StepView(
                search=i,
                step=number,
                candidates=step.candidates,
                refused=step.refused,
                answers=step.answers,
                objective=rounded(step.objective),
                calls=None if cost is None else cost.calls,
                tokens=None if cost is None else cost.tokens,
                usd=None if cost is None else round(cost.usd, 6),
            )


def _seconds(story: Story, results: Results | None) -> float | None:
    if results is not None:
        return results.usage.seconds
    if story.began is None or story.latest is None:
        return None
    return (story.latest - story.began).total_seconds()


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")


def _told(value: object) -> str:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return text if len(text) <= MOST_OF_ONE else f"{text[:MOST_OF_ONE]}\n… (see results.json)"
