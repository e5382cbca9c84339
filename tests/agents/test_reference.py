"""The Reference agent: what it shows, what it takes from replies, and how it fails."""

import pytest
from msgspec.structs import replace

from transfer_prompting.agents.reference.agent import Reference, Writing
from transfer_prompting.agents.reference.operators import FREE, known
from transfer_prompting.agents.reference.strategies import PLAIN_EVERY, STRATEGIES, Strategy
from transfer_prompting.runtime.bus import InProcessBus
from transfer_prompting.runtime.errors import BudgetReached, ServerFault
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Usage
from transfer_prompting.runtime.messages import (
    CallCost,
    Exemplar,
    Failure,
    Propose,
    ScoredPrompt,
    TaskSummary,
)
from transfer_prompting.runtime.prompt import POSITIONS, Prompt

from support.clients import FunctionClient

WEAK = Prompt(text="Answer the question.")
STRONG = Prompt(text="Read closely, then answer.", position="system")


def writing(*operators: str, **changes: object) -> Writing:
    settings: dict[str, object] = {
        "model": "writer-1",
        "temperature": 1.0,
        "final_temperature": 1.0,
        "max_tokens": 100,
        "max_characters": 400,
        "operators": known(operators or ("improve",)),
        "population": 4,
        "positions": POSITIONS,
        "seed": 7,
        "seeded": True,
    }
    return Writing(**{**settings, **changes})  # pyright: ignore[reportArgumentType]


FAILURE = Failure("facts", "Is rain dry?", "Maybe.", "no", "answer")


def propose(count: int = 1, number: int = 1, key: str = "source") -> Propose:
    exemplars = (Exemplar("Is ice cold?", "yes"), Exemplar("Is fire cold?", "no"))
    return Propose(
        stage="source",
        key=key,
        number=number,
        progress=0.0,
        count=count,
        tasks=(TaskSummary("facts", "Answer questions about things.", "one of: yes, no", exemplars),),
        history=(ScoredPrompt(WEAK, 31), ScoredPrompt(STRONG, 64, failures=(FAILURE,))),
    )


def numbered() -> FunctionClient:
    """Every reply holds a new candidate."""
    client = FunctionClient(lambda _: f"<prompt>Candidate {len(client.requests)}.</prompt>")
    return client


def agent(
    client: FunctionClient, settings: Writing | None = None, strategy: Strategy = STRATEGIES["transfer"]
) -> Reference:
    return Reference(InProcessBus(), client=client, writing=settings or writing(), strategy=strategy)


async def test_the_reference_prompt_shows_tasks_ascending_history_exemplars_and_failures():
    client = numbered()
    await agent(client).propose(propose())
    text = client.requests[0].messages[0].content
    shown = [
        "Answer questions about things.",
        "Answer the question.",
        "score: 31",
        "Read closely, then answer.",
        "score: 64",
        "Is ice cold?",
        "Is rain dry?",
        "Maybe.",
    ]
    assert [part for part in shown if part not in text] == []
    assert text.index("score: 31") < text.index("score: 64")


async def proposed(reference: Reference, proposals: int, count: int = 1) -> list[Prompt]:
    """The candidates of so many proposals in a row."""
    numbers = range(1, proposals + 1)
    return [prompt for n in numbers for prompt in (await reference.propose(propose(count, number=n))).prompts]


async def test_one_proposal_is_one_call_that_asks_for_so_many_candidates():
    client = numbered()
    await agent(client).propose(propose(count=4))
    (request,) = client.requests
    assert "Write 4 new instructions" in request.messages[0].content


async def test_proposals_differ_in_what_they_focus_on_and_in_their_sample():
    client = numbered()
    await proposed(agent(client), 4)
    assert len({request.messages[0].content for request in client.requests}) == 4
    assert len({request.sample for request in client.requests}) == 4


async def test_every_candidate_names_its_operator_and_its_parent():
    found = await proposed(agent(numbered()), 4)
    assert {prompt.origin.partition(":")[0] for prompt in found} == {"improve"}
    assert len({prompt.origin for prompt in found}) == len(found) == 4
    assert {prompt.parents for prompt in found} == {(STRONG.id,)}


async def test_operators_that_write_take_turns_and_plain_edits_come_now_and_then():
    client = numbered()
    found = await proposed(
        agent(client, writing("rephrase", "shorten", "move", "exemplify")), 2 * PLAIN_EVERY
    )
    origins = [prompt.origin for prompt in found]
    assert origins[:2] == ["rephrase", "shorten"]
    assert {origins[PLAIN_EVERY - 1], origins[2 * PLAIN_EVERY - 1]} == {"move", "exemplify"}
    assert sum(origin in FREE for origin in origins) == 2
    assert len(client.requests) == len(found) - 2


async def test_a_moved_prompt_keeps_its_words_and_changes_its_position():
    (moved,) = (await agent(numbered(), writing("move")).propose(propose())).prompts
    parent = next(prompt for prompt in (WEAK, STRONG) if prompt.id in moved.parents)
    assert moved.text == parent.text
    assert moved.position != parent.position


async def test_an_exemplified_prompt_shows_train_exemplars_once_however_often_it_is_applied():
    reference = agent(numbered(), writing("exemplify"))
    (first,) = (await reference.propose(propose())).prompts
    again = replace(propose(number=2), history=(ScoredPrompt(first, 80),))
    assert first.text.startswith(STRONG.text)
    assert any(shown in first.text for shown in ("Is ice cold?\nAnswer: yes", "Is fire cold?\nAnswer: no"))
    found = (await reference.propose(again)).prompts
    assert all(prompt.text.count("Examples:") == 1 for prompt in (first, *found))


async def test_a_reply_may_hold_several_candidates_and_no_more_than_asked_for_are_kept():
    client = FunctionClient(lambda _: "<prompt>One.</prompt><prompt>Two.</prompt><prompt>Three.</prompt>")
    found = await agent(client).propose(propose(count=2))
    assert [prompt.text for prompt in found.prompts] == ["One.", "Two."]


@pytest.mark.parametrize(
    ("reply", "prompts", "refused"),
    [
        ("no tags", [], {"unparsable reply": 1}),
        ("<prompt>…</prompt>", [], {"unparsable reply": 1}),
        ("<prompt>" + "x " * 300 + "</prompt><prompt>Fine.</prompt>", ["Fine."], {"too long": 1}),
        ("<prompt>Twice.</prompt><prompt>Twice.</prompt>", ["Twice."], {"seen before": 1}),
    ],
)
async def test_what_is_no_candidate_is_counted_by_reason(
    reply: str, prompts: list[str], refused: dict[str, int]
):
    client = FunctionClient(lambda _: reply)
    found = await agent(client, writing(positions=("system",))).propose(propose(count=4))
    assert [prompt.text for prompt in found.prompts] == prompts
    assert found.refused == refused


async def test_what_the_history_holds_is_not_proposed_again():
    settings = writing(positions=("system",))
    client = FunctionClient(lambda _: f"<prompt>{STRONG.text}</prompt>")
    found = await agent(client, settings).propose(propose(count=2))
    assert (found.prompts, found.refused) == ((), {"seen before": 1})


async def test_the_same_request_is_written_alike_and_another_search_is_written_anew():
    def seeds(client: FunctionClient) -> list[int | None]:
        return [request.seed for request in client.requests]

    first, second, other = numbered(), numbered(), numbered()
    await agent(first).propose(propose())
    await agent(second).propose(propose())
    await agent(other).propose(propose(key="target tickets small"))
    assert seeds(first) == seeds(second)
    assert not set(seeds(first)) & set(seeds(other))


async def test_an_endpoint_that_takes_no_seed_is_sent_none():
    client = numbered()
    await agent(client, writing(seeded=False)).propose(propose())
    assert {request.seed for request in client.requests} == {None}


async def test_a_reply_says_what_it_cost():
    usage = Usage(prompt_tokens=30, completion_tokens=7)
    client = FunctionClient(lambda _: ChatResponse(text="<prompt>A.</prompt>", usage=usage, attempts=2))
    assert (await agent(client).propose(propose())).cost == CallCost(2, 30, 7)
    assert (await agent(client, writing("move")).propose(propose())).cost == CallCost()


@pytest.mark.parametrize("error", [ServerFault("500"), BudgetReached("calls")])
async def test_an_error_of_the_call_goes_to_the_asker(error: Exception):
    def fail(request: ChatRequest) -> str:
        raise error

    with pytest.raises(type(error)):
        await agent(FunctionClient(fail)).propose(propose())


async def test_without_a_history_there_is_nothing_to_start_from():
    empty = replace(propose(count=2), history=())
    found = await agent(numbered()).propose(empty)
    assert found.prompts == ()
