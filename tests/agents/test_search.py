"""The search: races, notes, early stops, and what is refused, in whole runs."""

import json
import re
from collections import Counter
from pathlib import Path

import anyio

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.bus import Event
from transfer_prompting.runtime.messages import (
    NotesTaken,
    ProblemMet,
    PromptScored,
    SearchStarted,
)
from transfer_prompting.runtime.record.results import Results
from transfer_prompting.scenarios import Scenario, load

from support.chat_server import Body, Completion, Fault, Reply, chat_server
from support.runs import LABELS, SPLIT, helpful_world, scenario_data, simulated, write_scenario
from support.world import FORMAT_WORD

NO_NOTES = {"model": "writer", "notes": False, "operators": ["improve"]}
ROWS = SPLIT["train"] + SPLIT["validation"]


async def watched(scenario: Scenario) -> tuple[Results, list[Event]]:
    seen: list[Event] = []
    with anyio.fail_after(60):
        async with Team(scenario) as team:
            team.bus.subscribe(Event, seen.append)
            results = await team.run()
    return results, seen


def scored(seen: list[Event]) -> list[PromptScored]:
    return [event for event in seen if isinstance(event, PromptScored)]


def rows_of(seen: list[Event]) -> Counter[tuple[str, str]]:
    """The search rows of each task that every prompt of every search has answered in the end."""
    return Counter({(event.scope, event.prompt.id): event.rows for event in scored(seen)})


async def test_a_race_leaves_most_candidates_early(tmp_path: Path):
    async with simulated(tmp_path) as (scenario, _, _):
        results, seen = await watched(scenario)
    rows = rows_of(seen)
    assert sum(count < ROWS / 2 for count in rows.values()) > len(rows) / 2
    assert max(rows.values()) == ROWS
    for search in results.searches:
        tried = [count for (scope, _), count in rows.items() if scope == search.scope]
        assert (search.candidates, search.finished) == (len(tried), tried.count(search.rows))


async def test_in_a_full_race_every_candidate_answers_every_row(tmp_path: Path):
    async with simulated(tmp_path, race={"method": "full"}) as (scenario, _, _):
        results, seen = await watched(scenario)
    rows = rows_of(seen)
    # The one at which the budget ended may be short of some.
    assert sum(count < ROWS for count in rows.values()) <= len(results.searches)
    assert results.targets[0].gain["objective"].difference > 0


async def test_a_race_tries_more_candidates_for_the_same_budget(tmp_path: Path):
    tried: dict[str, int] = {}
    for method in ("full", "adaptive"):
        async with simulated(tmp_path, race={"method": method}) as (scenario, _, _):
            results, _ = await watched(scenario)
        tried[method] = sum(search.candidates for search in results.searches)
    assert tried["adaptive"] > 2 * tried["full"]


async def test_the_scorecards_of_a_prompt_come_at_rungs_of_doubling_rows(tmp_path: Path):
    async with simulated(tmp_path) as (scenario, _, _):
        _, seen = await watched(scenario)
    rungs = {event.scope: event.rungs for event in seen if isinstance(event, SearchStarted)}
    assert set(rungs.values()) == {(4, 8, 16, 32, ROWS)}
    shown = [event for event in scored(seen) if event.scores]
    assert {event.rows for event in shown} <= {4, 8, 16, 32, ROWS}
    for event in shown:
        cards = [card for models in event.scores.values() for card in models.values()]
        assert all(card.n + card.failed == event.rows for card in cards)
    assert all(event.leader for event in scored(seen))


async def test_what_the_source_stage_noted_is_told_in_the_target_stage(tmp_path: Path):
    async with simulated(tmp_path) as (scenario, world, server):
        results, seen = await watched(scenario)
    notes = [event for event in seen if isinstance(event, NotesTaken)]
    source = [event for event in notes if event.scope == "source"]
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
    assert all("no notes: " in problem for problem in problems)


async def test_a_search_stops_when_its_target_is_reached_and_says_so(tmp_path: Path):
    stages, budget = _stages(until=0.3), {"evaluations": 3000}
    async with simulated(tmp_path, stages=stages, budget=budget) as (scenario, _, _):
        results, _ = await watched(scenario)
    assert all(search.reason.endswith("reaches 0.3") for search in results.searches)


async def test_a_prompt_that_misses_a_bound_is_not_good_enough_to_stop(tmp_path: Path):
    formless = helpful_world(vocabulary=("stepwise", "carefully", "plainly"))
    scorer = {"require": {"ifr": 0.99}}
    async with simulated(tmp_path, formless, stages=_stages(until=0.3), scorer=scorer) as (scenario, _, _):
        results, _ = await watched(scenario)
    assert not [search.reason for search in results.searches if "reaches" in search.reason]


async def test_a_search_stops_when_nothing_gets_better_and_says_so(tmp_path: Path):
    barren = helpful_world(worth={}, vocabulary=tuple("abcdefgh"))
    stages = _stages(patience=2)
    reference = {**NO_NOTES, "candidates_per_step": 4}
    budget = {"evaluations": 5000}
    async with simulated(tmp_path, barren, stages=stages, reference=reference, budget=budget) as run:
        results, seen = await watched(run[0])
    patience = 2 * 4
    for search in results.searches:
        assert re.fullmatch(r"no better prompt in \d+ candidates", search.reason)
        leaders = [event.leader for event in scored(seen) if event.scope == search.scope]
        assert search.candidates > patience
        assert len(leaders) > patience
    assert sum(search.calls for search in results.searches) < 5000


async def test_steps_cap_the_candidates(tmp_path: Path):
    stages = _stages(steps=1)
    reference = {**NO_NOTES, "candidates_per_step": 3}
    budget = {"evaluations": 2000}
    async with simulated(tmp_path, stages=stages, reference=reference, budget=budget) as (scenario, _, _):
        results, _ = await watched(scenario)
    candidates = {search.scope: search.candidates for search in results.searches}
    assert candidates == {"source": 1 + 3, "target tickets small": 1 + 2 + 3}
    assert results.status == "complete"
    assert {search.reason for search in results.searches} == {"every candidate has answered every row"}


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
        quoted.append(Team(scenario).check()["reviews"].splits.test[0].question)
        results, _ = await watched(scenario)
    source = next(search for search in results.searches if search.scope == "source")
    assert source.refused["quotes held-out rows"] >= 3
    assert source.candidates == 1


async def test_the_front_holds_finished_prompts_that_no_other_beats(tmp_path: Path):
    async with simulated(tmp_path) as (scenario, _, _):
        results, seen = await watched(scenario)
    rows = rows_of(seen)
    assert any(search.front for search in results.searches)
    for search in results.searches:
        assert {rows[search.scope, one.prompt.id] for one in search.front} <= {search.rows}
        assert bool(search.front) == bool(search.finished)
        assert not [one for one in search.front for other in search.front if other.merits.beats(one.merits)]


async def test_the_matrix_tests_every_best_prompt_on_every_other_target(tmp_path: Path):
    stages = _stages()
    stages["target"] = {"tasks": ["tickets", "mails"], "matrix": True}
    stages["source"] = {"tasks": ["reviews"], "keep": 1, "seed_prompts": ["Decide."]}
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
        "source": {
            "tasks": ["reviews", "mails"],
            "keep": 2,
            "share": 0.3,
            "seed_prompts": ["Decide."],
            **both,
        },
        "target": {"tasks": ["tickets"], **both},
    }


def _baseline(results: Results, task: str) -> str:
    return next(target.baseline.prompt.id for target in results.targets if target.task == task)


async def test_a_search_that_may_make_too_few_calls_to_begin_ends_at_its_budget(tmp_path: Path):
    stages = _stages()
    stages["source"] = {"tasks": ["reviews"], "seed_prompts": ["Decide."], "share": 0.065}
    reference = {"model": "writer", "notes": False}
    async with simulated(tmp_path, stages=stages, reference=reference, budget={"calls": 200}) as run:
        results, seen = await watched(run[0])
    source = results.searches[0]
    assert source.allotted == 5  # a block of rows for the original, and none for a candidate
    assert (source.scope, source.calls, source.reason) == ("source", 0, "the budget is spent")
    assert results.status == "budget"
    assert not [event for event in seen if isinstance(event, ProblemMet)]
    assert results.targets
