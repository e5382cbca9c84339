"""The panel and the log line, from events and a snapshot."""

from rich.console import Console

from transfer_prompting.cli.progress import ROWS, Progress
from transfer_prompting.runtime.evaluation.scorecard import Scorecard
from transfer_prompting.runtime.llm.budget.budget import Remaining
from transfer_prompting.runtime.llm.budget.usage import Used
from transfer_prompting.runtime.llm.limits.limiter import LimitsNow
from transfer_prompting.runtime.llm.stack import ModelNow, SpendingNow
from transfer_prompting.runtime.messages import (
    BatchAnswered,
    CandidatesProposed,
    Cost,
    PromptScored,
    RunStarted,
    SearchEnded,
    SearchStarted,
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
    """A clock and spending, set by hand."""

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

    def panel(self, width: int = 80) -> str:
        console = Console(width=width, no_color=True)
        with console.capture() as shown:
            console.print(self.progress.panel())
        return shown.get()


SMALL = "target tickets small"


def started(scope: str = "source", allotted: int | None = 400) -> SearchStarted:
    if scope == "source":
        return SearchStarted("source", scope, ("reviews",), ("small",), (8, 16, 32), allotted)
    return SearchStarted("target", scope, (scope.split()[1],), ("small",), (8, 16, 32), allotted)


def scored(rows: int = 8, scope: str = "source", calls: int = 8, objective: float = 0.5) -> PromptScored:
    return PromptScored(scope, 1, ASK, rows, objective, {}, ASK.id, calls)


def ended(scope: str = "source") -> SearchEnded:
    stage = "source" if scope == "source" else "target"
    return SearchEnded(stage, scope, (ASK,), "the calls allotted are used", Cost(calls=9, tokens=90, usd=0.0))


def test_nothing_is_asked_of_a_team_before_its_first_event():
    def now() -> SpendingNow:
        raise AssertionError("the team is not there yet")

    progress = Progress(now)
    assert progress.line().startswith("starting")
    assert progress.panel()


def test_the_wait_before_the_first_event_shows_how_long_it_has_been():
    moment = Moment()
    moment.seconds = 35.0
    assert "35 s" in moment.panel()


def test_a_search_shows_its_calls_its_candidates_and_the_best_so_far():
    moment = Moment()
    note = moment.progress.note
    note(started())
    assert "first prompts are being scored" in moment.panel()
    note(CandidatesProposed("source", 1, (ASK, SAY), {}))
    note(scored(8, calls=96, objective=0.625))
    shown = moment.panel()
    assert "1 scored" in shown
    assert "96 of 400 calls" in shown
    assert "best 0.625 (8 of 32 rows)" in shown
    note(scored(32, calls=200, objective=0.6))
    assert "best 0.600" in moment.panel()
    assert "of 32 rows" not in moment.panel()
    note(ended())
    assert "done" in moment.panel()
    assert "tested" not in moment.panel()


def test_a_search_whose_beginning_was_missed_is_shown_all_the_same():
    moment = Moment()
    moment.progress.note(scored(scope=SMALL))
    moment.progress.note(CandidatesProposed(SMALL, 3, (ASK,), {}))
    assert SMALL in moment.panel()


def test_the_test_is_shown_once_every_target_search_is_done():
    moment = Moment()
    moment.progress.note(started(SMALL))
    moment.progress.note(ended(SMALL))
    assert "0 tested" in moment.panel()
    moment.progress.note(
        TargetTested("tickets", "small", "best", ASK, Scorecard(n=40, failed=0, accuracy=1.0))
    )
    assert "1 tested" in moment.panel()
    assert moment.progress.line().startswith("final test: 1 tested; ")


def test_a_rate_is_of_the_seconds_just_past():
    moment = Moment()
    moment.progress.note(started())
    rates: list[bool] = []
    for second in range(61):
        moment.seconds = float(second)
        moment.models = {"small": ModelNow(Used(calls=min(second, 20) * 10), limits())}
        rates.append("10.0 calls/s" in moment.panel())
    assert rates[1:21] == [True] * 20
    assert "0.0 calls/s" in moment.panel()


def test_the_time_left_follows_from_the_rate_and_what_is_left_of_the_budget():
    moment = Moment()
    moment.progress.note(started())
    shown = moment.panel()
    for second in range(1, 11):
        moment.seconds = float(second)
        moment.budget["calls"] = Remaining(spent=100 * second, cap=20_000, left=20_000 - 100 * second)
        shown = moment.panel()
    assert "about 3:10 min left" in shown
    assert "about 3:10 min left" in moment.progress.line()


def test_without_a_budget_the_calls_allotted_tell_how_far_it_is():
    moment = Moment()
    moment.budget = {}
    moment.progress.note(started(SMALL, allotted=400))
    moment.progress.note(scored(scope=SMALL, calls=100))
    assert "25% done" in moment.panel()


def test_without_any_bound_there_is_no_time_left():
    moment = Moment()
    moment.budget = {}
    moment.progress.note(started(SMALL, allotted=None))
    moment.progress.note(scored(scope=SMALL, calls=100))
    assert "left" not in moment.panel()
    assert "100 calls" in moment.panel()


def test_a_model_shows_its_window_its_queue_its_retries_and_the_limit_in_use():
    moment = Moment()
    moment.progress.note(started())
    assert "3 of 8" in moment.panel()
    full = limits(requests_per_minute=500.0, tokens_per_minute=2e6, paused_for=12.0, rejections=7)
    moment.models = {"small": ModelNow(Used(calls=1234, retries=17), full)}
    shown = moment.panel()
    assert "paused for 12 s, 500 requests/min, 2,000,000 tokens/min, 7 refused" in shown
    assert "1,234" in shown
    assert "17" in shown


def test_the_budget_shows_what_is_spent_of_every_cap():
    moment = Moment()
    moment.progress.note(started())
    assert "0 of 20,000 calls; 0 tokens; $1.20 of $5.00" in moment.panel()
    assert "$1.20 of $5.00" in moment.progress.line()


def test_many_searches_are_cut_to_what_fits_those_going_on_first():
    moment = Moment()
    for number in range(ROWS + 4):
        moment.progress.note(started(f"target t{number:02} small"))
    moment.progress.note(ended("target t00 small"))
    shown = moment.panel()
    assert "and 4 more" in shown
    assert "t00 · small" not in shown


def test_the_panel_fits_80_columns():
    moment = Moment()
    moment.progress.note(started("target a-task-with-a-very-long-name small", allotted=123_456))
    moment.progress.note(scored(scope="target a-task-with-a-very-long-name small", calls=98_765))
    long = limits(in_flight=128, window=256, waiting=12_345)
    used = Used(calls=123_456, replayed=98_765, failed=1_234, retries=5_678)
    moment.models = {"a-model-with-a-very-long-name": ModelNow(used, long)}
    lines = moment.panel().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("123,456" in line and "12,345" in line for line in lines)


def test_names_that_look_like_markup_are_shown_as_they_are():
    moment = Moment()
    moment.progress.note(started("target [red]t[/] small"))
    moment.models = {"[b]small": ModelNow(Used(), limits())}
    assert "[red]t[/] · small" in moment.panel()
    assert "[b]small" in moment.panel()


def test_the_final_test_has_no_time_left_by_the_budget():
    moment = Moment()
    moment.progress.note(started(SMALL))
    moment.panel()
    moment.seconds = 10.0
    moment.budget["calls"] = Remaining(spent=100, cap=20_000, left=19_900)
    assert "left" in moment.panel()
    moment.progress.note(ended(SMALL))
    assert "left" not in moment.panel()


def test_the_final_test_shows_its_rows_and_the_time_they_take():
    moment = Moment()
    note = moment.progress.note
    note(RunStarted("simulated", 1, {"tickets": (20, 20, 90)}, ("small",)))
    note(started(SMALL))
    note(BatchAnswered("small", "tickets", 60, 0))
    note(ended(SMALL))
    shown = ""
    for second in range(4):
        moment.seconds = float(second)
        moment.models["small"] = ModelNow(Used(calls=60 + 10 * second), limits())
        shown = moment.panel()
        note(BatchAnswered("small", "tickets", 9, 1))
    assert "30 of 180 rows" in shown
    assert "about 15 s left" in shown


def test_the_share_done_and_the_time_left_include_the_final_test():
    moment = Moment()
    moment.budget = {}
    note = moment.progress.note
    note(RunStarted("simulated", 1, {"tickets": (20, 20, 50)}, ("small",)))
    note(started(SMALL, allotted=300))
    moment.seconds = 10.0
    note(scored(scope=SMALL, calls=100))
    moment.models["small"] = ModelNow(Used(calls=100), limits())
    shown = moment.panel()
    assert "25% done" in shown
    assert "about 30 s left" in shown


def test_rows_count_as_soon_as_they_are_answered_also_in_the_first_line():
    moment = Moment()
    moment.budget = {}
    note = moment.progress.note
    note(started(SMALL, allotted=300))
    moment.seconds = 30.0
    moment.models["small"] = ModelNow(Used(calls=30), limits())
    note(BatchAnswered("small", "tickets", 30, 0))
    line = moment.progress.line()
    assert "10% done; 1.0 calls/s; about 4:30 min left" in line


def test_the_last_reason_for_a_retry_stays_on_show():
    moment = Moment()
    moment.progress.note(started())
    moment.models = {"small": ModelNow(Used(retries=3), limits(), last_retry="429 slow down")}
    assert "small: 3 retries, the last: 429 slow down" in moment.panel()
    assert "small: 3 retries, the last: 429 slow down" in moment.progress.line()
