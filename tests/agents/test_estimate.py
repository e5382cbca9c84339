"""The estimate of `tprompt plan`, held against runs in a simulated world."""

from collections import Counter
from pathlib import Path

import pytest

from transfer_prompting.agents.coordinator.estimate import Estimate
from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.llm.probes import PROBE
from transfer_prompting.scenarios import load

from support.chat_server import Body
from support.judges import rating
from support.runs import SPLIT, finished, scenario_data, simulated, write_scenario

JUDGE = {
    "models": {
        "writer": {"endpoint": "server", "model": "writer-1"},
        "small": {"endpoint": "server", "model": "small-1"},
        "judge": {"endpoint": "server", "model": "judge-1"},
    },
    "scorer": {
        "model": "judge",
        "judge": ["relevance"],
        "judge_sample": 4,
        "judge_prompt": True,
        "objective": {"accuracy": 0.5, "judged.relevance": 0.5},
    },
}
TWO = {
    "models": {
        "writer": {"endpoint": "server", "model": "writer-1"},
        "small": {"endpoint": "server", "model": "small-1"},
        "large": {"endpoint": "server", "model": "large-1"},
    },
    "targets": ["small", "large"],
}


@pytest.mark.parametrize(
    "changes",
    [
        *({"strategy": name} for name in ("transfer", "opro", "evolution", "reflect", "ask", "original")),
        {"race": {"method": "full"}},
        {"race": {"block": 5}},
        {"budget": {"calls": 600}},
        TWO,
        JUDGE,
    ],
    ids=str,
)
async def test_no_run_makes_more_calls_to_targets_and_judge_than_were_estimated(
    tmp_path: Path, changes: dict[str, object]
):
    async with simulated(tmp_path, None, **changes) as (scenario, world, server):
        judge = rating(lambda name, seen: 3)

        def behaviour(body: Body) -> str:
            return judge(body) if body["model"] == "judge-1" else world(body)

        server.behaviour = behaviour
        estimated = Team(scenario).estimate()
        assert server.count == 0
        used = (await finished(scenario)).usage
    assert used.calls == server.count
    most = {"role": _calls(estimated, "role"), "model": _calls(estimated, "model")}
    made = {"role": used.by_role, "model": used.by_model}
    for kind, parts in made.items():
        writer = {"reference", "writer"}
        spare = 1.01 if kind == "role" else 1.1
        more = {name: part.calls for name, part in parts.items() if part.calls > spare * most[kind][name]}
        assert more.keys() <= writer
    # What a search leaves over goes to the next, so that one target may get more rows than another;
    # replies that hold nothing new are not foreseen.
    assert (
        used.by_role["reference"].calls <= 4 * most["role"]["reference"]
        if "reference" in used.by_role
        else True
    )


async def test_a_run_under_a_cap_on_calls_comes_to_what_was_estimated(tmp_path: Path):
    async with simulated(tmp_path, budget={"calls": 600}) as (scenario, _, server):
        estimated = Team(scenario).estimate()
        await finished(scenario)
    assert server.count <= 600
    assert estimated.calls == pytest.approx(server.count, rel=0.15)


def _calls(estimate: Estimate, of: str) -> Counter[str]:
    calls = Counter[str]()
    for part in estimate.parts:
        calls[getattr(part, of)] += part.calls
    return calls


async def test_that_an_endpoint_is_asked_what_it_can_do_is_estimated(tmp_path: Path):
    unsaid = ["strategy=evolution", "endpoints.server.logprobs=null", "tasks.tickets.confidence=auto"]
    async with simulated(tmp_path) as (_, world, server):
        server.behaviour = lambda body: "A" if PROBE in str(body) else world(body)
        scenario = load(tmp_path / "scenario.yaml", unsaid)
        parts = Team(scenario).estimate().parts
        await finished(scenario)
    assert [(part.stage, part.model, part.calls) for part in parts if part.stage == "start"] == [
        ("start", "small", 1)
    ]


def limited(**limits: int) -> dict[str, object]:
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "limits": limits, "logprobs": False}
    return {"endpoints": {"server": endpoint}}


def estimated(folder: Path, **changes: object) -> Estimate:
    return Team(load(write_scenario(folder, scenario_data("http://127.0.0.1:9/v1", **changes)))).estimate()


def test_time_is_what_the_narrowest_limit_lets_through(tmp_path: Path):
    (searched, tested) = (
        part
        for part in estimated(tmp_path, strategy="original").parts
        if part.role == "target" and part.calls
    )
    calls = searched.calls + tested.calls
    tokens = sum(part.prompt_tokens + part.completion_tokens for part in (searched, tested))
    for limits, seconds, by in (
        ({"concurrency": 8}, calls / 8, "the concurrency of small"),
        ({"concurrency": 8, "requests_per_minute": 60}, calls, "the requests/minute of small"),
        ({"concurrency": 8, "tokens_per_minute": 600}, tokens / 10, "the tokens/minute of small"),
    ):
        estimate = estimated(tmp_path, strategy="original", **limited(**limits))
        assert (estimate.seconds, estimate.slowest) == (pytest.approx(seconds), by)


def test_two_entries_of_one_model_share_its_limits_and_pay_their_own_prices(tmp_path: Path):
    one = {"endpoint": "server", "model": "small-1"}
    twins = {"small": {**one, "price": {"input_per_million": 1e6}}, "same": one}
    models = {"writer": {"endpoint": "server", "model": "writer-1"}}
    light = {"auto": "light"}
    alone = estimated(tmp_path, models={**models, "small": one}, targets=["small"], budget=light)
    both = estimated(tmp_path, models={**models, **twins}, targets=["small", "same"], budget=light)
    assert both.seconds > 1.9 * alone.seconds
    dear = sum(part.prompt_tokens for part in both.parts if part.model == "small")
    assert both.usd == pytest.approx(dear)


def test_it_says_what_it_rests_on(tmp_path: Path):
    rests = estimated(tmp_path).assumptions
    assert any("spends the budget" in each and "retried" in each for each in rests)
    assert any("characters a token" in each for each in rests)
    assert any("no prices given" in each for each in rests)


def test_models_without_a_price_are_named_where_dollars_are_capped(tmp_path: Path):
    priced = {"price": {"input_per_million": 0}}
    models = {
        "writer": {"endpoint": "server", "model": "writer-1"},
        "small": {"endpoint": "server", "model": "small-1", **priced},
        "unused": {"endpoint": "server", "model": "large-1"},
    }
    warning = "budget.usd excludes model 'writer': it has no price"
    told = estimated(tmp_path, models=models, budget={"usd": 1}).assumptions
    assert [each for each in told if "budget.usd excludes" in each] == [warning]
    assert not any("budget.usd excludes" in each for each in estimated(tmp_path, models=models).assumptions)


def test_a_cap_in_dollars_without_any_price_leaves_the_default_number_of_rows(tmp_path: Path):
    free, unpriced = estimated(tmp_path, budget={}), estimated(tmp_path, budget={"usd": 1})
    assert unpriced.searches == free.searches
    assert unpriced.calls == free.calls


def test_it_names_the_runs_of_a_comparison(tmp_path: Path):
    told = estimated(
        tmp_path, compare={"seeds": [1, 2], "variants": {"plain": {}, "opro": {"strategy": "opro"}}}
    ).assumptions
    assert any("compare takes 4 (2 variants, 2 seeds)" in each for each in told)


def test_a_larger_budget_buys_more_rows_and_candidates(tmp_path: Path):
    small, large = (estimated(tmp_path, budget={"evaluations": cap}).searches for cap in (300, 1000))
    for less, more in zip(small, large, strict=True):
        assert less.scope == more.scope
        assert less.rows < more.rows
        assert less.candidates < more.candidates


def test_without_candidates_the_original_is_measured_on_every_search_row(tmp_path: Path):
    (search,) = estimated(tmp_path, strategy="original").searches
    assert (search.rows, search.candidates) == (SPLIT["train"] + SPLIT["validation"], 1)
