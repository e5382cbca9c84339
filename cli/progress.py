"""Progress of a run as rich shows it: a panel for terminals, a line for logs."""

from collections.abc import Callable, Iterator, Mapping

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..runtime.bus import Event
from ..runtime.formatting import excerpt, format_number, format_seconds
from ..runtime.llm.limits.limiter import LimitsNow
from ..runtime.llm.stack import ModelNow, SpendingNow
from ..runtime.report.progress import RunProgress, SearchNow, Snapshot, Spent

ROWS = 8
"""Searches and models shown at most; the panel must fit a terminal for any scenario."""

BAR = 24
"""Characters of the bar."""


class Progress:
    """Takes in events and shows how far the run is; fits 80 columns."""

    def __init__(self, now: Callable[[], SpendingNow], *, clock: Callable[[], float] | None = None) -> None:
        self._run = RunProgress(now) if clock is None else RunProgress(now, clock=clock)

    def note(self, event: Event) -> None:
        """Take in one event."""
        self._run.apply(event)

    def panel(self) -> RenderableType:
        """Overall progress, searches, models with their limits, and the budget."""
        if not self._run.begun:
            waited = format_seconds(self._run.seconds)
            return Text(f"starting: loading data and models, {waited}", style="dim")
        spending = self._run.spending()
        now = self._run.snapshot(spending)
        limits = [
            Text(f"{name}: {words}", style="dim")
            for name, model in list(spending.models.items())[:ROWS]
            if (words := ", ".join(_limits(model.limits)))
        ]
        waits = [
            *(Text(f"! {excerpt(words, 200)}", style="yellow") for words in now.waits[:ROWS]),
            *(Text(excerpt(words, 200), style="dim") for words in now.last_retries[:ROWS]),
        ]
        models = self._models(spending.models)
        return Group(_overall(now), _searches(now), models, *limits, *waits, _spending(now))

    def line(self) -> str:
        """The same in one line."""
        if not self._run.begun:
            return f"starting: loading data and models, {format_seconds(self._run.seconds)}"
        now = self._run.snapshot()
        running = next((one for one in now.searches if not one.ended), None)
        waits = [excerpt(words, 200) for words in (*now.waits, *now.last_retries)]
        return "; ".join([_doing(running) if running else _test(now), *_pace(now), _spent(now), *waits])

    def _models(self, models: Mapping[str, ModelNow]) -> Table:
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
        table.add_column("model", no_wrap=True, overflow="ellipsis", max_width=16)
        for column in ("answered", "replayed", "failed", "retries", "calls/s", "in flight", "queue"):
            table.add_column(column, justify="right", no_wrap=True)
        for name, model in list(models.items())[:ROWS]:
            used, limits = model.used, model.limits
            rate = self._run.rate(f"model {name}", used.calls + used.replayed + used.failed)
            table.add_row(
                escape(name),
                f"{used.calls:,}",
                f"{used.replayed:,}",
                f"{used.failed:,}",
                f"{used.retries:,}",
                format_number(rate, 1),
                f"{limits.in_flight} of {limits.window}",
                f"{limits.waiting:,}",
            )
        return table


def _overall(now: Snapshot) -> Table:
    grid = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=1.0, completed=now.share or 0.0, width=BAR, pulse=now.share is None)
    grid.add_row(bar, Text("; ".join(_pace(now))))
    return grid


def _searches(now: Snapshot) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=26)
    shown = sorted(now.searches, key=lambda search: search.ended)
    for search in shown[:ROWS]:
        table.add_row(escape(search.name), search.activity(), _calls(search), _best(search))
    if len(shown) > ROWS:
        table.add_row(f"and {len(shown) - ROWS} more", "", "", "")
    if now.testing:
        rows = f"{now.test_rows:,} of {now.test_planned:,} rows" if now.test_planned else ""
        table.add_row("final test", f"{now.tested} tested", rows, "")
    return table


def _calls(search: SearchNow) -> str:
    if search.allotted is None:
        return f"{search.spent:,} {search.unit}"
    return f"{search.spent:,} of {search.allotted:,} {search.unit}"


def _best(search: SearchNow) -> str:
    if search.objective is None:
        return ""
    partly = f" ({search.rows} of {search.most} rows)" if search.rows < search.most else ""
    return f"best {format_number(search.objective)}{partly}"


def _doing(search: SearchNow) -> str:
    best = _best(search)
    return f"{search.name}: {search.activity()}, {_calls(search)}{f', {best}' if best else ''}"


def _test(now: Snapshot) -> str:
    if not now.testing:
        return now.phase
    rows = f", {now.test_rows:,} of {now.test_planned:,} rows" if now.test_planned else ""
    return f"final test: {now.tested} tested{rows}"


def _pace(now: Snapshot) -> Iterator[str]:
    if now.share is not None:
        yield f"{now.share:.0%} done"
    yield f"{format_number(now.rate, 1)} calls/s"
    if now.left is not None:
        yield f"about {format_seconds(now.left)} left"


def _spending(now: Snapshot) -> Text:
    return Text(_spent(now), style="dim")


def _spent(now: Snapshot) -> str:
    def shown(one: Spent) -> bool:
        """Time comes first anyway; without prices no dollars are spent."""
        return one.cap is not None or (one.name != "minutes" and (one.name != "usd" or one.spent > 0))

    spent = [one.words() for one in now.spending if shown(one)]
    return "; ".join([format_seconds(now.seconds), *spent])


def _limits(limits: LimitsNow) -> Iterator[str]:
    if limits.paused_for > 0:
        yield f"paused for {limits.paused_for:.0f} s"
    if limits.requests_per_minute is not None:
        yield f"{limits.requests_per_minute:,.0f} requests/min"
    if limits.tokens_per_minute is not None:
        yield f"{limits.tokens_per_minute:,.0f} tokens/min"
    if limits.rejections:
        yield f"{limits.rejections:,} refused by its rate limit"
