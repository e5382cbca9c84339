"""What commands print, as rich tables: plans, rows, presets, summaries and comparisons."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, takewhile

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..agents.coordinator.estimate import Estimate
from ..runtime.evaluation.scorecard import Gain, Scorecard
from ..runtime.record.results import Results, TargetResult
from ..runtime.report.comparison import METRICS as COMPARED
from ..runtime.report.comparison import Comparison, Mean, Row
from ..runtime.tasks.peek import Peek, PeekedRow
from ..runtime.tasks.presets import Preset

NO_ROWS = "A preset brings no rows: a task with it also names files, in `data` or `files`."


def estimate_view(estimate: Estimate) -> RenderableType:
    """Calls, tokens and money by stage and model, the time, and what all this rests on."""
    table = Table("stage", "role", "model", title="at most")
    for column in ("calls", "prompt tokens", "completion tokens", "USD"):
        table.add_column(column, justify="right")
    for part in estimate.parts:
        table.add_row(
            escape(part.stage),
            part.role,
            escape(part.model),
            f"{part.calls:,}",
            f"{part.prompt_tokens:,}",
            f"{part.completion_tokens:,}",
            f"{part.usd:.4f}",
        )
    total = f"{estimate.calls:,} calls, {estimate.tokens:,} tokens, {estimate.usd:.4f} USD"
    minutes = f"about {estimate.seconds / 60:.1f} minutes, set by {escape(estimate.slowest)}"
    rests = [f"- {escape(assumption)}" for assumption in estimate.assumptions]
    return Group(table, f"{total}; {minutes}", "This rests on:", *rests)


def peek_view(peeks: Iterable[Peek]) -> RenderableType:
    """Rows as the models will see them, with counts."""
    parts: list[RenderableType] = []
    for peek in peeks:
        parts += [*_heading(peek), *(line for row in peek.rows for line in _row(row))]
    return Group(*parts)


def presets_view(presets: Iterable[Preset]) -> RenderableType:
    """The presets by domain with kind and set, on 80 columns."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    for domain, members in groupby(presets, lambda preset: preset.domain):
        grid.add_row(Text(domain, style="bold"))
        for preset in members:
            grid.add_row(f"  {preset.name}", preset.kind, escape(preset.title))
    return Group(grid, "", "tprompt presets NAME shows source and licence.", NO_ROWS)


def preset_view(preset: Preset) -> RenderableType:
    """What one preset stands for, and where its set comes from."""
    told = {
        "set": preset.title,
        "kind": preset.kind,
        "domain": preset.domain,
        "source": preset.source,
        "licence": preset.licence,
        "prompt": preset.prompt,
        "note": preset.note,
    }
    grid = Table.grid(padding=(0, 2))
    for key, value in told.items():
        if value:
            grid.add_row(key, escape(value))
    return Group(Text(preset.name, style="bold"), grid, "", NO_ROWS)


def _heading(peek: Peek) -> Iterable[RenderableType]:
    sizes = ", ".join(f"{size} {split}" for split, size in peek.sizes.items())
    yield Text(f"{peek.task}: {peek.kind}; {sizes}", style="bold")
    assumed = " (assuming the endpoint returns log-probabilities)" if peek.assumed else ""
    yield Text(f"{peek.model}: read by {peek.reading.read}, confidence by {peek.reading.confidence}{assumed}")
    for split, counts in peek.counts.items():
        yield Text(f"{split}: {_counts(counts)}")
    if peek.majority is not None:
        label, share = peek.majority
        yield Text(f"always answering {label!r} is right in {share:.1%} of test")
    yield Text(f"dropped: {_counts(peek.dropped) or 'nothing'}")
    for warning in peek.warnings:
        yield Text(f"! {warning}", style="yellow")


def _row(row: PeekedRow) -> Iterable[RenderableType]:
    yield Text(f"\nrow {row.id}", style="bold")
    for turn in row.messages:
        yield Text(f"[{turn.role}]", style="dim")
        yield Text(turn.content)
    allowed = f"allowed: {', '.join(row.allowed)}; " if row.allowed else ""
    yield Text(f"{allowed}gold: {' | '.join((row.gold, *row.also))}", style="green")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


METRICS = ("objective", "accuracy", "ifr", "ece", "auroc", "auprc_p", "auprc_n")


def summary(results: Results) -> RenderableType:
    """Original against best per target, the prompts to take, transfer, problems and cost."""
    parts: list[RenderableType] = []
    several = len(results.targets) > 1
    for target in results.targets:
        parts += [_target(target, several=several), _prompts(target)]
    if results.transfer:
        parts.append(_transfer(results))
    parts += [f"[yellow]! {escape(problem)}[/]" for problem in results.problems]
    parts.append(_closing(results))
    return Group(*parts)


def _target(target: TargetResult, *, several: bool) -> Table:
    """One target's table; with `several` in the run, p is also shown as corrected for being so many."""
    base, best = target.baseline.scorecard, target.best.scorecard
    table = Table(
        title=f"{target.task} with {target.model}: held-out test, {best.n} rows",
        caption=_caption(target),
        title_justify="left",
        caption_justify="left",
    )
    for column in ("metric", "original", "best", "difference", "95 % interval", *_ps(several)):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for metric in METRICS:
        gain = target.gain.get(metric)
        table.add_row(
            f"{metric} (lower is better)" if metric == "ece" else metric,
            _number(_value(base, metric)),
            _number(_value(best, metric)),
            *_gain(gain, several),
        )
    for name, value in best.judged.items():
        table.add_row(escape(name), *_judged(base.judged.get(name), value), *["–"] * (1 + len(_ps(several))))
    return table


def _ps(several: bool) -> tuple[str, ...]:
    return ("p", "p (Holm)") if several else ("p",)


def _caption(target: TargetResult) -> str:
    chance = target.chance
    parts = [
        f"majority class {_number(chance.majority)}, guessing {_number(chance.random)}",
        f"selection bias {_number(target.selection_bias, sign=True)}",
    ]
    failed = target.baseline.scorecard.failed + target.best.scorecard.failed
    if failed:
        parts.append(f"{failed} failed calls left out")
    lines = ["; ".join(parts), _scaled(target), _preferred(target), _missed(target)]
    return "\n".join(escape(line) for line in lines if line)


def _scaled(target: TargetResult) -> str:
    """ECE as it would be; the table holds it as it is."""
    parts = (("original", target.baseline.calibration), ("best", target.best.calibration))
    told = [f"{name} {_number(one.scaled_ece)} (T = {one.temperature:.2f})" for name, one in parts if one]
    return f"ece after temperature scaling on validation: {', '.join(told)}" if told else ""


def _preferred(target: TargetResult) -> str:
    found = target.preference
    if found is None or found.share is None:
        return ""
    counts = ((found.wins, "won"), (found.losses, "lost"), (found.tied, "tied"), (found.swayed, "swayed"))
    told = ", ".join(f"{count} {name}" for count, name in counts)
    unusable = f", {found.unusable} unusable" if found.unusable else ""
    return f"the judge prefers the best prompt's responses: {found.share:.2f} ({told}{unusable})"


def _missed(target: TargetResult) -> str:
    missed = [f"{name} {told}" for name, told in target.best.scorecard.unmet.items()]
    return f"the best prompt misses required bounds on test: {'; '.join(missed)}" if missed else ""


def _gain(gain: Gain | None, several: bool) -> Iterable[str]:
    if gain is None:
        return ["–"] * (2 + len(_ps(several)))
    interval = f"[{_number(gain.low, sign=True)}, {_number(gain.high, sign=True)}]"
    ps = (gain.p, gain.p_adjusted) if several else (gain.p,)
    return (_number(gain.difference, sign=True), escape(interval), *map(_number, ps))


def _judged(base: float | None, best: float | None) -> tuple[str, str, str]:
    difference = None if base is None or best is None else best - base
    return (_number(base), _number(best), _number(difference, sign=True))


def _prompts(target: TargetResult) -> Panel:
    best = target.best.prompt
    return Panel(
        escape(best.text),
        title=escape(f"best prompt {best.id} ({best.origin}; stands {_place(best.position)})"),
        title_align="left",
    )


def _place(position: str) -> str:
    return {
        "system": "in the system turn",
        "before": "before the question",
        "after": "after the question",
    }[position]


def _transfer(results: Results) -> Table:
    table = Table(title="source prompts as they are, on the targets (test)", title_justify="left")
    for column in ("prompt", "task", "model", "objective", "accuracy", "gap"):
        table.add_column(column)
    for entry in results.transfer:
        card = entry.scorecard
        table.add_row(
            entry.prompt_id,
            entry.task,
            entry.model,
            _number(card.objective),
            _number(card.accuracy),
            _number(entry.gap, sign=True),
        )
    return table


def _closing(results: Results) -> str:
    usage = results.usage
    cost = f", {usage.usd:.4f} USD" if usage.usd else ""
    tokens = usage.prompt_tokens + usage.completion_tokens
    return (
        f"{results.name}: {results.status}; {usage.calls} calls paid, {usage.replayed} replayed, "
        f"{usage.retries} retries, {usage.failed} failed, {tokens} tokens{cost}, "
        f"{usage.seconds:.0f} s"
    )


def _value(card: Scorecard, metric: str) -> float | None:
    return getattr(card, metric)


def _number(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.3f}" if sign else f"{value:.3f}"


def comparison_table(comparison: Comparison) -> RenderableType:
    """Means on held-out test with 95 % intervals, and what each column gains over the first."""
    rows = comparison.rows
    if not rows:
        return "nothing to compare: no run has results"
    names = _names(rows)
    means = _table("held-out test, means over tasks, models and seeds", names)
    _fill(means, lambda metric: [_told(row.means.get(metric), sign=False) for row in rows])
    means.add_section()
    means.add_row("runs", *(str(row.runs) for row in rows))
    means.add_row("calls a run", *("–" if row.calls is None else f"{row.calls:,.0f}" for row in rows))
    gains = _table(f"difference from {names[0]}, cell by cell", names[1:])
    _fill(gains, lambda metric: [_told(row.differences.get(metric), sign=True) for row in rows[1:]])
    told = "95 % t intervals over seeds, for these tasks and models; replayed calls count like paid ones."
    return Group(means, gains, told) if len(rows) > 1 else Group(means, told)


def _table(title: str, names: Sequence[str]) -> Table:
    table = Table("metric", title=escape(title), title_justify="left")
    for name in names:
        table.add_column(escape(name), justify="right", overflow="fold")
    return table


def _fill(table: Table, cells: Callable[[str], list[str]]) -> None:
    for metric in COMPARED:
        table.add_row(f"{metric}\n(lower is better)" if metric == "ece" else metric, *cells(metric))


def _names(rows: Sequence[Row]) -> list[str]:
    """Each row's name; scenarios without the words that all of their names begin with."""
    words = [row.name.split("-") for row in rows if row.calls is not None]
    alike = takewhile(lambda column: len(set(column)) == 1, zip(*(name[:-1] for name in words), strict=False))
    shared = len(list(alike)) if len(words) > 1 else 0
    return [row.name if row.calls is None else "-".join(row.name.split("-")[shared:]) for row in rows]


def _told(mean: Mean | None, *, sign: bool) -> str:
    if mean is None:
        return "–"
    form = "+.3f" if sign else ".3f"
    if mean.low is None or mean.high is None:
        return f"{mean.value:{form}}"
    return escape(f"{mean.value:{form}}\n[{mean.low:{form}}, {mean.high:{form}}]")
