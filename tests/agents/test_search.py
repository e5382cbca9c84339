"""The search: races, notes, overlapping steps, early stops, and what is refused, in whole runs."""

import json
from collections import Counter
from pathlib import Path

import anyio
import pytest

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.bus import Event
from transfer_prompting.runtime.messages import (
    NotesTaken,
    ProblemMet,
    PromptScored,
    CandidatesProposed,
    SearchStarted,
)
from transfer_prompting.runtime.record.results import Results
from transfer_prompting.scenarios import Scenario, load

from support.chat_server import Body, Completion, Fault, Reply, chat_server
from support.runs import LABELS, SPLIT, helpful_world, scenario_data, simulated, write_scenario
from support.world import FORMAT_WORD, World

NO_NOTES = {"model": "writer", "candidates_per_step": 4, "notes": False}


async def watched(scenario: Scenario) -> tuple[Results, list[Event]]:
    seen: list[Event] = []
    with anyio.fail_after(60):
        async with Team(scenario) as team:
            team.bus.subscribe(Event, seen.append)
            results = await team.run()
    return results, seen


def scored(seen: list[Event], split: str = "train") -> list[PromptScored]:
    return [event for event in seen if isinstance(event, PromptScored) and event.split == split]


def answered(event: PromptScored) -> int:
    return sum(card.n + card.failed for models in event.scores.values() for card in models.values())


@pytest.mark.parametrize("method", ["halving", "paired", "both"])
async def test_a_race_stops_candidates_early_and_asks_no_row_twice(tmp_path: Path, method: str):
    rules = {"method": method, "block": 4}
    async with simulated(tmp_path, race=rules) as (scenario, _, server):
        results, seen = await watched(scenario)
    left = [event for event in scored(seen) if event.stopped]
    whole = {"source": 2 * SPLIT["train"], "target tickets small": SPLIT["train"]}
    assert left
    assert all(answered(event) < whole[event.scope] for event in left)
    assert all(answered(event) == whole[event.scope] for event in scored(seen) if not event.stopped)
    assert results.usage.replayed == 0
    asked = Counter(json.dumps(body["messages"]) for body in server.bodies if body["model"] == "small-1")
    assert max(asked.values()) == 1
    assert sum(search.stopped for search in results.searches) == len(left)


async def test_without_a_race_every_candidate_answers_every_row(tmp_path: Path):
    async with simulated(tmp_path, race={"method": "none"}) as (scenario, _, _):
        results, seen = await watched(scenario)
    assert {event.stopped for event in scored(seen)} == {False}
    assert sum(search.stopped for search in results.searches) == 0


async def test_a_race_takes_fewer_calls_and_still_finds_a_better_prompt(tmp_path: Path):
    calls: dict[str, int] = {}
    for method in ("none", "both"):
        async with simulated(tmp_path, race={"method": method, "block": 4}) as (scenario, _, server):
            results, _ = await watched(scenario)
            calls[method] = server.count
        assert results.targets[0].gain["objective"].difference > 0
    assert calls["both"] < 0.8 * calls["none"]


async def test_survivors_meet_on_the_whole_of_validation(tmp_path: Path):
    async with simulated(tmp_path) as (scenario, _, _):
        _, seen = await watched(scenario)
    finals = scored(seen, "validation")
    assert {answered(event) for event in finals if event.scope == "source"} == {2 * SPLIT["validation"]}
    assert {answered(event) for event in finals if event.scope != "source"} == {SPLIT["validation"]}


async def test_what_the_source_stage_noted_is_told_in_the_target_stage(tmp_path: Path):
    async with simulated(tmp_path) as (scenario, world, server):
        results, seen = await watched(scenario)
    notes = [event for event in seen if isinstance(event, NotesTaken)]
    source = [event for event in notes if event.scope == "source"]
    assert [event.step for event in source] == [1, 2, 3]
    (last,) = source[-1].notes
    written = [json.dumps(body) for body in server.bodies if body["model"] == world.writer]
    told = [text for text in written if last in text and "best instruction" in text]
    assert any("urgent" in text for text in told)
    assert {search.scope: bool(search.notes) for search in results.searches} == {
        "source": True,
        "target tickets small": True,
    }


async def test_notes_that_cannot_be_had_are_said_and_cost_nothing_else(tmp_path: Path):
    world = helpful_world()

    def behaviour(body: Body) -> Reply:
        return Fault(400, "no notes today") if "<notes>" in json.dumps(body) else world(body)

    async with chat_server(behaviour) as server:
        scenario = load(write_scenario(tmp_path, scenario_data(server.base_url)))
        results, seen = await watched(scenario)
    problems = [event.problem for event in seen if isinstance(event, ProblemMet)]
    assert results.status == "complete"
    assert results.targets[0].gain["objective"].difference > 0
    assert problems
    assert all("no notes after step" in problem for problem in problems)


async def test_overlapping_steps_are_written_while_the_last_ones_are_scored(tmp_path: Path):
    world = helpful_world()
    draws, written = 0, anyio.Event()

    async def behaviour(body: Body) -> Reply:
        nonlocal draws
        if body["model"] == world.writer:
            draws += 1
            if draws > 4:
                written.set()
        elif draws:
            await written.wait()  # step 1 is not answered before step 2 has been asked for
        return world(body)

    async with chat_server(behaviour) as server:
        reference = {**NO_NOTES, "overlap": True}
        scenario = load(write_scenario(tmp_path, scenario_data(server.base_url, reference=reference)))
        results, _ = await watched(scenario)
    assert results.status == "complete"


async def test_overlapping_steps_take_the_same_path_whatever_is_slow(tmp_path: Path):
    paths: list[list[tuple[str, str]]] = []
    for slow in ("writer-1", "small-1"):
        world = helpful_world()

        async def behaviour(body: Body, world: World = world, slow: str = slow) -> Reply:
            if body["model"] == slow:
                await anyio.sleep(0.005)
            return world(body)

        async with chat_server(behaviour) as server:
            reference = {"model": "writer", "candidates_per_step": 4, "overlap": True}
            scenario = load(write_scenario(tmp_path, scenario_data(server.base_url, reference=reference)))
            _, seen = await watched(scenario)
        kinds = (PromptScored, CandidatesProposed, NotesTaken)
        told = [event for event in seen if isinstance(event, kinds)]
        paths.append([(type(event).__name__, repr(_timeless(event))) for event in told])
    assert paths[0] == paths[1]


async def test_a_search_stops_when_its_target_is_reached_and_says_so(tmp_path: Path):
    stages = _stages(until=0.3)
    async with simulated(tmp_path, stages=stages) as (scenario, _, _):
        results, _ = await watched(scenario)
    assert all("reaches 0.3 after step 1" in search.reason for search in results.searches)


async def test_a_prompt_that_misses_a_bound_is_not_good_enough_to_stop(tmp_path: Path):
    formless = helpful_world(vocabulary=("stepwise", "carefully", "plainly"))
    scorer = {"require": {"ifr": 0.99}}
    async with simulated(tmp_path, formless, stages=_stages(until=0.3), scorer=scorer) as (scenario, _, _):
        results, _ = await watched(scenario)
    assert [search.reason for search in results.searches] == ["all steps taken"] * len(results.searches)


async def test_a_search_stops_when_nothing_gets_better_and_says_so(tmp_path: Path):
    barren = helpful_world(worth={}, vocabulary=tuple("abcdefgh"))
    stages = _stages(patience=2, steps=6)
    async with simulated(tmp_path, barren, stages=stages, race={"method": "none"}) as (scenario, _, _):
        results, _ = await watched(scenario)
    assert all("no progress in 2 steps, the last was step 2" in search.reason for search in results.searches)


async def test_a_candidate_that_quotes_held_out_rows_is_refused_and_counted(tmp_path: Path):
    rows = {
        task: [
            {"text": f"Long and quotable text of item {i} about things that matter [{label}]", "label": label}
            for i, label in enumerate(LABELS[task] * (sum(SPLIT.values()) // 2))
        ]
        for task in LABELS
    }
    quoted: list[str] = []

    def behaviour(body: Body) -> Reply:
        if body["model"] != "writer-1":
            return Completion("Answer: good\nConfidence: 50%")
        return f"<prompt>{quoted[0]}</prompt>"

    async with chat_server(behaviour) as server:
        path = write_scenario(tmp_path, scenario_data(server.base_url, reference=NO_NOTES))
        for task, content in rows.items():
            lines = "\n".join(json.dumps(row) for row in content)
            (tmp_path / f"{task}.jsonl").write_text(lines, encoding="utf-8")
        scenario = load(path)
        quoted.append(Team(scenario).prepared()["reviews"].splits.test[0].question)
        results, _ = await watched(scenario)
    source = next(search for search in results.searches if search.scope == "source")
    assert source.refused["quotes held-out rows"] >= 3
    assert source.visited == 1


async def test_the_front_holds_finalists_that_no_other_beats(tmp_path: Path):
    async with simulated(tmp_path) as (scenario, _, _):
        results, seen = await watched(scenario)
    finals = {event.prompt.id for event in scored(seen, "validation")}
    for search in results.searches:
        assert search.front
        assert {one.prompt.id for one in search.front} <= finals
        assert not [one for one in search.front for other in search.front if other.merits.beats(one.merits)]


async def test_the_matrix_tests_every_best_prompt_on_every_other_target(tmp_path: Path):
    stages = _stages()
    stages["target"] = {"tasks": ["tickets", "mails"], "steps": 1, "finalists": 2, "matrix": True}
    stages["source"] = {"tasks": ["reviews"], "steps": 2, "keep": 1, "seed_prompts": ["Decide."]}
    worth = {task: {"stepwise": 0.25} for task in ("tickets", "reviews")} | {"mails": {"calmly": 0.3}}
    world = helpful_world(worth={"small-1": worth}, vocabulary=("stepwise", "calmly", FORMAT_WORD))
    async with simulated(tmp_path, world, stages=stages) as (scenario, _, _):
        results, _ = await watched(scenario)
    best = {target.task: target.best.prompt.id for target in results.targets}
    own = {task: {best[task], _baseline(results, task)} for task in best}
    for task in best:
        others = {id for other, id in best.items() if other != task} - own[task]
        tested = {entry.prompt_id for entry in results.transfer if entry.task == task}
        assert others <= tested


async def test_the_source_stage_is_left_out_when_it_has_no_tasks(tmp_path: Path):
    stages = _stages()
    stages["source"] = {"tasks": [], "seed_prompts": ["Decide."]}
    async with simulated(tmp_path, stages=stages) as (scenario, _, _):
        results, seen = await watched(scenario)
    assert [event.stage for event in seen if isinstance(event, SearchStarted)] == ["target"]
    assert results.source_prompts == ()
    assert results.targets[0].gain["objective"].difference > 0


def _stages(**both: object) -> dict[str, object]:
    return {
        "source": {"tasks": ["reviews", "mails"], "steps": 3, "keep": 2, "seed_prompts": ["Decide."], **both},
        "target": {"tasks": ["tickets"], "steps": 2, "finalists": 2, **both},
    }


def _baseline(results: Results, task: str) -> str:
    return next(target.baseline.prompt.id for target in results.targets if target.task == task)


def _timeless(event: Event) -> object:
    """An event without how long its calls took."""
    if not isinstance(event, PromptScored):
        return event
    return event.scope, event.step, event.split, event.prompt, event.objective, event.stopped
