"""What the panel and the log line say, from events and a snapshot."""

from rich.console import Console

from transfer_prompting.cli.progress import ROWS, Progress
from transfer_prompting.runtime.evaluation.scorecard import Scorecard
from transfer_prompting.runtime.llm.budget.budget import Remaining
from transfer_prompting.runtime.llm.budget.usage import Used
from transfer_prompting.runtime.llm.limits.limiter import LimitsNow
from transfer_prompting.runtime.llm.stack import ModelNow, SpendingNow
from transfer_prompting.runtime.messages import (
    Cost,
    PromptScored,
    SearchEnded,
    CandidatesProposed,
    SearchStarted,
    StepEnded,
    TargetTested,
)
from transfer_prompting.runtime.prompt import Prompt

ASK, SAY = Prompt(text="Ask."), Prompt(text="Say.")


def limits(**changes: float | None) -> LimitsNow:
    quiet: dict[str, float | None] = {
        "in_flight": 3,
        "waiting": 5,
        "window": 8,
        "requests_per_minute": None,
        "tokens_per_minute": None,
        "paused_for": 0.0,
        "rejections": 0,
        "episodes": 0,
    }
    return LimitsNow(**{**quiet, **changes})  # pyright: ignore[reportArgumentType]


class Moment:
    """A clock and what is spent, set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.models = {"small": ModelNow(Used(), limits())}
        self.budget = {
            "calls": Remaining(spent=0, cap=20_000, left=20_000),
            "tokens": Remaining(spent=0, cap=None, left=None),
            "usd": Remaining(spent=1.2, cap=5.0, left=3.8),
            "minutes": Remaining(spent=1, cap=None, left=None),
        }
        self.progress = Progress(self.now, clock=lambda: self.seconds)

    def now(self) -> SpendingNow:
        return SpendingNow(self.models, self.budget)  # pyright: ignore[reportArgumentType]

    def panel(self) -> str:
        console = Console(width=150, no_color=True)
        with console.capture() as shown:
            console.print(self.progress.panel())
        return shown.get()


def started(scope: str = "source", steps: int = 4) -> SearchStarted:
    return SearchStarted("source" if scope == "source" else "target", scope, ("reviews",), ("small",), steps)


def scored(step: int, split: str = "train", scope: str = "source") -> PromptScored:
    return PromptScored(scope, step, split, ASK, 0.5, {})  # pyright: ignore[reportArgumentType]


def test_nothing_is_asked_of_a_team_before_its_first_event():
    def now() -> SpendingNow:
        raise AssertionError("the team is not there yet")

    progress = Progress(now)
    assert progress.line() == "starting"
    assert progress.panel()


def test_a_search_tells_its_step_its_scored_candidates_and_the_best_so_far():
    moment = Moment()
    note = moment.progress.note
    note(started())
    note(scored(0))
    assert "first prompts: 1 scored" in moment.panel()
    note(StepEnded("source", 1, ASK.id, 0.625, Cost(calls=9, tokens=90, usd=0.0)))
    note(CandidatesProposed("source", 2, (ASK, SAY), {}))
    note(scored(2))
    shown = moment.panel()
    assert "step 2 of 4: 1 of 2 scored" in shown
    assert "best so far 0.625" in shown
    note(scored(2, "validation"))
    assert "validation: 1 scored" in moment.panel()
    note(SearchEnded("source", "source", (ASK,), "all steps taken"))
    assert "done" in moment.panel()
    assert "tested" not in moment.panel()


def test_a_search_whose_beginning_was_missed_is_shown_all_the_same():
    moment = Moment()
    moment.progress.note(scored(2, scope="target tickets small"))
    moment.progress.note(CandidatesProposed("target tickets small", 3, (ASK,), {}))
    assert "target tickets small" in moment.panel()


def test_the_test_is_shown_once_every_target_search_is_done():
    moment = Moment()
    moment.progress.note(started("target tickets small"))
    moment.progress.note(SearchEnded("target", "target tickets small", (ASK,), ""))
    assert "0 tested" in moment.panel()
    moment.progress.note(
        TargetTested("tickets", "small", "best", ASK, Scorecard(n=40, failed=0, accuracy=1.0))
    )
    assert "1 tested" in moment.panel()
    assert moment.progress.line().startswith("test; ")


def test_a_rate_is_of_the_seconds_just_past():
    moment = Moment()
    moment.progress.note(started())
    rates: list[bool] = []
    for second in range(31):
        moment.seconds = float(second)
        moment.models = {"small": ModelNow(Used(calls=min(second, 20) * 10), limits())}
        rates.append(" 10.0 " in moment.panel())
    assert rates[1:21] == [True] * 20
    assert " 0.0 " in moment.panel()


def test_a_model_tells_its_window_its_line_and_the_limit_in_use():
    moment = Moment()
    moment.progress.note(started())
    assert "3 of 8" in moment.panel()
    full = limits(requests_per_minute=500.0, tokens_per_minute=2e6, paused_for=12.0, rejections=7)
    moment.models = {"small": ModelNow(Used(calls=1234), full)}
    shown = moment.panel()
    assert "paused for 12 s, 500 requests/min, 2,000,000 tokens/min, 7 refused" in shown
    assert "1,234" in shown


def test_the_budget_tells_what_is_spent_and_left_of_every_cap():
    moment = Moment()
    moment.progress.note(started())
    assert "0 of 20,000 calls, 20,000 left; 0 tokens; 1.20 of 5.00 USD, 3.80 left" in moment.panel()
    assert "1.20 of 5.00 USD, 3.80 left" in moment.progress.line()


def test_many_searches_are_cut_to_what_fits_those_going_on_first():
    moment = Moment()
    for number in range(ROWS + 4):
        moment.progress.note(started(f"target t{number:02} small"))
    moment.progress.note(SearchEnded("target", "target t00 small", (ASK,), ""))
    shown = moment.panel()
    assert "and 4 more" in shown
    assert "target t00 small" not in shown


def test_names_that_look_like_markup_are_shown_as_they_are():
    moment = Moment()
    moment.progress.note(started("target [red]t[/] small"))
    moment.models = {"[b]small": ModelNow(Used(), limits())}
    assert "target [red]t[/] small" in moment.panel()
    assert "[b]small" in moment.panel()
