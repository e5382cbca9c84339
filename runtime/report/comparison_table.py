"""A comparison as rich tables, for people at a terminal."""

from collections.abc import Callable, Sequence
from itertools import takewhile

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from .comparison import METRICS, Comparison, Mean, Row


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
    for metric in METRICS:
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
