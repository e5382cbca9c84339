"""The Reference agent: what it shows, what it takes from replies, and how it fails."""

import pytest
from msgspec.structs import replace

from transfer_prompting.agents.reference.agent import Reference, Writing
from transfer_prompting.agents.reference.operators import known
from transfer_prompting.agents.reference.strategies import STRATEGIES, Strategy
from transfer_prompting.runtime.bus import InProcessBus
from transfer_prompting.runtime.errors import BudgetReached, ServerFault
from transfer_prompting.runtime.llm.chat import ChatRequest
from transfer_prompting.runtime.messages import TaskSummary, Exemplar, Failure, ScoredPrompt, Propose
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


def propose(count: int = 4, step: int = 1, key: str = "source") -> Propose:
    exemplars = (Exemplar("Is ice cold?", "yes"), Exemplar("Is fire cold?", "no"))
    return Propose(
        stage="source",
        step=step,
        steps=4,
        count=count,
        key=key,
        briefs=(TaskSummary("facts", "Answer questions about things.", "one of: yes, no", exemplars),),
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


async def test_draws_of_one_step_differ_in_what_they_focus_on_and_in_their_sample():
    client = numbered()
    await agent(client).propose(propose(count=4))
    assert len({request.messages[0].content for request in client.requests}) == 4
    assert len({request.sample for request in client.requests}) == 4


async def test_every_candidate_names_its_operator_and_its_parent():
    proposed = await agent(numbered()).propose(propose())
    assert {prompt.origin.partition(":")[0] for prompt in proposed.prompts} == {"improve"}
    assert len({prompt.origin for prompt in proposed.prompts}) == len(proposed.prompts)
    assert {prompt.parents for prompt in proposed.prompts} == {(STRONG.id,)}


async def test_operators_take_turns_over_the_draws():
    proposed = await agent(numbered(), writing("rephrase", "move", "exemplify")).propose(propose(count=3))
    assert [prompt.origin for prompt in proposed.prompts] == ["rephrase", "move", "exemplify"]


async def test_a_moved_prompt_keeps_its_words_and_changes_its_position():
    proposed = await agent(numbered(), writing("move")).propose(propose(count=1))
    (moved,) = proposed.prompts
    parent = next(prompt for prompt in (WEAK, STRONG) if prompt.id in moved.parents)
    assert moved.text == parent.text
    assert moved.position != parent.position


async def test_an_exemplified_prompt_shows_train_exemplars_once_however_often_it_is_applied():
    reference = agent(numbered(), writing("exemplify"))
    (first,) = (await reference.propose(propose(count=1))).prompts
    again = replace(propose(count=1, step=2), history=(ScoredPrompt(first, 80),))
    proposed = await reference.propose(again)
    assert all(prompt.text.count("Examples:") == 1 for prompt in (first, *proposed.prompts))


async def test_a_reply_may_hold_several_candidates_and_no_more_than_asked_for_are_kept():
    client = FunctionClient(lambda _: "<prompt>One.</prompt><prompt>Two.</prompt><prompt>Three.</prompt>")
    proposed = await agent(client).propose(propose(count=2))
    assert [prompt.text for prompt in proposed.prompts] == ["One.", "Two."]


async def test_replies_without_a_usable_candidate_are_counted_by_reason():
    replies = iter(
        ["no tags", "<prompt>" + "x " * 300 + "</prompt>", "<prompt>Fine.</prompt>", "<prompt>…</prompt>"]
    )
    client = FunctionClient(lambda _: next(replies))
    proposed = await agent(client).propose(propose(count=4))
    assert [prompt.text for prompt in proposed.prompts] == ["Fine."]
    assert proposed.refused == {"no candidate in the reply": 2, "too long": 1}


async def test_what_the_history_holds_is_not_proposed_again():
    settings = writing(positions=("system",))
    client = FunctionClient(lambda _: f"<prompt>{STRONG.text}</prompt>")
    proposed = await agent(client, settings).propose(propose(count=2))
    assert (proposed.prompts, proposed.refused) == ((), {"seen before": 2})


async def test_the_same_request_draws_the_same_and_another_search_draws_anew():
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


async def test_a_failed_draw_costs_only_itself():
    def fail_once(request: ChatRequest) -> str:
        if len(client.requests) == 1:
            raise ServerFault("500")
        return f"<prompt>Candidate {len(client.requests)}.</prompt>"

    client = FunctionClient(fail_once)
    proposed = await agent(client).propose(propose(count=3))
    assert len(proposed.prompts) == 2
    assert proposed.refused == {"call failed": 1}


async def test_a_step_whose_draws_all_fail_raises_the_error():
    def fail(request: ChatRequest) -> str:
        raise ServerFault("500")

    with pytest.raises(ServerFault):
        await agent(FunctionClient(fail)).propose(propose())


async def test_a_spent_budget_ends_the_step():
    def refuse(request: ChatRequest) -> str:
        raise BudgetReached("calls")

    with pytest.raises(BudgetReached):
        await agent(FunctionClient(refuse)).propose(propose())


async def test_without_a_history_there_is_nothing_to_start_from():
    empty = replace(propose(count=2), history=())
    proposed = await agent(numbered()).propose(empty)
    assert proposed.prompts == ()
