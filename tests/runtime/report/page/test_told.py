"""Reading a run's events as plain data: what agents send is understood, what is new is passed over."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime import messages
from transfer_prompting.runtime.bus import Event
from transfer_prompting.runtime.evaluation.scorecard import Scorecard
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.report.page._story import Card, ProblemMet, Story, Told, read_history, told
from transfer_prompting.scenarios.errors import InputError

from support.runs import simulated

KINDS = get_args(Told)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_it_reads_is_one_that_agents_send_with_these_fields(kind: type[msgspec.Struct]):
    sent = getattr(messages, kind.__name__)
    assert issubclass(sent, Event)
    assert set(kind.__struct_fields__) <= set(sent.__struct_fields__)


def test_a_card_is_part_of_a_scorecard():
    assert set(Card.__struct_fields__) <= set(Scorecard.__struct_fields__)


def test_an_event_is_understood_whatever_else_it_holds():
    event = msgspec.to_builtins(messages.ProblemMet("run", "broken")) | {"further": [1, 2]}
    assert told(json.dumps(event).encode()) == ProblemMet("run", "broken")


def test_an_event_of_another_kind_is_passed_over():
    assert told(b'{"type": "NotesWritten", "text": "new in a later version"}') is None


async def test_the_history_of_a_run_tells_the_whole_story(tmp_path: Path):
    seen: list[Event] = []
    async with simulated(tmp_path) as (scenario, _, _), Team(scenario, out=tmp_path / "out") as team:
        team.bus.subscribe(Event, seen.append)
        results = await team.run()
    read, heard = Story(), Story()
    for at, event in read_history(tmp_path / "out" / "history.jsonl"):
        read.take(at, event)
    for event in seen:
        known = told(msgspec.json.encode(event))
        if known is not None:
            heard.take(NOW, known)
    assert read.status == heard.status == "complete"
    assert list(read.prompts) == list(heard.prompts)
    assert read.cells == heard.cells
    assert {scope: search.reason for scope, search in read.searches.items()} == {
        search.scope: search.reason for search in results.searches
    }
    assert heard.answered
    for scope in read.searches:
        assert read.searches[scope].scored == heard.searches[scope].scored
        steps = [step for number, step in read.searches[scope].steps.items() if number]
        assert all(step.cost is not None and step.cost.calls > 0 for step in steps)


def test_a_step_counts_what_it_asked_for_and_what_was_refused():
    story = Story()
    card = Scorecard(n=18, failed=2, objective=0.5)
    scores = {"tickets": {"small": card, "large": card}}
    for event in (
        messages.SearchStarted("source", "source", ("tickets",), ("small", "large"), 1),
        messages.CandidatesProposed("source", 1, (Prompt(text="Decide."),), {"too long": 2, "seen before": 1}),
        messages.PromptScored("source", 1, "train", Prompt(text="Decide."), 0.5, scores),
        messages.PromptScored("source", 1, "validation", Prompt(text="Decide."), 0.4, scores),
    ):
        known = told(msgspec.json.encode(event))
        assert known is not None
        story.take(NOW, known)
    step = story.searches["source"].steps[1]
    assert (step.candidates, step.refused, step.answers) == (1, 3, 40)


def test_a_history_that_a_kill_cut_short_is_read_to_its_last_whole_line(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    line = '{"seq":1,"at":"2026-01-01T00:00:00Z","event":{"type":"RunEnded","status":"complete"}}\n'
    path.write_text(line + line[:40])
    assert len(list(read_history(path))) == 1


def test_a_broken_line_is_named(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    line = '{"seq":1,"at":"2026-01-01T00:00:00Z","event":{"type":"RunEnded","status":"complete"}}\n'
    path.write_text(f"{line}{line[:40]}\n{line}")
    with pytest.raises(InputError, match=r"history\.jsonl:2"):
        list(read_history(path))
