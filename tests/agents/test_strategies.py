"""Strategies: what each shows the reference LLM and takes from it, and whole runs under each."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import anyio
import pytest
from msgspec.structs import replace

from transfer_prompting.agents.reference.agent import Reference, Writing
from transfer_prompting.agents.reference.operators import OPERATORS, known
from transfer_prompting.agents.reference.sections import NOTES
from transfer_prompting.agents.reference.strategies import STRATEGIES, Strategy
from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.bus import Event, InProcessBus
from transfer_prompting.runtime.messages import (
    Exemplar,
    Failure,
    OperatorRecord,
    Propose,
    Reflect,
    ScoredPrompt,
    SearchStarted,
    TaskSummary,
)
from transfer_prompting.runtime.prompt import POSITIONS, Prompt
from transfer_prompting.runtime.record.results import Results
from transfer_prompting.scenarios import Scenario
from transfer_prompting.scenarios.stages import StrategyName

from support.clients import FunctionClient
from support.runs import simulated

FAILURE = Failure("facts", "Is rain dry?", "Maybe.", "no", "answer")
HISTORY = tuple(
    ScoredPrompt(Prompt(text=f"Prompt number {i}."), score, wins=wins, failures=(FAILURE,) if i == 1 else ())
    for i, (score, wins) in enumerate([(20, 0.1), (40, 0.9), (60, 0.0), (80, 0.0)])
)
TASK = TaskSummary("facts", "Answer questions.", "one of: yes, no", (Exemplar("Is ice cold?", "yes"),))


def request(**changes: object) -> Propose:
    whole = Propose(
        stage="target",
        key="target facts small",
        number=1,
        progress=0.0,
        count=1,
        tasks=(TASK,),
        history=HISTORY,
    )
    return replace(whole, **changes)


def writing(operators: tuple[str, ...] = ("improve",), **changes: object) -> Writing:
    settings = Writing(
        model="writer-1",
        temperature=1.0,
        final_temperature=1.0,
        max_tokens=100,
        max_characters=400,
        operators=known(operators),
        population=3,
        positions=POSITIONS,
        seed=7,
        seeded=True,
    )
    return replace(settings, **changes)


def reference(client: FunctionClient, strategy: Strategy, settings: Writing | None = None) -> Reference:
    return Reference(InProcessBus(), client=client, writing=settings or writing(), strategy=strategy)


def fresh() -> FunctionClient:
    client = FunctionClient(lambda _: f"<prompt>Candidate {len(client.requests)}.</prompt>")
    return client


def said(client: FunctionClient) -> list[str]:
    return [request.messages[-1].content for request in client.requests]


async def proposals(writer: Reference, count: int, **changes: object) -> list[Prompt]:
    """The candidates of so many proposals in a row."""
    first = cast("int", changes.pop("number", 1))
    return [
        prompt
        for number in range(first, first + count)
        for prompt in (await writer.propose(request(number=number, **changes))).prompts
    ]


async def test_opro_shows_the_ascending_history_and_exemplars_and_no_failures():
    client = fresh()
    found = await proposals(reference(client, STRATEGIES["opro"]), 3)
    for text in said(client):
        places = [text.index(f"score: {past.score}") for past in HISTORY]
        assert places == sorted(places)
        assert "Is ice cold?" in text
        assert "Is rain dry?" not in text
    assert {prompt.origin for prompt in found} == {"opro"}


async def test_evolution_breeds_from_its_population_by_both_ways():
    client = fresh()
    found = await proposals(reference(client, STRATEGIES["evolution"]), 4)
    assert {prompt.origin for prompt in found} == {"evolution:cross", "evolution:differ"}
    weakest = HISTORY[0].prompt
    assert not [text for text in said(client) if weakest.text in text]
    assert all(weakest.id not in prompt.parents for prompt in found)
    assert all(len(prompt.parents) >= 2 for prompt in found)


async def test_evolution_with_one_prompt_alone_still_proposes():
    assert len(await proposals(reference(fresh(), STRATEGIES["evolution"]), 4, history=HISTORY[-1:])) == 4


async def test_reflect_mends_what_leads_on_most_rows_and_shows_its_failures():
    client = fresh()
    found = await proposals(reference(client, STRATEGIES["reflect"]), 8)
    parents = [prompt.parents[0] for prompt in found]
    assert parents.count(HISTORY[1].prompt.id) > len(parents) / 2
    assert {HISTORY[2].prompt.id, HISTORY[3].prompt.id}.isdisjoint(parents)
    fixed = [text for text in said(client) if "Prompt number 1." in text]
    assert all("Is rain dry?" in text for text in fixed)


async def test_ask_shows_no_history():
    client = fresh()
    await reference(client, STRATEGIES["ask"]).propose(request(count=1))
    (text,) = said(client)
    assert "Prompt number" not in text
    assert "Answer questions." in text


async def test_operators_take_turns_first_and_then_the_successful_ones_come_more_often():
    names = ("rephrase", "specify", "shorten")
    wins = {"rephrase": 18, "specify": 1, "shorten": 1}
    records = tuple((name, OperatorRecord(20, wins[name])) for name in names)
    writer = reference(fresh(), STRATEGIES["transfer"], writing(names))
    assert [prompt.origin for prompt in await proposals(writer, 3)] == list(names)
    origins = [prompt.origin for prompt in await proposals(writer, 20, number=4, operators=records)]
    assert origins.count("rephrase") > 15


async def test_the_temperature_goes_evenly_from_first_to_last():
    client = fresh()
    writer = reference(client, STRATEGIES["opro"], writing(temperature=1.2, final_temperature=0.6))
    for progress in (0.0, 0.5, 1.0):
        await writer.propose(request(progress=progress))
    assert [one.temperature for one in client.requests] == pytest.approx([1.2, 0.9, 0.6])


def reflect(notes: tuple[str, ...] = ()) -> Reflect:
    return Reflect(key="source", number=2, tasks=(TASK,), tried=HISTORY, notes=notes)


@pytest.mark.parametrize(
    ("reply", "notes"),
    [
        (
            "<notes>\n- Be short.\n* Name the labels.\n</notes>",
            ("Be short.", "Name the labels."),
        ),
        ("Well.\n<notes>- One\n- One\n\n- Two", ("One", "Two")),
        ("I have nothing to say.", ("old",)),
        ("<notes></notes>", ("old",)),
    ],
)
async def test_notes_are_read_from_between_the_tags_and_the_old_ones_stay_otherwise(
    reply: str, notes: tuple[str, ...]
):
    client = FunctionClient(lambda _: reply)
    reflected = await reference(client, STRATEGIES["transfer"]).reflect(reflect(("old",)))
    assert reflected.notes == notes
    assert "- old" in said(client)[0]


async def test_notes_are_few_and_short():
    client = FunctionClient(
        lambda _: "<notes>" + "\n".join(f"- {i} {'x' * 999}" for i in range(50)) + "</notes>"
    )
    reflected = await reference(client, STRATEGIES["transfer"]).reflect(reflect())
    assert len(reflected.notes) == NOTES
    assert max(map(len, reflected.notes)) < 300


def test_improve_stands_for_all_its_focuses():
    assert set(known(["improve"])) == {name for name in OPERATORS if name.startswith("improve:")}
    assert known(["move", "improve:short"]) == ("move", "improve:short")


async def finished(scenario: Scenario, note: Callable[[Event], object] = lambda _: None) -> Results:
    with anyio.fail_after(60):
        async with Team(scenario) as team:
            team.bus.subscribe(Event, note)
            return await team.run()


@pytest.mark.parametrize("strategy", ["transfer", "opro", "evolution", "reflect"])
async def test_every_strategy_finds_a_better_prompt(tmp_path: Path, strategy: StrategyName):
    async with simulated(tmp_path, strategy=strategy) as (scenario, world, _):
        results = await finished(scenario)
    (target,) = results.targets
    assert results.status == "complete"
    assert results.strategy == strategy
    assert world.skill("small-1", "tickets", target.best.prompt.text) > world.base


@pytest.mark.parametrize("strategy", ["opro", "evolution", "reflect", "ask", "original"])
async def test_only_transfer_takes_the_source_stage(tmp_path: Path, strategy: StrategyName):
    stages: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, SearchStarted):
            stages.append(event.stage)

    async with simulated(tmp_path, strategy=strategy) as (scenario, _, _):
        results = await finished(scenario, note)
    assert stages == ["target"]
    assert results.source_prompts == ()


async def test_original_changes_nothing_and_asks_no_reference_llm(tmp_path: Path):
    async with simulated(tmp_path, strategy="original") as (scenario, world, server):
        results = await finished(scenario)
    assert results.targets[0].best.prompt == results.targets[0].baseline.prompt
    assert not [body for body in server.bodies if body["model"] == world.writer]


async def test_ask_asks_the_reference_llm_once(tmp_path: Path):
    async with simulated(tmp_path, strategy="ask") as (scenario, world, server):
        await finished(scenario)
    assert len([body for body in server.bodies if body["model"] == world.writer]) == 1


async def test_a_strategy_of_the_hosts_own_takes_the_place_of_the_scenarios(tmp_path: Path):
    async def always(context: object) -> list[Prompt]:
        del context
        return [Prompt(text="Decide. Work stepwise. Work carefully.", origin="mine")]

    async with simulated(tmp_path) as (scenario, _, _):
        with anyio.fail_after(60):
            async with Team(scenario, strategy=Strategy(name="mine", propose=always)) as team:
                results = await team.run()
    assert results.targets[0].best.prompt.origin == "mine"
    assert results.strategy == "mine"
