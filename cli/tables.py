"""Output of commands as rich tables: plans, rows, presets and comparisons."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..runtime.formatting import UNDEFINED, format_interval, format_number

if TYPE_CHECKING:
    from ..agents.coordinator.estimate import Estimate
    from ..runtime.record.results import Results
    from ..runtime.report.comparison import Comparison, Entry, Mean
    from ..runtime.tasks.peek import Peek, PeekedRow
    from ..runtime.tasks.presets import Preset

NO_ROWS = "A preset brings no rows: a task with it also names files, in `data` or `files`."


def estimate_view(estimate: "Estimate") -> RenderableType:
    """Limits of each search; calls, tokens and, where prices are known, USD by stage and model; the time, and
    assumptions."""
    searches = [
        f"{escape(search.scope)}: {search.rows:,} rows answered, at most {search.candidates:,} candidates"
        for search in estimate.searches
    ]
    table = Table("stage", "role", "model", title="at most")
    cost = [] if estimate.usd is None else ["USD"]
    for column in ("calls", "prompt tokens", "completion tokens", *cost):
        table.add_column(column, justify="right")
    for part in estimate.parts:
        table.add_row(
            escape(part.stage),
            part.role,
            escape(part.model),
            f"{part.calls:,}",
            f"{part.prompt_tokens:,}",
            f"{part.completion_tokens:,}",
            *([UNDEFINED if part.usd is None else f"{part.usd:.4f}"] if cost else []),
        )
    paid = "no prices given" if estimate.usd is None else f"{estimate.usd:.4f} USD"
    total = f"{estimate.calls:,} calls, {estimate.tokens:,} tokens, {paid}"
    minutes = f"about {estimate.seconds / 60:.1f} minutes, set by {escape(estimate.slowest)}"
    assumed = [f"- {escape(assumption)}" for assumption in estimate.assumptions]
    return Group(*searches, table, f"{total}; {minutes}", "Assumptions:", *assumed)


def peek_view(peeks: "Iterable[Peek]") -> RenderableType:
    """Rows as the models will see them, with counts."""
    parts: list[RenderableType] = []
    for peek in peeks:
        parts += [*_heading(peek), *(line for row in peek.rows for line in _row(row))]
    return Group(*parts)


def presets_view(presets: "Iterable[Preset]") -> RenderableType:
    """The presets by domain with kind and set, on 80 columns."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    for domain, members in groupby(presets, lambda preset: preset.domain):
        grid.add_row(Text(domain, style="bold"))
        for preset in members:
            grid.add_row(f"  {preset.name}", preset.kind, escape(preset.title))
    return Group(grid, "", "tprompt presets NAME shows source and licence.", NO_ROWS)


def preset_view(preset: "Preset") -> RenderableType:
    """One preset with source and licence of its data set."""
    facts = {
        "set": preset.title,
        "kind": preset.kind,
        "domain": preset.domain,
        "source": preset.source,
        "licence": preset.licence,
        "prompt": preset.prompt,
        "note": preset.note,
    }
    grid = Table.grid(padding=(0, 2))
    for key, value in facts.items():
        if value:
            grid.add_row(key, escape(value))
    return Group(Text(preset.name, style="bold"), grid, "", NO_ROWS)


def _heading(peek: "Peek") -> Iterable[RenderableType]:
    sizes = ", ".join(f"{size} {split}" for split, size in peek.sizes.items())
    yield Text(f"{peek.task}: {peek.kind}; {sizes}", style="bold")
    assumed = " (assuming the endpoint returns log-probabilities)" if peek.assumed else ""
    yield Text(f"{peek.model}: {peek.reading.describe()}{assumed}")
    for split, counts in peek.counts.items():
        yield Text(f"{split}: {_counts(counts)}")
    if peek.majority is not None:
        label, share = peek.majority
        yield Text(f"always answering {label!r} is right in {share:.1%} of test")
    yield Text(f"dropped: {_counts(peek.dropped) or 'nothing'}")
    for warning in peek.warnings:
        yield Text(f"! {warning}", style="yellow")


def _row(row: "PeekedRow") -> Iterable[RenderableType]:
    yield Text(f"\nrow {row.id}", style="bold")
    for turn in row.messages:
        yield Text(f"[{turn.role}]", style="dim")
        yield Text(turn.content)
    allowed = f"allowed: {', '.join(row.allowed)}; " if row.allowed else ""
    yield Text(f"{allowed}gold: {' | '.join((row.gold, *row.also))}", style="green")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def comparison_table(comparison: "Comparison", metrics: Sequence[str]) -> RenderableType:
    """Means on held-out test with 95 % intervals by scenario, and differences from the first, or of the only
    one from the original."""
    from ..runtime.report.comparison import short_names

    rows = comparison.rows
    if not rows:
        return "nothing to compare: no run has results"
    names = dict(zip((row.name for row in rows), short_names(rows), strict=True))
    means = _table(names.values())
    _fill(means, metrics, lambda metric: [_mean(row.means.get(metric), sign=False) for row in rows])
    means.add_section()
    means.add_row("runs", *(str(row.runs) for row in rows))
    means.add_row("calls a run", *("–" if row.calls is None else f"{row.calls:,.0f}" for row in rows))
    base, others = names[comparison.base], [row for row in rows if row.name != comparison.base]
    gains = _table(names[row.name] for row in others)
    _fill(gains, metrics, lambda metric: [_mean(row.differences.get(metric), sign=True) for row in others])
    return Group(
        "held-out test, means over tasks, models and seeds",
        means,
        escape(f"difference from {base}, target by target (+ is above {base})"),
        gains,
        "↓ lower is better. 95 % t intervals over seeds, for these tasks and models; replayed calls count "
        "like paid ones.",
        *(Text(f"! {warning}", style="yellow") for warning in comparison.warnings),
    )


def results_view(runs: "Sequence[Results]", metrics: Sequence[str]) -> RenderableType:
    """The comparison of runs by scenario, then a table of metrics for each data set and model."""
    from ..runtime.report.comparison import compare_runs, entries
    from ..runtime.report.results_table import CAPTION

    compared = comparison_table(compare_runs(runs, metrics), metrics)
    cells = entries(runs, metrics)
    return Group(compared, f"\n{CAPTION}", *_by_target(cells)) if cells else compared


def _by_target(cells: "Sequence[Entry]") -> Iterator[Table]:
    from ..runtime.report.results_table import text_rows

    (_, *head), rows = text_rows(cells)
    table: Table | None = None
    for target, *row in rows:
        if table is None or target:
            if table is not None:
                yield table
            table = Table(title=escape(target), title_justify="left", box=None, padding=(0, 2, 0, 0))
            for i, name in enumerate(head):
                table.add_column(escape(name), justify="right" if i else "left", overflow="fold")
        table.add_row(*map(escape, row))
    if table is not None:
        yield table


def _table(names: Iterable[str]) -> Table:
    table = Table("metric")
    for name in names:
        table.add_column(escape(name), justify="right", overflow="fold")
    return table


def _fill(table: Table, metrics: Sequence[str], cells: Callable[[str], list[str]]) -> None:
    from ..runtime.report.wording import directed

    for metric in metrics:
        table.add_row(directed(metric), *cells(metric))


def _mean(mean: "Mean | None", *, sign: bool) -> str:
    if mean is None:
        return "–"
    value = format_number(mean.value, sign=sign)
    if mean.low is None or mean.high is None:
        return value
    return f"{value}\n{escape(format_interval(mean.low, mean.high, sign=sign))}"
