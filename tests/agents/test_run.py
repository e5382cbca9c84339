"""Whole runs: agents over the real bus and real HTTP, against a world whose prompt effects are known."""

import json
import re
import tempfile
from collections import Counter
from pathlib import Path

import anyio
import pytest

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.bus import EncodingBus, Event, InProcessBus
from transfer_prompting.runtime.errors import EndpointError
from transfer_prompting.runtime.llm.stack import SpendingNow
from transfer_prompting.runtime.messages import (
    PromptScored,
    RunEnded,
    RunStarted,
    SearchEnded,
    SearchStarted,
    TargetTested,
)
from transfer_prompting.runtime.record.results import Results, load_results
from transfer_prompting.scenarios import load

from support.replies import Fault
from support.runs import (
    EVALUATIONS,
    SPLIT,
    finished,
    helpful_world,
    lasting,
    scenario_data,
    simulated,
    write_scenario,
)
from support.world import World


@pytest.mark.parametrize("bus", [InProcessBus, EncodingBus])
async def test_the_search_finds_a_prompt_that_beats_the_original_on_test(
    tmp_path: Path, bus: type[InProcessBus]
):
    with anyio.fail_after(60):
        async with simulated(tmp_path) as (scenario, world, _), bus() as own, Team(scenario, bus=own) as team:
            results = await team.run()
    (target,) = results.targets
    assert results.status == "complete"
    assert target.baseline.prompt.text == "Decide."
    assert world.skill("small-1", "tickets", target.best.prompt.text) > world.base
    assert target.best.scorecard.objective is not None
    assert target.baseline.scorecard.objective is not None
    assert target.best.scorecard.objective > target.baseline.scorecard.objective
    assert target.gain["objective"].difference == pytest.approx(
        target.best.scorecard.objective - target.baseline.scorecard.objective
    )


async def test_stages_follow_one_another_and_the_test_comes_last(tmp_path: Path):
    seen: list[Event] = []
    async with simulated(tmp_path) as (scenario, _, _), Team(scenario) as team:
        team.bus.subscribe(Event, seen.append)
        await team.run()
    kinds = (RunStarted, SearchStarted, SearchEnded, TargetTested, RunEnded)
    order = [type(event).__name__ for event in seen if isinstance(event, kinds)]
    assert order == [
        "RunStarted",
        "SearchStarted",
        "SearchEnded",
        "SearchStarted",
        "SearchEnded",
        *["TargetTested"] * 3,
        "RunEnded",
    ]
    stages = [event.stage for event in seen if isinstance(event, SearchStarted)]
    assert stages == ["source", "target"]


async def test_test_rows_are_never_asked_before_everything_is_chosen(tmp_path: Path):
    asked_before: list[tuple[str, str, int]] = []
    async with simulated(tmp_path) as (scenario, world, _), Team(scenario) as team:
        held_out = {row.question for row in team.check()["tickets"].splits.test}

        def note(event: SearchEnded) -> None:
            if event.stage == "target":
                asked_before.extend(world.asked)

        team.bus.subscribe(SearchEnded, note)
        await team.run()
    assert asked_before
    early = {f"Item {number} of {task}" for _, task, number in asked_before}
    assert not [question for question in held_out if question.split(" [")[0] in early]


async def test_the_reference_llm_sees_train_rows_only(tmp_path: Path):
    async with simulated(tmp_path) as (scenario, world, server), Team(scenario) as team:
        tasks = team.check()
        await team.run()
    written = [json.dumps(body) for body in server.bodies if body["model"] == world.writer]
    assert written
    for task in tasks.values():
        for row in (*task.splits.validation, *task.splits.test):
            assert not [text for text in written if row.question in text]


async def test_no_row_is_asked_twice_of_a_prompt_in_one_search(tmp_path: Path):
    rows: dict[tuple[str, str], list[int]] = {}
    async with simulated(tmp_path) as (scenario, world, server), Team(scenario) as team:
        team.bus.subscribe(PromptScored, lambda e: rows.setdefault((e.scope, e.prompt.id), []).append(e.rows))
        results = await team.run()
    assert len(rows) > 10
    for answered in rows.values():
        assert answered == sorted(set(answered))
        assert answered[-1] <= SPLIT["train"] + SPLIT["validation"]
    assert results.usage.replayed == 0
    asked = Counter(json.dumps(body["messages"]) for body in server.bodies if body["model"] != world.writer)
    assert max(asked.values()) == 1


async def test_source_prompts_enter_the_target_stage_beside_the_original(tmp_path: Path):
    scored: list[str] = []
    async with simulated(tmp_path) as (scenario, _, _), Team(scenario) as team:

        def note(event: PromptScored) -> None:
            if event.scope.startswith("target"):
                scored.append(event.prompt.id)

        team.bus.subscribe(PromptScored, note)
        results = await team.run()
    sources = {prompt.id for prompt in results.source_prompts}
    assert len(sources) == 2
    assert sources | {results.targets[0].baseline.prompt.id} == set(scored[:3])
    offers = {offer.prompt_id: offer for offer in results.offers}
    assert offers.keys() == sources
    assert all(offer.sources == ("source",) and offer.rows > 0 for offer in offers.values())


async def test_the_source_stage_takes_no_more_than_its_share(tmp_path: Path):
    async with simulated(tmp_path) as (scenario, _, server):
        searched: dict[str, int] = {}
        async with Team(scenario) as team:

            def note(event: SearchEnded) -> None:
                answered = [body for body in server.bodies if body["model"] == "small-1"]
                searched[event.stage] = len(answered)

            team.bus.subscribe(SearchEnded, note)
            await team.run()
    share = scenario.stages.source.share * EVALUATIONS
    assert 0.9 * share <= searched["source"] <= share
    assert 0.97 * EVALUATIONS <= searched["target"] <= EVALUATIONS


async def test_a_failing_target_does_not_sink_the_rest(tmp_path: Path):
    async with simulated(tmp_path) as (healthy, _, server):
        data = scenario_data(server.base_url, targets=["small", "dead"])
        scenario = load(
            write_scenario(healthy.folder, data),
            [
                'endpoints.gone={base_url: "http://127.0.0.1:9/v1"}',
                "models.dead={endpoint: gone, model: dead-1}",
            ],
        )
        results = await finished(scenario)
    assert [target.model for target in results.targets] == ["small"]
    assert results.targets[0].gain["objective"].difference > 0
    assert results.status == "failed"
    assert "dead" in results.problems[0]
    assert "127.0.0.1:9" in results.problems[0]


async def test_a_target_of_which_too_many_calls_fail_is_said_and_the_run_has_failed(tmp_path: Path):
    """One in ten ticket rows is refused, under every prompt: more than may fail."""
    stages = {
        "source": {"tasks": ["reviews"], "seed_prompts": ["Decide."]},
        "target": {"tasks": ["mails", "tickets"]},
    }
    async with simulated(tmp_path, stages=stages) as (scenario, world, server):
        server.behaviour = lambda body: (
            Fault(400) if re.search(r"Item \d*3 of tickets", str(body)) else world(body)
        )
        results = await finished(scenario)
    assert results.status == "failed"
    said = " ".join(results.problems)
    assert re.search(r"target tickets small: \d+\.\d% of the calls failed", said)
    assert "more than scorer.max_failed (2.0%) allows" in said
    assert "The same command makes the failed calls again" in said
    assert "target mails" not in " ".join(results.problems)


async def test_a_target_of_which_every_call_fails_has_no_result_and_is_said(tmp_path: Path):
    stages = {"source": {"tasks": [], "seed_prompts": ["Decide."]}, "target": {"tasks": ["mails", "tickets"]}}
    async with simulated(tmp_path, stages=stages) as (scenario, world, server):
        server.behaviour = lambda body: Fault(400) if " of tickets" in str(body) else world(body)
        results = await finished(scenario)
    assert [target.task for target in results.targets] == ["mails"]
    assert results.status == "failed"
    assert "target tickets small: no prompt could be measured" in " ".join(results.problems)


@pytest.mark.parametrize("budget", [{"usd": 0.03}, {"tokens": 40_000}, {"minutes": 60}])
async def test_every_cap_leaves_room_for_both_stages_and_the_test(tmp_path: Path, budget: dict[str, float]):
    """A call takes some 50 tokens and as many millionths of a dollar; a whole run, a thousand calls."""
    async with simulated(tmp_path, budget=budget) as (_, _, server):
        data = scenario_data(server.base_url, budget=budget)
        dear = "models.small.price={input_per_million: 1, output_per_million: 1}"
        results = await finished(load(write_scenario(tmp_path, data), [dear]))
    candidates = {search.stage: search.candidates for search in results.searches}
    assert min(candidates.values()) > 2
    assert [target.best.scorecard.n for target in results.targets] == [SPLIT["test"]]


async def test_a_reference_llm_that_cannot_be_reached_is_said_at_once(tmp_path: Path):
    scenario = load(write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1")))
    with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9"):
        await finished(scenario)


async def test_a_run_writes_the_files_it_promises(tmp_path: Path):
    out = tmp_path / "out"
    async with simulated(tmp_path) as (scenario, _, _):
        results = await finished(scenario, out)
    assert load_results(out / "results.json") == results
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [line["seq"] for line in history] == list(range(1, len(history) + 1))
    assert history[0]["event"]["type"] == "RunStarted"
    assert history[-1]["event"] == {"type": "RunEnded", "status": "complete"}
    assert {"ledger.sqlite", "scenario.yaml", "log.jsonl"} <= {path.name for path in out.iterdir()}
    assert all(json.loads(line) for line in (out / "log.jsonl").read_text().splitlines())


async def test_running_again_replays_every_call_and_gives_equal_results(tmp_path: Path):
    out = tmp_path / "out"
    async with simulated(tmp_path) as (scenario, _, server):
        first = await finished(scenario, out)
        paid = server.count
        second = await finished(scenario, out)
        assert server.count == paid
    assert second.usage.calls == 0
    assert second.usage.replayed == first.usage.calls + first.usage.replayed
    assert lasting(second) == lasting(first)


async def test_equal_seeds_give_equal_results_where_a_run_is_deterministic(tmp_path: Path):
    async with simulated(tmp_path, deterministic=True) as (scenario, _, _):
        first = await finished(scenario)
        second = await finished(scenario)
    assert lasting(second) == lasting(first)


async def test_nothing_is_kept_without_an_output_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.chdir(tmp_path)
    async with simulated(tmp_path) as (scenario, _, _):
        before = _files(tmp_path)
        await finished(scenario)
    assert _files(tmp_path) == before


async def test_a_budget_is_never_passed_and_the_run_still_reports(tmp_path: Path):
    cap = 3 * SPLIT["test"] + 300
    async with simulated(tmp_path, budget={"calls": cap}) as (scenario, _, server):
        results = await finished(scenario)
    assert server.count <= cap
    assert results.status == "complete"
    assert {search.reason for search in results.searches} == {"the budget is spent"}
    assert [target.best.scorecard.n for target in results.targets] == [SPLIT["test"]]


async def test_a_run_whose_planned_steps_are_cut_short_says_so(tmp_path: Path):
    stages: dict[str, dict[str, object]] = {
        "source": {"tasks": [], "seed_prompts": ["Decide."]},
        "target": {"tasks": ["tickets"], "steps": 50},
    }
    statuses: dict[int, str] = {}
    for steps in (50, 1):
        stages["target"]["steps"] = steps
        async with simulated(tmp_path, stages=stages, budget={"calls": 400}) as (scenario, _, _):
            statuses[steps] = (await finished(scenario)).status
    assert statuses == {50: "budget", 1: "complete"}


async def test_a_source_stage_ends_with_its_share_whatever_its_steps(tmp_path: Path):
    stages: dict[str, object] = {
        "source": {"tasks": ["reviews"], "steps": 50, "seed_prompts": ["Decide."], "share": 0.2},
        "target": {"tasks": ["tickets"], "steps": 1},
    }
    async with simulated(tmp_path, stages=stages, budget={"calls": 400}) as (scenario, _, _):
        results = await finished(scenario)
    assert results.searches[0].reason == "the budget is spent"
    assert results.status == "complete"


async def test_a_spent_run_goes_on_when_the_budget_is_raised(tmp_path: Path):
    out = tmp_path / "out"
    async with simulated(tmp_path, budget={"calls": 600}, deterministic=True) as (spent, _, server):
        first = await finished(spent, out)
        paid = server.count
        data = scenario_data(server.base_url, budget={"calls": 1100}, deterministic=True)
        results = await finished(load(write_scenario(tmp_path, data)), out)
    assert first.status == results.status == "complete"
    assert results.usage.calls == server.count - paid > 300
    assert results.usage.replayed > 0.5 * paid
    assert server.count <= 1100


async def test_a_world_where_prompts_change_nothing_shows_no_gain(tmp_path: Path):
    barren = helpful_world(worth={}, vocabulary=("carefully", "stepwise", "twice", "plainly"))
    async with simulated(tmp_path, barren) as (scenario, _, _):
        results = await finished(scenario)
    gain = results.targets[0].gain["accuracy"]
    assert gain.difference == 0
    assert (gain.low, gain.high) == (0, 0)


async def test_a_stopped_run_finishes_what_is_in_flight_and_counts_every_call(tmp_path: Path):
    reached, go_on = anyio.Event(), anyio.Event()
    async with simulated(tmp_path) as (_, world, server):
        scenario = load(tmp_path / "scenario.yaml")

        async def behaviour(body: dict[str, object]) -> str:
            if server.count == 200:
                reached.set()
            if server.count >= 200:
                await go_on.wait()
            return world(body)

        server.behaviour = behaviour
        ended: list[Results] = []

        async def go(team: Team) -> None:
            ended.append(await team.run())

        with anyio.fail_after(30):
            async with Team(scenario, out=tmp_path / "out") as team, anyio.create_task_group() as tasks:
                tasks.start_soon(go, team)
                await reached.wait()
                tasks.start_soon(team.stop)
                await anyio.wait_all_tasks_blocked()
                assert not ended
                assert server.at_once > 1
                go_on.set()
        (results,) = ended
        assert results.status == "interrupted"
        assert results.usage.calls == server.count
        assert results.usage.failed == 0
        again = await finished(scenario, out=tmp_path / "out")
    assert again.status == "complete"
    assert again.usage.replayed == results.usage.calls + results.usage.replayed


async def test_stopping_a_team_that_runs_nothing_does_nothing(tmp_path: Path):
    async with simulated(tmp_path) as (scenario, _, _), Team(scenario) as team:
        with anyio.fail_after(5):
            await team.stop()
        with anyio.fail_after(60):
            assert (await team.run()).status == "complete"


async def test_a_display_sees_spending_and_limits_while_the_run_goes_on(tmp_path: Path):
    seen: list[SpendingNow] = []
    async with simulated(tmp_path, budget={"calls": 5000}) as (scenario, _, _), Team(scenario) as team:
        assert team.now().budget["calls"].left == 5000
        team.bus.subscribe(PromptScored, lambda _: seen.append(team.now()))
        with anyio.fail_after(60):
            results = await team.run()
    spent = [now.budget["calls"].spent for now in seen]
    assert spent == sorted(spent)
    assert 0 < spent[0] < results.usage.calls
    assert seen[-1].models["small"].used.calls > 0
    assert seen[-1].models["small"].limits.window == 16


async def test_a_cancelled_run_keeps_what_it_has(tmp_path: Path):
    out = tmp_path / "out"
    async with simulated(tmp_path) as (scenario, _, _):
        with anyio.CancelScope() as scope:
            async with Team(scenario, out=out) as team:
                team.bus.subscribe(SearchStarted, lambda e: scope.cancel() if e.stage == "target" else None)
                await team.run()
    results = load_results(out / "results.json")
    assert results.status == "interrupted"
    assert len(results.source_prompts) == 2
    assert results.targets == ()


async def test_each_target_model_gets_its_own_prompt(tmp_path: Path):
    labels = {task: {"stepwise": 0.4} for task in ("reviews", "mails", "tickets")}
    other = {task: {"calmly": 0.4} for task in ("reviews", "mails", "tickets")}
    world = helpful_world(worth={"small-1": labels, "large-1": other}, vocabulary=("stepwise", "calmly"))
    async with simulated(tmp_path, world) as (base, _, server):
        data = scenario_data(server.base_url, targets=["small", "large"])
        path = write_scenario(base.folder, data)
        results = await finished(load(path, ["models.large={endpoint: server, model: large-1}"]))
    texts = {target.model: target.best.prompt.text for target in results.targets}
    assert "stepwise" in texts["small"]
    assert "calmly" in texts["large"]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_the_world_itself_obeys_its_rule():
    world = World(labels={"t": ("a", "b")}, worth={"m": {"t": {"twice": 0.3}}})
    assert world.skill("m", "t", "Look twice.") == pytest.approx(0.7)
    assert world.skill("m", "t", "Look.") == pytest.approx(0.4)


async def test_the_saved_scenario_runs_from_any_folder_and_replays(tmp_path: Path):
    out = tmp_path / "elsewhere" / "out"
    async with simulated(tmp_path) as (scenario, _, server):
        first = await finished(scenario, out)
        paid = server.count
        again = await finished(load(out / "scenario.yaml"), out)
        assert server.count == paid
    assert lasting(again) == lasting(first)


async def test_a_tasks_own_prompt_is_the_baseline_and_takes_part_in_the_search(tmp_path: Path):
    scored: set[str] = set()
    async with simulated(tmp_path) as (base, _, _):
        scenario = load(base.folder / "scenario.yaml", ["tasks.tickets.prompt=Sort the mail."])
        async with Team(scenario) as team:

            def note(event: PromptScored) -> None:
                if event.scope.startswith("target"):
                    scored.add(event.prompt.text)

            team.bus.subscribe(PromptScored, note)
            results = await team.run()
    assert results.targets[0].baseline.prompt.text == "Sort the mail."
    assert "Sort the mail." in scored
