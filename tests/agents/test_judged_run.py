"""Whole runs that are judged, bounded, or measured by functions of one's own."""

import re
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from transfer_prompting.agents.team import Team
from transfer_prompting.cli.summary import summary
from transfer_prompting.runtime.errors import EndpointError
from transfer_prompting.runtime.evaluation._resampling import holm
from transfer_prompting.runtime.record.results import Results, TargetResult
from transfer_prompting.scenarios import load
from transfer_prompting.scenarios.errors import InputError

from support.chat_server import Behaviour, ChatServer, Fault, Reply
from support.judges import rating, shown
from support.runs import SPLIT, finished, helpful_world, lasting, scenario_data, simulated, write_scenario
from support.world import World

FAIR = rating(lambda name, seen: 3)
JUDGE = "models.judge={endpoint: server, model: judge-1}"


def judged_by(judge: Callable[[Mapping[str, Any]], Reply], world: World) -> Behaviour:
    """A server where `judge-1` judges and the other models live in the world."""
    return lambda body: judge(body) if body["model"] == "judge-1" else world(body)


async def run(
    folder: Path,
    *overrides: str,
    judge: Callable[[Mapping[str, Any]], Reply] = FAIR,
    world: World | None = None,
) -> tuple[Results, ChatServer]:
    async with simulated(folder, world) as (_, lived, server):
        server.behaviour = judged_by(judge, lived)
        return await finished(load(folder / "scenario.yaml", [JUDGE, *overrides], allow_code=True)), server


def asked_of(server: ChatServer, model: str = "judge-1") -> list[dict[str, Any]]:
    return [body for body in server.bodies if body["model"] == model]


def only(results: Results) -> TargetResult:
    (target,) = results.targets
    return target


WORDS = ("stepwise", "calmly")


async def test_the_search_finds_what_the_judge_wants(tmp_path: Path):
    world = helpful_world(worth={}, vocabulary=WORDS)
    results, _ = await run(
        tmp_path,
        "scorer={model: judge, judge: [relevance], judge_sample: 4, objective: {judged.relevance: 1}}",
        judge=rating(lambda name, seen: 5 if "calmly" in seen.get("asked", "") else 2),
        world=world,
    )
    target = only(results)
    assert results.status == "complete"
    assert "calmly" in target.best.prompt.text
    assert target.best.scorecard.judged == {"relevance": 5.0}
    assert target.baseline.scorecard.judged == {"relevance": 2.0}
    assert target.best.scorecard.objective == 1.0
    reliability = target.best.scorecard.reliability
    assert reliability is not None
    assert (reliability.items, reliability.disagreement) == (4, {"relevance": 0.0})


async def test_the_same_rows_are_judged_for_every_prompt_and_only_in_the_test_where_nothing_weighs_it(
    tmp_path: Path,
):
    results, server = await run(tmp_path, "scorer={model: judge, judge: [relevance], judge_sample: 4}")
    judged = [shown(body) for body in asked_of(server) if "response_format" in body]
    items = {re.findall(r"Item (\d+) of (\w+)", seen["asked"])[0] for seen in judged if "asked" in seen}
    assert {task for _, task in items} == {"tickets"}
    assert len(items) == 4
    assert only(results).best.scorecard.judged == {"relevance": 3.0}
    assert all(
        card.judged == {}
        for one in results.source_prompts
        for models in one.scores.values()
        for card in models.values()
    )


async def test_the_best_meets_the_original_side_by_side(tmp_path: Path):
    results, _ = await run(
        tmp_path,
        "scorer={model: judge, judge: [relevance], judge_sample: 20}",
        judge=rating(lambda name, seen: 4 if seen.get(name, "").startswith("Answer:") else 2),
        world=helpful_world(vocabulary=("verbatim", "stepwise", "carefully")),
    )
    target = only(results)
    assert "verbatim" in target.best.prompt.text
    found = target.preference
    assert found is not None
    assert found.wins > 0
    assert (found.losses, found.swayed, found.unusable) == (0, 0, 0)
    assert found.wins + found.tied == 20


async def test_a_prompt_is_rated_once_whatever_it_is_scored_on(tmp_path: Path):
    results, server = await run(
        tmp_path,
        "scorer={model: judge, judge_prompt: true, objective: {accuracy: 1, judged.prompt_clarity: 1}}",
        judge=rating(lambda name, seen: 2 if "calmly" in seen["instruction"] else 4),
        world=helpful_world(worth={}, vocabulary=WORDS),
    )
    target = only(results)
    assert "calmly" not in target.best.prompt.text
    assert target.best.scorecard.judged == {"prompt_clarity": 4.0, "prompt_generality": 4.0}
    assert target.preference is None
    rated = [body["messages"][-1]["content"] for body in asked_of(server) if "<instruction>" in str(body)]
    assert len(rated) == len(set(rated))


async def test_an_endpoint_without_structured_output_is_found_out_once_and_judges_all_the_same(
    tmp_path: Path,
):
    def judge(body: Mapping[str, Any]) -> Reply:
        return Fault(400, "response_format is not supported") if "response_format" in body else plain(body)

    plain = rating(lambda name, seen: 4)
    results, server = await run(
        tmp_path, "scorer={model: judge, judge: [relevance], judge_sample: 3}", judge=judge
    )
    assert only(results).best.scorecard.judged == {"relevance": 4.0}
    assert sum("response_format" in body for body in asked_of(server)) == 1


async def test_where_the_scenario_says_so_structured_output_is_not_tried(tmp_path: Path):
    _, server = await run(
        tmp_path,
        "scorer={model: judge, judge: [relevance], judge_sample: 3}",
        "endpoints.server.json_object=false",
    )
    assert asked_of(server)
    assert not any("response_format" in body for body in asked_of(server))


async def test_a_judge_that_fails_chooses_nothing_and_the_run_says_so(tmp_path: Path):
    results, _ = await run(
        tmp_path,
        "scorer={model: judge, judge: [relevance], objective: {accuracy: 1, judged.relevance: 1}}",
        judge=lambda body: "I would rather not.",
    )
    assert results.status == "failed"
    assert results.source_prompts == ()
    assert "too few of the judge's ratings of relevance can be used" in results.problems[0]
    assert "no JSON object with ratings" in results.problems[0]


async def test_a_judge_that_only_looks_on_may_fail_without_harm(tmp_path: Path):
    results, _ = await run(
        tmp_path,
        "scorer={model: judge, judge: [relevance], judge_sample: 3}",
        judge=lambda body: "I would rather not.",
    )
    target = only(results)
    assert results.status == "complete"
    assert target.best.scorecard.judged == {"relevance": None}
    assert target.best.scorecard.objective is not None
    assert "relevance" in results.problems[0]
    reliability = target.best.scorecard.reliability
    assert reliability is not None
    assert reliability.unusable == {"no JSON object with ratings": 6}


async def test_a_judged_run_replays_every_call_and_gives_equal_results(tmp_path: Path):
    scorer = "{model: judge, judge: [relevance], judge_prompt: true, judge_sample: 5, objective: {OBJECTIVE}}"
    weights = "accuracy: 1, judged.relevance: 1"
    settings = [JUDGE, f"scorer={scorer.replace('OBJECTIVE', weights)}"]
    out = tmp_path / "out"
    async with simulated(tmp_path) as (_, world, server):
        server.behaviour = judged_by(rating(lambda name, seen: 1 + len(str(seen)) % 5), world)
        scenario = load(tmp_path / "scenario.yaml", settings)
        first, paid = await finished(scenario, out), server.count
        second = await finished(scenario, out)
        assert server.count == paid
    assert first.usage.by_role["scorer"].calls > 0
    assert lasting(second) == lasting(first)


async def test_a_prompt_that_misses_a_bound_is_not_chosen_while_another_meets_it(tmp_path: Path):
    labels = {"reviews": 0.5, "mails": 0.5, "tickets": 0.5}
    worth = {"small-1": {task: {"stepwise": gain, "verbatim": -0.1} for task, gain in labels.items()}}
    world = helpful_world(worth=worth, vocabulary=("stepwise", "verbatim"))
    best: dict[str, TargetResult] = {}
    for bound in ("{}", "{ifr: 0.95}"):
        results, _ = await run(
            tmp_path, f"scorer={{objective: {{accuracy: 1}}, require: {bound}}}", world=world
        )
        best[bound] = only(results)
    free, bounded = best.values()
    assert "verbatim" not in free.best.prompt.text
    assert "verbatim" in bounded.best.prompt.text
    assert "stepwise" in bounded.best.prompt.text
    assert free.best.scorecard.accuracy is not None
    assert bounded.best.scorecard.accuracy is not None
    assert free.best.scorecard.accuracy > bounded.best.scorecard.accuracy
    assert bounded.best.scorecard.unmet == {}
    assert bounded.baseline.scorecard.unmet.keys() == {"ifr"}


async def test_where_no_prompt_meets_the_bounds_the_best_is_chosen_and_says_what_it_misses(tmp_path: Path):
    world = helpful_world(vocabulary=("stepwise", "carefully"))
    results, _ = await run(tmp_path, "scorer={require: {ifr: 0.99, accuracy: 0.3}}", world=world)
    target = only(results)
    assert target.best.scorecard.unmet.keys() == {"ifr"}
    assert "is below 0.99" in target.best.scorecard.unmet["ifr"]
    assert target.search is not None
    assert target.search.unmet.keys() == {"ifr"}
    assert "stepwise" in target.best.prompt.text


async def test_metrics_of_ones_own_are_measured_on_every_split_and_may_be_the_objective(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "shop_metrics.py").write_text(
        "def right(rows):\n    return sum(row.correct for row in rows) / len(rows)\n"
        "def never(rows):\n    return None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    results, _ = await run(
        tmp_path, "scorer={objective: {'shop_metrics:right': 1}, metrics: ['shop_metrics:never']}"
    )
    target = only(results)
    card = target.best.scorecard
    assert card.judged == {"shop_metrics:never": None, "shop_metrics:right": card.accuracy}
    assert card.objective == pytest.approx(card.accuracy)
    assert target.search is not None
    assert target.search.judged["shop_metrics:right"] == target.search.accuracy
    assert target.gain["objective"].p is None


async def test_free_text_gets_its_credit_from_the_judge(tmp_path: Path):
    def right(name: str, seen: Mapping[str, Any]) -> int:
        (gold,) = re.findall(r"Item \d+ of \w+ \[(\w+)\]", seen["asked"])
        return 5 if gold in seen["response"] else 2

    results, server = await run(
        tmp_path,
        "tasks.tickets.kind=judged",
        "tasks.tickets.labels=null",
        "scorer={model: judge, judge: [quality], judge_sample: 3, objective: {accuracy: 1}}",
        judge=rating(right),
    )
    target = only(results)
    card = target.best.scorecard
    rated = card.judged["quality"]
    assert (card.n, card.failed) == (SPLIT["test"], 0)
    assert rated is not None
    assert card.accuracy == pytest.approx((rated - 1) / 4)
    assert card.reliability is not None
    assert card.reliability.items == SPLIT["test"]
    assert target.baseline.scorecard.accuracy is not None
    assert card.accuracy is not None
    assert card.accuracy > target.baseline.scorecard.accuracy
    assert len(asked_of(server)) > 2 * SPLIT["train"]


async def test_every_p_is_also_told_corrected_over_all_targets(tmp_path: Path):
    results, _ = await run(tmp_path, "stages.target.tasks=[tickets, mails]")
    gains = [target.gain["accuracy"] for target in results.targets]
    ps = [gain.p for gain in gains]
    assert len(ps) == 2
    assert [gain.p_adjusted for gain in gains] == holm([p for p in ps if p is not None])


async def test_scaled_ece_stands_beside_the_raw_one_for_original_and_best(tmp_path: Path):
    target = only((await run(tmp_path))[0])
    for part in (target.baseline, target.best):
        assert part.calibration is not None
        assert part.calibration.ece == pytest.approx(part.scorecard.ece)
        assert 4 <= part.calibration.fitted_on <= SPLIT["train"] + SPLIT["validation"]
        assert 0 <= part.calibration.scaled_ece <= 1


async def test_bins_of_equal_mass_are_used_wherever_ece_is(tmp_path: Path):
    width, mass = [
        only((await run(tmp_path, f"scorer.ece_binning={binning}"))[0]) for binning in ("width", "mass")
    ]
    assert "equal width" in width.best.scorecard.explained["ece"]
    assert "equal mass" in mass.best.scorecard.explained["ece"]
    assert mass.best.calibration is not None
    assert mass.best.calibration.ece == pytest.approx(mass.best.scorecard.ece)
    difference = mass.gain["ece"].difference
    assert mass.best.scorecard.ece is not None
    assert mass.baseline.scorecard.ece is not None
    assert difference == pytest.approx(mass.best.scorecard.ece - mass.baseline.scorecard.ece)


WRONG = [
    ("scorer.objective={judged.relevance: 1}", r"scorer\.objective: judged\.relevance is not rated; add"),
    ("scorer.require={judged.tone: 4}", r"scorer\.require: judged\.tone is not rated; add tone to scorer\.j"),
    ("scorer.objective={judged.prompt_clarity: 1}", r"set scorer\.judge_prompt: true"),
    ("scorer.judge=[relevance]", r"scorer\.model: needed to judge"),
    ("scorer.metrics=['no_such_module_here:f']", r"scorer\.metrics: metric no_such_module_here:f: module"),
    (
        "scorer.objective={'transfer_prompting:no_such': 1}",
        r"scorer\.objective: metric transfer_prompting:no_such: .* has no function",
    ),
    (
        "scorer.require={'transfer_prompting:no_such': 1}",
        r"scorer\.require: metric transfer_prompting:no_such",
    ),
    ("tasks.tickets={data: tickets.jsonl, kind: judged}", r"tasks\.tickets\.kind: judged answers get their"),
    ("scorer.judge=[beauty]", r"'beauty' is not one of relevance, coherence"),
]


@pytest.mark.parametrize(("override", "message"), WRONG)
async def test_settings_that_cannot_be_judged_or_measured_are_refused_by_key(
    tmp_path: Path, override: str, message: str
):
    write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1"))
    with pytest.raises(InputError, match=message):
        Team(load(tmp_path / "scenario.yaml", [override], allow_code=True)).check()


async def test_an_unreachable_judge_is_said_at_once(tmp_path: Path):
    gone = 'endpoints.gone={base_url: "http://127.0.0.1:9/v1"}'
    judge = "models.judge={endpoint: gone, model: judge-1}"
    async with simulated(tmp_path):
        scenario = load(
            tmp_path / "scenario.yaml", [gone, judge, "scorer={model: judge, judge: [relevance]}"]
        )
        with pytest.raises(EndpointError, match="scorer LLM: endpoint 'gone'"):
            await finished(scenario)


async def test_the_plan_counts_the_judge_calls_of_the_run(tmp_path: Path):
    settings = "scorer={model: judge, judge: [relevance], judge_prompt: true, judge_sample: 3}"
    weighed = "scorer.objective={accuracy: 1, judged.relevance: 1, judged.prompt_clarity: 1}"
    results, _ = await run(tmp_path, settings, weighed)
    planned = Team(load(tmp_path / "scenario.yaml", [JUDGE, settings, weighed])).estimate()
    judged = [part for part in planned.parts if part.role == "scorer"]
    used = results.usage.by_role["scorer"]
    made = used.calls + used.replayed - 1  # the probe for structured output is no rating
    assert {part.model for part in judged} == {"judge"}
    assert sum(part.calls for part in judged) / 4 < made <= sum(part.calls for part in judged)


def told(results: Results) -> str:
    console = Console(record=True, width=160, file=StringIO())
    console.print(summary(results))
    return console.export_text()


async def test_the_summary_shows_ratings_preference_bounds_and_corrected_p(tmp_path: Path):
    results, _ = await run(
        tmp_path,
        "scorer={model: judge, judge: [relevance], judge_sample: 3, require: {accuracy: 1}}",
        "stages.target.tasks=[tickets, mails]",
    )
    text = told(results)
    assert "relevance" in text
    assert "p (Holm)" in text
    assert "judge's preference for the best prompt: 0.50 (0 won, 0 lost, 3 tied, 0 undecided" in text
    assert "The best prompt misses what the scenario requires: accuracy" in text
    assert "ECE after temperature scaling on search rows: original" in text


async def test_the_summary_of_one_target_has_one_p_and_says_nothing_of_a_judge(tmp_path: Path):
    text = told((await run(tmp_path))[0])
    assert "Holm" not in text
    assert "judge" not in text
    assert "requires" not in text
