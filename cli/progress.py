"""Where a run stands, from its events and what is spent: a panel for terminals, a line for logs."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..runtime.bus import Event
from ..runtime.llm.budget.budget import Cap
from ..runtime.llm.limits.limiter import LimitsNow
from ..runtime.llm.stack import ModelNow, SpendingNow
from ..runtime.messages import (
    CandidatesProposed,
    PromptScored,
    SearchEnded,
    SearchStarted,
    Stage,
    StepEnded,
    TargetTested,
)

ROWS = 8
"""Searches and models shown at most; the panel must fit a terminal whatever the scenario holds."""

RATE_SECONDS = 10.0
"""Rates are of so many seconds past."""


@dataclass(slots=True)
class Searching:
    """How far one search has come; `step` 0 scores the prompts it begins with."""

    stage: Stage
    steps: int
    step: int = 0
    taken: int = 0
    candidates: int | None = None
    scored: int = 0
    best: float | None = None
    validated: int = 0
    kept: bool = False

    def doing(self) -> str:
        if self.kept:
            return "done"
        if self.validated:
            return f"validation: {self.validated} scored"
        of = "" if self.candidates is None else f" of {self.candidates}"
        where = f"step {self.step} of {self.steps}" if self.step else "first prompts"
        return f"{where}: {self.scored}{of} scored"


@dataclass(slots=True)
class Rate:
    """Things done a second, over the seconds just past."""

    seen: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])

    def at(self, moment: float, done: int) -> float:
        seen = self.seen
        seen.append((moment, done))
        while len(seen) > 2 and seen[1][0] <= moment - RATE_SECONDS:
            seen.popleft()
        since, before = seen[0]
        return (done - before) / (moment - since) if moment > since else 0.0


class Progress:
    """Takes in events; `now` is asked only once the first of them has come."""

    def __init__(
        self, now: Callable[[], SpendingNow], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._clock = clock
        self._began = clock()
        self._searches: dict[str, Searching] = {}
        self._rates: dict[str, Rate] = {}
        self._tested = 0
        self._begun = False

    def note(self, event: Event) -> None:
        """Take in one event."""
        self._begun = True
        match event:
            case SearchStarted():
                self._searches[event.scope] = Searching(event.stage, event.steps)
            case CandidatesProposed():
                search = self._search(event.scope)
                search.step, search.candidates, search.scored = event.step, len(event.prompts), 0
            case PromptScored(split="train"):
                self._search(event.scope).scored += 1
            case PromptScored():
                self._search(event.scope).validated += 1
            case StepEnded():
                search = self._search(event.scope)
                search.taken, search.best = event.step, event.objective
            case SearchEnded():
                self._search(event.scope).kept = True
            case TargetTested():
                self._tested += 1
            case _:
                pass

    def panel(self) -> RenderableType:
        """Searches, models with their limits, and the budget."""
        if not self._begun:
            return Text("starting…", style="dim")
        now = self._now()
        return Group(self._stages(), self._models(now.models), Text(self._spent(now), style="dim"))

    def line(self) -> str:
        """The same in one line."""
        if not self._begun:
            return "starting"
        now = self._now()
        doing = [f"{scope}, {search.doing()}" for scope, search in self._shown() if not search.kept]
        rate = sum(self._rate(name, model) for name, model in now.models.items())
        return f"{doing[0] if doing else 'test'}; {rate:.1f} calls/s; {self._spent(now)}"

    def _search(self, scope: str) -> Searching:
        """The search of this name; an observer that lagged may have missed its beginning."""
        return self._searches.setdefault(scope, Searching("target", 0))

    def _shown(self) -> list[tuple[str, Searching]]:
        """Searches that go on come first where not all have room."""
        return sorted(self._searches.items(), key=lambda pair: pair[1].kept)

    def _stages(self) -> Table:
        table = Table.grid(padding=(0, 2))
        shown = self._shown()
        for scope, search in shown[:ROWS]:
            bar = ProgressBar(
                total=max(1, search.steps), completed=search.steps if search.kept else search.taken, width=16
            )
            best = "" if search.best is None else f"best so far {search.best:.3f}"
            table.add_row(escape(scope), bar, search.doing(), best)
        if len(shown) > ROWS:
            table.add_row(f"and {len(shown) - ROWS} more", "", "", "")
        if self._testing():
            table.add_row("test", "", f"{self._tested} tested", "")
        return table

    def _testing(self) -> bool:
        searches = self._searches.values()
        return all(search.kept for search in searches) and any(
            search.stage == "target" for search in searches
        )

    def _models(self, models: Mapping[str, ModelNow]) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("model")
        for column in ("answered", "replayed", "failed", "calls/s", "in flight", "waiting"):
            table.add_column(column, justify="right")
        table.add_column("limit")
        for name, model in list(models.items())[:ROWS]:
            used, limits = model.used, model.limits
            table.add_row(
                escape(name),
                f"{used.calls:,}",
                f"{used.replayed:,}",
                f"{used.failed:,}",
                f"{self._rate(name, model):.1f}",
                f"{limits.in_flight} of {limits.window}",
                f"{limits.waiting:,}",
                ", ".join(_limits(limits)),
            )
        return table

    def _rate(self, name: str, model: ModelNow) -> float:
        done = model.used.calls + model.used.replayed + model.used.failed
        return self._rates.setdefault(name, Rate()).at(self._clock(), done)

    def _spent(self, now: SpendingNow) -> str:
        minutes, seconds = divmod(int(self._clock() - self._began), 60)
        return "; ".join([f"{minutes}:{seconds:02} min", *_spending(now)])


def _spending(now: SpendingNow) -> Iterator[str]:
    for cap, amount in now.budget.items():
        unit = "USD" if cap == "usd" else cap
        if amount.cap is not None and amount.left is not None:
            spent, most, left = (_amount(cap, value) for value in (amount.spent, amount.cap, amount.left))
            yield f"{spent} of {most} {unit}, {left} left"
        elif cap != "minutes":
            yield f"{_amount(cap, amount.spent)} {unit}"


def _amount(cap: Cap, value: float) -> str:
    return f"{value:,.2f}" if cap in {"usd", "minutes"} else f"{value:,.0f}"


def _limits(limits: LimitsNow) -> Iterator[str]:
    if limits.paused_for > 0:
        yield f"paused for {limits.paused_for:.0f} s"
    if limits.requests_per_minute is not None:
        yield f"{limits.requests_per_minute:,.0f} requests/min"
    if limits.tokens_per_minute is not None:
        yield f"{limits.tokens_per_minute:,.0f} tokens/min"
    if limits.rejections:
        yield f"{limits.rejections:,} refused"
