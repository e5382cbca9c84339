"""Progress of a run: searches, rate, time left and spending, for the terminal and the live view."""

import time
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from ..bus import Event
from ..formatting import format_number, format_seconds, format_usd, plural
from ..llm.budget.budget import Cap
from ..llm.stack import SpendingNow
from ..messages import (
    BatchAnswered,
    CandidatesProposed,
    PromptScored,
    RunStarted,
    SearchEnded,
    SearchStarted,
    Stage,
    TargetTested,
    Unit,
)
from ..prompt import Prompt

WINDOW = 30.0
"""Seconds over which rates are measured."""


class SearchNow(msgspec.Struct, frozen=True, kw_only=True):
    """One search at this moment. `rows` is how many of `most` rows the leader has answered, `spent` the
    calls or evaluations (see `unit`) it made of those `allotted`."""

    name: str
    stage: Stage
    candidates: int
    spent: int
    allotted: int | None
    unit: Unit
    leader: str | None
    objective: float | None
    rows: int
    most: int
    ended: bool

    def activity(self) -> str:
        """State of the search as text."""
        if self.ended:
            return "done"
        if not self.candidates:
            return "first prompts are being scored"
        return f"{self.candidates:,} scored"


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """A cap of the budget with what is spent of it; `cap` is None where there is none."""

    name: Cap
    spent: float
    cap: float | None

    def words(self) -> str:
        """Spending against the cap, in the cap's unit."""
        if self.name == "usd":
            amounts = [format_usd(self.spent), *([format_usd(self.cap)] if self.cap is not None else [])]
            return " of ".join(amounts)
        digits = 1 if self.name == "minutes" else 0
        amounts = [format_number(self.spent, digits)]
        if self.cap is not None:
            amounts.append(format_number(self.cap, digits))
        return f"{' of '.join(amounts)} {self.name}"


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A run at this moment: `rate` in calls per second, `left` the estimated seconds to go (None: unknown),
    `share` the part in [0, 1] that is done: of the calls allotted to searches and the final test's, or of
    the cap of the budget that is used most. `waits` say which models wait, since when and why,
    `last_retries` why the latest retry of each model was. `test_rows` are the rows answered in the final
    test, of at most `test_planned` for the original and the best prompts."""

    seconds: float
    rate: float
    left: float | None
    share: float | None
    calls: int
    retries: int
    failed: int
    searches: tuple[SearchNow, ...]
    tested: int
    targets: int
    spending: tuple[Spent, ...]
    waits: tuple[str, ...] = ()
    last_retries: tuple[str, ...] = ()
    test_rows: int = 0
    test_planned: int = 0

    @property
    def phase(self) -> str:
        """The running search, or what comes before and after the searches."""
        running = next((one for one in self.searches if not one.ended), None)
        if running is not None:
            return running.name
        return "final test" if self.tested or self.testing else "preparing"

    @property
    def testing(self) -> bool:
        """All searches have ended, among them one of a target."""
        return all(one.ended for one in self.searches) and any(one.stage == "target" for one in self.searches)


class _Rate:
    """Growth of a count per second, over the seconds just past."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def at(self, moment: float, amount: float) -> float:
        seen = self._seen
        if seen and seen[-1][0] >= moment:
            seen.pop()
        seen.append((moment, amount))
        while len(seen) > 2 and seen[1][0] <= moment - WINDOW:
            seen.popleft()
        since, before = seen[0]
        return (amount - before) / (moment - since) if moment > since else 0.0


class _Search:
    def __init__(self, started: SearchStarted | None, scope: str) -> None:
        self.name = scope if started is None else search_name(started)
        self.stage: Stage = "target" if started is None else started.stage
        self.most = started.rungs[-1] if started is not None and started.rungs else 0
        self.allotted = None if started is None else started.allotted
        self.unit: Unit = "calls" if started is None else started.unit
        self.estimates: dict[str, tuple[float | None, int]] = {}
        self.texts: dict[str, str] = {}
        self.leader: str | None = None
        self.spent = 0
        self.ended = False

    def scored(self, event: PromptScored) -> None:
        id = event.prompt.id
        self.estimates[id] = (event.objective, event.rows)
        self.texts[id] = event.prompt.text
        self.leader = event.leader
        self.spent = event.calls if self.unit == "calls" else event.evaluations

    def now(self) -> SearchNow:
        objective, rows = self.estimates.get(self.leader or "", (None, 0))
        return SearchNow(
            name=self.name,
            stage=self.stage,
            candidates=len(self.estimates),
            spent=self.spent,
            allotted=self.allotted,
            unit=self.unit,
            leader=self.texts.get(self.leader or ""),
            objective=objective,
            rows=rows,
            most=self.most,
            ended=self.ended,
        )


class RunProgress:
    """Takes in events and says how far the run is.

    `now` gives what is spent; it is called only once an event has come, since a team has nothing to say
    before it has started.
    """

    def __init__(
        self, now: Callable[[], SpendingNow] | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._clock = clock
        self._started = clock()
        self._searches: dict[str, _Search] = {}
        self._rates: dict[str, _Rate] = {}
        self._sizes: dict[str, int] = {}
        self._planned = 0
        self._answered = 0
        self._searched = 0
        self._tested = 0
        self._targets = 0
        self.begun = False

    def apply(self, event: Event) -> None:
        """Apply one event."""
        if not self.begun:
            self.begun = True
            self.snapshot()  # rates count from here
        match event:
            case RunStarted():
                self._targets = len(event.targets)
                self._sizes = {task: sizes[2] for task, sizes in event.tasks.items()}
            case SearchStarted():
                self._searches[event.scope] = _Search(event, event.scope)
                if event.stage == "target":
                    rows = sum(self._sizes.get(task, 0) for task in event.tasks)
                    self._planned += 2 * rows * len(event.models)
            case CandidatesProposed():
                search = self._search(event.scope)
                search.texts |= {prompt.id: prompt.text for prompt in event.prompts}
            case PromptScored():
                self._search(event.scope).scored(event)
            case SearchEnded():
                self._ended(self._search(event.scope), event.prompts)
                self._searched = self._answered
            case TargetTested():
                self._tested += 1
            case BatchAnswered():
                self._answered += event.answered + event.failed
            case _:
                pass

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    @property
    def searches(self) -> dict[str, SearchNow]:
        """The searches at this moment, by scope."""
        return {scope: search.now() for scope, search in self._searches.items()}

    def spending(self) -> SpendingNow:
        """Spending at this moment; nothing before the first event."""
        return self._now() if self._now is not None and self.begun else SpendingNow({}, {})

    def rate(self, name: str, done: float) -> float:
        """Growth per second of a count that is followed under a name."""
        return self._rates.setdefault(name, _Rate()).at(self._clock(), done)

    def snapshot(self, spending: SpendingNow | None = None) -> Snapshot:
        """The run at this moment."""
        now = self.spending() if spending is None else spending
        used = [model.used for model in now.models.values()]
        done = sum(one.calls + one.replayed + one.failed for one in used) if used else self._answered
        rate = self.rate("all calls", done)
        searches = tuple(self.searches.values())
        spent = tuple(
            Spent(name=cap, spent=amount.spent, cap=amount.cap) for cap, amount in now.budget.items()
        )
        tested = 0
        if searches and all(one.ended for one in searches):
            tested = min(self._planned, self._answered - self._searched)
        share, left = self._remaining(spent, searches, tested)
        if tested or (searches and all(one.ended for one in searches)):
            # What is left of a budget says nothing about the final test; its rows do.
            left = (self._planned - tested) / rate if rate > 0 and self._planned > tested else None
        return Snapshot(
            seconds=self.seconds,
            rate=rate,
            left=left,
            share=share,
            calls=done,
            retries=sum(one.retries for one in used),
            failed=sum(one.failed for one in used),
            searches=searches,
            tested=self._tested,
            targets=self._targets,
            spending=spent,
            waits=tuple(_waits(now)),
            last_retries=tuple(_last_retries(now)),
            test_rows=tested,
            test_planned=self._planned,
        )

    def _remaining(
        self, spent: tuple[Spent, ...], searches: tuple[SearchNow, ...], tested: int
    ) -> tuple[float | None, float | None]:
        """Share done and seconds left, by the work planned or the cap that is reached first."""
        shares: list[float] = []
        lefts: list[float] = []
        for one in spent:
            rate = self.rate(f"spent {one.name}", one.spent)
            if not one.cap:
                continue
            shares.append(one.spent / one.cap)
            if one.name == "minutes":
                lefts.append((one.cap - one.spent) * 60)
            elif rate > 0:
                lefts.append((one.cap - one.spent) / rate)
        total, done = self._work(searches), self._done(searches) + tested
        rate = self.rate("work", done)
        if total:
            shares.append(done / total)
            if rate > 0:
                lefts.append((total - done) / rate)
        return min(1.0, max(shares)) if shares else None, max(0.0, min(lefts)) if lefts else None

    def _work(self, searches: tuple[SearchNow, ...]) -> int:
        """Calls that searches may make and rows of the final test; 0 while they are not known."""
        if not any(one.stage == "target" for one in searches):
            return 0
        if any(one.allotted is None for one in searches):
            return 0
        return sum(one.allotted or 0 for one in searches) + self._planned

    def _done(self, searches: tuple[SearchNow, ...]) -> int:
        """The part of the searches' calls that is made; rows count as soon as they are answered."""
        made = sum((one.allotted or 0) if one.ended else one.spent for one in searches)
        if all(one.ended for one in searches):
            return made
        return max(made, min(self._answered, sum(one.allotted or 0 for one in searches)))

    def _ended(self, search: _Search, prompts: tuple[Prompt, ...]) -> None:
        search.ended = True
        if prompts:
            search.leader = prompts[0].id
            search.texts.setdefault(prompts[0].id, prompts[0].text)

    def _search(self, scope: str) -> _Search:
        """The search of this name; an observer that fell behind may have missed its start."""
        return self._searches.setdefault(scope, _Search(None, scope))


def _waits(now: SpendingNow) -> Iterator[str]:
    """The models that get no answers at the moment: because calls fail, or because the endpoint asked to."""
    for name, model in now.models.items():
        if model.in_batches:
            yield f"{name}: {plural(model.in_batches, 'call')} wait for a batch"
        if model.retrying is not None:
            since = format_seconds(model.retrying.seconds)
            yield f"{name}: no answer for {since}, retrying: {model.retrying.reason}"
        elif model.limits.paused_for >= 1:
            yield f"{name}: the endpoint asked to wait; {format_seconds(model.limits.paused_for)} to go"


def _last_retries(now: SpendingNow) -> Iterator[str]:
    """The latest reason for a retry of each model that is not waiting for one."""
    for name, model in now.models.items():
        if model.retrying is None and model.last_retry is not None and model.used.retries:
            yield f"{name}: {plural(model.used.retries, 'retry', 'retries')}, the last: {model.last_retry}"


def search_name(started: SearchStarted) -> str:
    """A search as people know it: `source`, or the tasks and models of a target search."""
    if started.stage == "source":
        return "source"
    return f"{', '.join(started.tasks)} · {', '.join(started.models)}"
