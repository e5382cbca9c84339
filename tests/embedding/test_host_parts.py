"""Parts that a host hands over: its own targets, chat clients, agents, log."""

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog
from openai import AsyncOpenAI

import transfer_prompting as tp
from transfer_prompting.scenarios.errors import InputError

from support.brief import brief_clients, brief_scenario, brief_task
from support.chat_server import Fault, chat_server
from support.runs import helpful_world, lasting
from support.world import World

Answering = Callable[[tp.Prompt, tp.Question], Awaitable[str | tp.Response]]

ENDPOINTS = {
    "server": {"host": "world-1"},
    "app": {"host": "app-1", "limits": {"concurrency": 3}, "retry": {"attempts": 2}, "timeout": 5},
}
MODELS = {
    "writer": {"endpoint": "server", "model": "writer-1"},
    "app": {"endpoint": "app", "model": "app"},
}


def scenario(**changes: object) -> tp.Scenario:
    """The brief scenario, its target model answered for by the application."""
    return brief_scenario(**{"endpoints": ENDPOINTS, "models": MODELS, "targets": ["app"], **changes})


def application(world: World, *, sure: bool = False) -> Answering:
    """Answers rightly as often as the world says that the prompt's words make it."""

    async def answer(prompt: tp.Prompt, question: tp.Question) -> str | tp.Response:
        text = world({"model": "small-1", "messages": [{"content": f"{prompt.text} {question.question}"}]})
        label = next(label for labels in world.labels.values() for label in labels if label in text)
        return tp.Response(label, world.skill("small-1", "tickets", prompt.text)) if sure else label

    return answer


async def run(
    target: Answering, out: Path | None = None, world: World | None = None, **changes: object
) -> tp.Results:
    clients = brief_clients(world)
    with anyio.fail_after(60):
        async with tp.Team(scenario(**changes), clients=clients, targets={"app": target}, out=out) as team:
            return await team.run()


async def test_a_function_is_optimised_like_a_model():
    world = helpful_world(base=0.2, vocabulary=("stepwise", "carefully"))
    results = await run(application(world), world=world)
    (target,) = results.targets
    assert target.model == "app"
    assert world.skill("small-1", "tickets", target.best.prompt.text) > world.base
    assert target.best.scorecard.ifr == 1.0
    assert target.best.scorecard.ece is None  # it states no confidence
    assert results.best("tickets", "app").prompt.id == target.best.prompt.id


async def test_a_function_states_its_confidence_where_the_task_asks_for_it():
    tasks = {name: brief_task(name, confidence="verbalised") for name in ("reviews", "tickets")}
    results = await run(application(helpful_world(), sure=True), tasks=tasks)
    card = results.targets[0].best.scorecard
    assert card.ifr == 1.0
    assert card.ece is not None


async def test_finished_calls_of_a_function_are_replayed_until_its_name_changes(tmp_path: Path):
    asked: list[str] = []

    async def note(prompt: tp.Prompt, question: tp.Question) -> str:
        asked.append(question.id)
        return "urgent"

    first = await run(note, tmp_path)
    assert first.usage.by_model["app"].calls == len(asked) > 0
    paid = len(asked)
    again = await run(note, tmp_path)
    assert len(asked) == paid
    assert lasting(again) == lasting(first)
    await run(note, tmp_path, endpoints={**ENDPOINTS, "app": {"host": "app-2"}})
    assert len(asked) == 2 * paid


async def test_calls_of_a_function_keep_the_limits_and_the_budget_of_its_endpoint():
    at_once = most = asked = 0

    async def busy(prompt: tp.Prompt, question: tp.Question) -> str:
        nonlocal at_once, most, asked
        asked += 1
        at_once += 1
        most = max(most, at_once)
        await anyio.lowlevel.checkpoint()
        at_once -= 1
        return "urgent"

    cap = 60
    results = await run(busy, budget={"calls": cap})
    assert most == 3
    assert results.status == "complete"
    assert asked + results.usage.by_model["writer"].calls <= cap


async def test_a_call_that_the_world_fails_is_retried_and_then_left_out():
    tries: dict[str, int] = {}

    async def unsteady(prompt: tp.Prompt, question: tp.Question) -> str:
        tries[question.id] = tries.get(question.id, 0) + 1
        if question.id in {"1", "2"} and (question.id == "2" or tries[question.id] == 1):
            raise ConnectionResetError
        return "urgent"

    results = await run(
        unsteady,
        scorer={"max_failed": 0.5},
        endpoints={**ENDPOINTS, "app": {"host": "a", "retry": {"attempts": 2}}},
    )
    assert tries["1"] > 1
    assert results.usage.retries > 0
    assert results.usage.failed > 0
    assert results.status == "complete"


async def test_an_error_of_the_application_itself_ends_the_run_as_it_is():
    class BugError(Exception):
        pass

    bugs = [BugError("mine")]

    async def broken(prompt: tp.Prompt, question: tp.Question) -> str:
        if bugs:
            raise bugs.pop()
        return "good"

    with pytest.raises(BugError, match="mine"):
        await run(broken)


async def test_a_client_of_the_openai_sdk_is_asked_without_its_own_retries_and_left_open():
    world = helpful_world()
    fault = Fault(500)
    async with chat_server(world, script=[fault]) as server:
        sdk = AsyncOpenAI(base_url=server.base_url, api_key="sk-host", max_retries=5)
        with anyio.fail_after(60):
            async with tp.Team(brief_scenario(), clients={"server": sdk}) as team:
                results = await team.run()
        assert not sdk.is_closed()
        await sdk.close()
    assert results.status == "complete"
    assert results.usage.retries == 1
    assert server.count == results.usage.calls + 1


async def test_an_agent_of_the_host_serves_a_target_on_the_bus():
    batches: list[tp.Answer] = []

    async def answer(request: tp.Answer) -> tp.Answered:
        batches.append(request)
        return tp.Answered(
            tuple(tp.Reply(example=question.id, text="Answer: urgent") for question in request.questions)
        )

    tasks = {name: brief_task(name, confidence="none") for name in ("reviews", "tickets")}
    results: tp.Results | None = None
    with anyio.fail_after(60):
        async with tp.InProcessBus() as bus, anyio.create_task_group() as agents:
            await agents.start(partial(bus.serve, tp.Answer, answer, key="app", workers=2))
            async with tp.Team(
                scenario(tasks=tasks), clients=brief_clients(), bus=bus, served={"app"}
            ) as team:
                results = await team.run()
            agents.cancel_scope.cancel()
    assert results is not None
    assert results.status == "complete"
    assert {batch.task for batch in batches} == {"reviews", "tickets"}
    assert set(results.usage.by_model) == {"writer"}


async def test_the_host_serves_the_scorer_and_the_reference_itself():
    """Nothing of the team makes a call: the host scores prompts by their words, and writes them."""
    proposed: list[tp.Propose] = []

    async def score(request: tp.Score) -> tp.Scored:
        right = "carefully" in request.prompt.text
        responses = [
            tp.Graded(
                example=row.id,
                gold=row.gold,
                answer=row.gold if right else None,
                correct=right,
                credit=float(right),
                confidence=None,
                followed=right,
                rule="host",
                text="",
            )
            for row in request.examples
        ]
        return tp.Scored(outcomes=tp.Outcomes.of(responses), responses=tuple(responses))

    async def propose(request: tp.Propose) -> tp.Proposed:
        proposed.append(request)
        best = request.history[-1].prompt
        return tp.Proposed((tp.Prompt(f"{best.text} Work carefully.", parents=(best.id,)),))

    async def reflect(request: tp.Reflect) -> tp.Reflected:
        return tp.Reflected(("Care helped.",))

    results: tp.Results | None = None
    with anyio.fail_after(60):
        async with tp.InProcessBus() as bus, anyio.create_task_group() as agents:
            await agents.start(partial(bus.serve, tp.Score, score, key="small", workers=64))
            await agents.start(partial(bus.serve, tp.Propose, propose, workers=4))
            await agents.start(partial(bus.serve, tp.Reflect, reflect))
            served = ["small", tp.Score, tp.Propose, tp.Reflect]
            async with tp.Team(brief_scenario(), bus=bus, served=served) as team:
                results = await team.run()
            agents.cancel_scope.cancel()
    assert results is not None
    (target,) = results.targets
    assert proposed
    assert target.best.prompt.text == "Decide. Work carefully."
    assert (target.baseline.scorecard.accuracy, target.best.scorecard.accuracy) == (0.0, 1.0)
    assert results.usage.calls == 0


async def test_the_host_serves_the_judge_itself():
    async def rate(request: tp.JudgeResponses) -> tp.Judged:
        return tp.Judged(tuple(tp.Rated(one.example, {"tone": 4}, {"tone": 4}) for one in request.exhibits))

    async def compare(request: tp.CompareResponses) -> tp.Judged:
        return tp.Judged(tuple(tp.Rated(one.example, {"one": 3}, {"one": 3}) for one, _ in request.pairs))

    judged = brief_scenario(
        scorer={
            "model": "writer",
            "judge": [{"name": "tone", "rubric": "Is it friendly?"}],
            "objective": {"accuracy": 0.5, "judged.tone": 0.5},
        }
    )
    clients = brief_clients()
    results: tp.Results | None = None
    with anyio.fail_after(60):
        async with tp.InProcessBus() as bus, anyio.create_task_group() as agents:
            await agents.start(partial(bus.serve, tp.JudgeResponses, rate, workers=64))
            await agents.start(partial(bus.serve, tp.CompareResponses, compare, workers=4))
            served = {tp.JudgeResponses, tp.CompareResponses}
            async with tp.Team(judged, bus=bus, clients=clients, served=served) as team:
                results = await team.run()
            agents.cancel_scope.cancel()
    assert results is not None
    assert results.targets[0].best.scorecard.judged == {"tone": 4.0}
    assert not any("friendly" in turn.content for one in clients["server"].requests for turn in one.messages)


async def test_a_metric_of_the_host_is_weighed_and_reported():
    def brevity(responses: list[tp.Graded]) -> float | None:
        return 1.0 if all(len(response.text) < 40 for response in responses) else 0.0

    weighed = brief_scenario(scorer={"objective": {"accuracy": 0.5, "host:brevity": 0.5}})
    with anyio.fail_after(60):
        async with tp.Team(weighed, clients=brief_clients(), metrics={"host:brevity": brevity}) as team:
            results = await team.run()
    card = results.targets[0].best.scorecard
    assert card.judged["host:brevity"] == 1.0
    assert card.accuracy is not None
    assert card.objective == pytest.approx((card.accuracy + 1) / 2)


def test_a_metric_that_the_scenario_does_not_ask_for_is_refused():
    with pytest.raises(InputError, match="metrics: host:other: not asked for"):
        tp.Team(brief_scenario(), clients=brief_clients(), metrics={"host:other": lambda rows: 1.0}).check()


async def never(prompt: tp.Prompt, question: tp.Question) -> str:
    raise AssertionError


@pytest.mark.parametrize(
    ("changes", "parts", "said"),
    [
        ({}, {}, r"endpoints\.app\.host: nothing answers for model 'app'"),
        ({}, {"targets": {"ap": never}}, r"targets: ap: no target of the scenario; it has app"),
        ({}, {"served": {"ap"}}, r"served: ap: no target of the scenario"),
        ({}, {"served": {tp.Answer}}, r"served: Answer: expected the name of a target, or one of .*Score"),
        ({}, {"targets": {"app": never}, "served": {"app"}}, r"targets: app: served on the bus already"),
        (
            {"endpoints": {**ENDPOINTS, "app": {"base_url": "http://x/v1"}}},
            {"targets": {"app": never}},
            r"targets: app: a function needs an endpoint of its own; write endpoints\.app as {host: NAME}",
        ),
        (
            {"models": {**MODELS, "writer": {"endpoint": "app", "model": "app"}}},
            {"targets": {"app": never}},
            r"reference\.model: 'writer' has the endpoint app; a function answers there",
        ),
        (
            {"tasks": {name: brief_task(name, read="likelihood") for name in ("reviews", "tickets")}},
            {"targets": {"app": never}},
            r"needs log-probabilities, which the endpoint of model 'app' does not return",
        ),
        (
            {"tasks": {name: brief_task(name, confidence="top_k") for name in ("reviews", "tickets")}},
            {"targets": {"app": never}},
            r"top_k asks a model for guesses",
        ),
    ],
)
async def test_parts_that_do_not_fit_the_scenario_are_refused_before_a_call_is_made(
    changes: Mapping[str, object], parts: Mapping[str, object], said: str
):
    clients = brief_clients()
    team = tp.Team(scenario(**changes), clients=clients, **parts)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=said):
        async with team:
            pytest.fail("entered")
    assert clients["server"].requests == []


async def test_a_host_that_hands_over_nothing_is_told_what_to_hand_over():
    with pytest.raises(InputError, match=r"endpoints\.server\.host: nothing answers for model 'small'"):
        tp.Team(brief_scenario()).check()


async def test_the_hosts_logger_is_told_every_event_with_run_ask_and_chain(tmp_path: Path):
    told: list[dict[str, Any]] = []

    def note(_logger: object, _method: str, line: structlog.typing.EventDict) -> str:
        told.append(dict(line))
        raise structlog.DropEvent

    log = structlog.wrap_logger(
        structlog.PrintLogger(), [note], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    with anyio.fail_after(60):
        async with tp.Team(brief_scenario(), clients=brief_clients(), log=log, out=tmp_path) as team:
            await team.run()
    written: list[dict[str, Any]] = [
        json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()
    ]
    assert [line["event"] for line in written] == [line["event"] for line in told]
    for lines in (told, written):
        assert {line["run"] for line in lines} == {team.run_id}
        assert lines[-1]["event"] == "RunEnded"
        answered = [line for line in lines if line["event"] == "BatchAnswered"]
        assert {tuple(line["chain"]) for line in answered} == {("Score for small", "Answer for small")}
        assert len({line["ask"] for line in answered}) == len(answered)
