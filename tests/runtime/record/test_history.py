"""The history of a run: appended whole, read back in order, replaced only by one that came as far."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.bus import Event
from transfer_prompting.runtime.messages import (
    CandidatesProposed,
    NotesTaken,
    ProblemMet,
    PromptScored,
    RunEnded,
)
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.record.history import open_history


def scored(job: int) -> PromptScored:
    prompt = Prompt(text="Decide.")
    return PromptScored("target", job, prompt, 4, 0.5, {}, leader=prompt.id, calls=job)


def proposed(job: int) -> CandidatesProposed:
    return CandidatesProposed("target", job, (), {})


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def write(path: Path, *events: Event) -> tuple[int, ...]:
    """Append the events in one invocation; the order of jobs that it found."""
    with open_history(path) as history:
        for event in events:
            history.append(event)
        return tuple(recorded.job for recorded in history.order)


def test_the_order_of_jobs_is_read_back(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    events = [proposed(2), scored(1), ProblemMet("target", "x"), scored(4), NotesTaken("target", 3, ())]
    assert write(path, *events, RunEnded("complete")) == ()
    assert write(path) == (2, 1, 4, 3)


def test_replies_that_were_not_waited_for_are_read_back_as_such(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    write(path, scored(1), CandidatesProposed("target", 3, (), {}, dropped=True), proposed(2))
    with open_history(path) as history:
        assert [recorded.job for recorded in history.order if recorded.dropped] == [3]


@given(cut=st.integers(1, 400))
def test_a_torn_last_line_is_left_out(tmp_path_factory: pytest.TempPathFactory, cut: int):
    path = tmp_path_factory.mktemp("torn") / "history.jsonl"
    write(path, *map(scored, range(1, 6)))
    content = path.read_bytes()
    whole = content[:-cut].count(b"\n")
    path.write_bytes(content[:-cut])
    order = write(path)
    assert order[:whole] == (*range(1, whole + 1),)
    assert len(order) <= whole + 1  # a line may have lost its end of line alone


def test_a_first_history_stands_in_its_place_from_the_first_event(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    with open_history(path) as history:
        history.append(scored(1))
        assert [event["job"] for event in lines(path)] == [1]


def test_an_earlier_history_stays_until_the_new_one_has_come_as_far(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    write(path, scored(1), scored(2), scored(3))
    with open_history(path) as history:
        for job in (1, 2):
            history.append(scored(job))
            assert [event["job"] for event in lines(path)] == [1, 2, 3]
        history.append(scored(3))
        history.append(scored(4))
        assert [event["job"] for event in lines(path)] == [1, 2, 3, 4]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["history.jsonl"]


@pytest.mark.parametrize(
    ("status", "jobs"),
    [("interrupted", [1, 2, 3]), ("failed", [1, 2, 3]), ("complete", [1]), ("budget", [1])],
)
def test_a_shorter_run_takes_the_place_when_it_came_to_its_own_end(
    tmp_path: Path, status: str, jobs: list[int]
):
    path = tmp_path / "history.jsonl"
    write(path, scored(1), scored(2), scored(3))
    write(path, scored(1), RunEnded(status))  # pyright: ignore[reportArgumentType]
    assert [event["job"] for event in lines(path) if "job" in event] == jobs
    assert not path.with_name("history.jsonl.new").exists()


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with open_history(None) as history:
        history.append(scored(1))
        assert history.order == ()
    assert list(tmp_path.iterdir()) == []
