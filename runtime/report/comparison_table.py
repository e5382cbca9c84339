"""A comparison as a rich table, for people at a terminal."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from .comparison import METRICS, Comparison, Mean, Row


def comparison_table(comparison: Comparison) -> RenderableType:
    """Means on held-out test with 95 % intervals, and what each row gains over the first."""
    if not comparison.rows:
        return "nothing to compare: no run has results"
    first = comparison.rows[0]
    means = Table(title="held-out test, means over tasks, models and seeds", title_justify="left")
    gains = Table(title=escape(f"difference from {first.name}, cell by cell"), title_justify="left")
    for table in (means, gains):
        table.add_column("scenario")
        for metric in METRICS:
            table.add_column(f"{metric} (lower is better)" if metric == "ece" else metric, justify="right")
    means.add_column("runs", justify="right")
    means.add_column("calls a run", justify="right")
    for row in comparison.rows:
        means.add_row(escape(row.name), *_cells(row, differences=False), str(row.runs), _calls(row.calls))
        if row is not first:
            gains.add_row(escape(row.name), *_cells(row, differences=True))
    told = "95 % t intervals over seeds, for these tasks and models; replayed calls count like paid ones."
    return Group(means, gains, told)


def _cells(row: Row, *, differences: bool) -> list[str]:
    found = row.differences if differences else row.means
    return [_told(found.get(metric), sign=differences) for metric in METRICS]


def _told(mean: Mean | None, *, sign: bool) -> str:
    if mean is None:
        return "–"
    form = "+.3f" if sign else ".3f"
    if mean.low is None or mean.high is None:
        return f"{mean.value:{form}}"
    return escape(f"{mean.value:{form}} [{mean.low:{form}}, {mean.high:{form}}]")


def _calls(calls: float | None) -> str:
    return "–" if calls is None else f"{calls:,.0f}"
