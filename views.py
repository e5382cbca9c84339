"""What commands that make no call print: plans, rows and presets."""

from collections.abc import Iterable, Mapping
from itertools import groupby

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .agents.estimate import Estimate
from .runtime.tasks.peek import Peek, PeekedRow
from .runtime.tasks.presets import Preset

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
