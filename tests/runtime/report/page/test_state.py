"""State of a run from its events: the messages themselves, read tolerantly from the history."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from transfer_prompting.runtime.bus import Event
from transfer_prompting.runtime.evaluation.scorecard import Scorecard
from transfer_prompting.runtime.messages import (
    BatchAnswered,
    CandidatesProposed,
    Cost,
    NotesTaken,
    PromptScored,
    RunEnded,
    RunStarted,
    SearchEnded,
    SearchStarted,
)
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.record.history import open_history
from transfer_prompting.runtime.report.page._state import Known, RunState, read_history
from transfer_prompting.scenarios.errors import InputError

from support.finished import write_run

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONE, OTHER = Prompt(text="Decide."), Prompt(text="Decide calmly.", origin="improve")
LINE = '{"seq":1,"at":"2026-01-01T00:00:00Z","event":{"type":"RunEnded","status":"complete"}}\n'


def scored(job: int, prompt: Prompt, rows: int, objective: float | None, leader: Prompt, calls: int) -> Event:
    cards = {"tickets": {"small": Scorecard(n=rows, objective=objective)}}
    return PromptScored("source", job, prompt, rows, objective, cards, leader.id, calls)


def state_of(*events: Event) -> RunState:
    state = RunState()
    start = SearchStarted("source", "source", ("tickets",), ("small",), (5, 10), 40)
    for event in (RunStarted("a run", 1, {"tickets": (5, 5, 9)}, ("small",)), start, *events):
        state.apply(NOW, event)
    return state


@pytest.mark.parametrize("kind", get_args(Known), ids=lambda kind: kind.__name__)
def test_every_kind_it_reads_is_an_event_of_the_agents(kind: type[Event]):
    assert issubclass(kind, Event)


def test_an_event_of_an_unknown_kind_is_skipped(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    later = json.dumps({"at": "2026-01-01T00:00:00Z", "event": {"type": "NotesWritten", "text": "new"}})
    path.write_text(f"{later}\n{LINE}")
    assert [event for _, event in read_history(path)] == [RunEnded("complete")]


def test_a_history_read_again_gives_the_same_state(tmp_path: Path):
    results = write_run(tmp_path / "out", page=False)
    state = RunState()
    for at, event in read_history(tmp_path / "out" / "history.jsonl"):
        state.apply(at, event)
    assert state.status == "complete"
    assert {scope: search.reason for scope, search in state.searches.items()} == {
        search.scope: search.reason for search in results.searches
    }
    for summary in results.searches:
        search = state.searches[summary.scope]
        assert (len(search.latest), search.finished) == (summary.candidates, summary.finished)
        assert (search.calls, search.rows) == (summary.calls, summary.rows)
    best = results.targets[0].best
    place = next(i for i, prompt in enumerate(state.prompts) if prompt.id == best.prompt.id)
    assert state.cells[place, "tickets", "small", "test"] == best.scorecard


def test_a_search_counts_its_candidates_what_was_refused_and_its_calls():
    search = state_of(
        CandidatesProposed("source", 1, (OTHER,), {"too long": 2}),
        CandidatesProposed("source", 2, (), {"too long": 1, "seen before": 1}),
        scored(3, ONE, 5, 0.5, ONE, 5),
        scored(4, OTHER, 5, 0.75, OTHER, 10),
        scored(5, OTHER, 10, 0.625, OTHER, 15),
    ).searches["source"]
    assert (search.proposals, len(search.latest), search.finished) == (2, 2, 1)
    assert search.refused == {"too long": 3, "seen before": 1}
    assert (search.calls, search.objective()) == (15, 0.625)


def test_leaders_are_listed_when_they_or_their_estimate_change():
    search = state_of(
        scored(1, ONE, 5, 0.5, ONE, 5),
        scored(2, OTHER, 5, 0.25, ONE, 10),
        scored(3, ONE, 10, 0.375, ONE, 15),
        scored(4, OTHER, 10, 0.625, OTHER, 20),
    ).searches["source"]
    assert [(one.prompt, one.objective, one.calls) for one in search.leaders()] == [
        (0, 0.5, 5),
        (0, 0.375, 15),
        (1, 0.625, 20),
    ]


def test_the_kept_prompt_leads_a_search_that_has_ended():
    cost = Cost(calls=10, tokens=100, usd=0.0)
    state = state_of(
        scored(1, ONE, 5, 0.5, ONE, 5),
        scored(2, OTHER, 10, 0.4, ONE, 10),
        NotesTaken("source", 3, ("Be calm.",)),
        SearchEnded("source", "source", (OTHER,), "the calls allotted are used", cost),
    )
    search = state.searches["source"]
    assert state.prompts[search.leader or 0] == OTHER
    assert (search.objective(), search.notes, search.cost) == (0.4, ("Be calm.",), cost)


def test_answers_are_added_up_by_model():
    state = state_of(BatchAnswered("small", "tickets", 8, 1), BatchAnswered("small", "tickets", 4, 0))
    assert state.answered == {"small": (12, 1)}


def test_a_history_that_a_kill_cut_short_is_read_to_its_last_whole_line(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    path.write_text(LINE + LINE[:40])
    assert len(list(read_history(path))) == 1


def test_a_broken_line_is_named(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    path.write_text(f"{LINE}{LINE[:40]}\n{LINE}")
    with pytest.raises(InputError, match=r"history\.jsonl:2"):
        list(read_history(path))


def test_a_history_of_an_earlier_version_says_so(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    event = {
        "type": "StageStarted",
        "stage": "source",
        "scope": "source",
        "tasks": [],
        "models": [],
        "steps": 3,
    }
    path.write_text(json.dumps({"at": "2026-01-01T00:00:00Z", "event": event}) + "\n")
    with pytest.raises(InputError, match="earlier version; run the scenario again"):
        list(read_history(path))


def test_what_was_written_is_what_is_read(tmp_path: Path):
    event = scored(1, ONE, 5, 0.5, ONE, 5)
    with open_history(tmp_path / "history.jsonl") as history:
        history.append(event)
    assert [read for _, read in read_history(tmp_path / "history.jsonl")] == [event]
