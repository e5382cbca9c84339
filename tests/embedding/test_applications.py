"""Applications with several prompts, and metrics that explain themselves."""

import re
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

import transfer_prompting as tp
from transfer_prompting.runtime.llm.chat import ChatRequest
from transfer_prompting.scenarios.errors import InputError

from support.clients import FunctionClient

TEXTS = {"plan": "List what to say.", "reply": "Write the reply."}
ROWS = [{"question": f"Order {number} did not arrive."} for number in range(40)]
NEEDED = {"plan": "refund", "reply": "greet"}
"""The word that each text of the application needs for a good reply."""


async def application(prompt: tp.Prompt, question: tp.Question) -> str:
    """Two steps, each under its own text."""
    steps = [word for name, word in NEEDED.items() if word in prompt.texts[name].lower()]
    return f"{question.question} {' '.join(steps)}"


def explained(responses: list[tp.Graded]) -> tuple[float, str]:
    """Half a point for each step that did what it must; names what is missing."""
    missing = [word for word in NEEDED.values() if word not in responses[0].text]
    return 1 - len(missing) / 2, f"The customer expects: {', '.join(missing)}." if missing else ""


def write(request: ChatRequest) -> str:
    """A reference LLM that adds to the text what the metric's words ask for, and so needs to see them."""
    text = request.messages[-1].content
    wanted = sorted(
        {word for words in re.findall(r"expects: ([\w, ]+)\.", text) for word in words.split(", ")}
    )
    shown = re.findall(r"<prompt>(.*?)</prompt>", text, re.DOTALL)
    return "\n".join(f"<prompt>{shown[-1]} Remember: {word}.</prompt>" for word in wanted) or "Nothing."


def scenario(**changes: object) -> tp.Scenario:
    return tp.Scenario.build(
        {
            "name": "support",
            "seed": 1,
            "endpoints": {"writer": {"host": "writer-1"}, "app": {"host": "app-1"}},
            "models": {
                "writer": {"endpoint": "writer", "model": "writer"},
                "app": {"endpoint": "app", "model": "app"},
            },
            "reference": {"model": "writer"},
            "targets": ["app"],
            "strategy": "reflect",
            "scorer": {"objective": {"host:explained": 1.0}},
            "tasks": {"support": {"rows": ROWS, "kind": "judged", "format": "raw"}},
            "stages": {
                "source": {"tasks": [], "seed_prompts": [TEXTS]},
                "target": {"tasks": ["support"]},
            },
            "budget": {"evaluations": 200},
            **changes,
        }
    )


def team(writer: FunctionClient, **changes: object) -> tp.Team:
    return tp.Team(
        scenario(**changes),
        clients={"writer": writer},
        targets={"app": application},
        metrics={"host:explained": explained},
    )


async def test_an_application_with_two_prompts_is_improved_by_the_words_of_its_metric():
    writer = FunctionClient(write)
    scored: list[tp.Prompt] = []
    with anyio.fail_after(120):
        async with team(writer) as running:
            running.bus.subscribe(tp.PromptScored, lambda event: scored.append(event.prompt))
            results = await running.run()
    (target,) = results.targets
    before, best = target.baseline.prompt.prompt(), target.best.prompt.prompt()
    assert before.texts == TEXTS
    assert list(best.texts) == list(TEXTS)
    assert all(word in best.texts[name] for name, word in NEEDED.items())
    assert target.baseline.scorecard.objective == 0.0
    assert target.best.scorecard.objective == 1.0
    assert any("The customer expects: refund, greet." in one.messages[-1].content for one in writer.requests)
    known = {prompt.id: prompt for prompt in (before, *scored)}
    for prompt in scored:
        for parent in prompt.parents[:1]:
            changed = [name for name in TEXTS if prompt.texts[name] != known[parent].texts[name]]
            assert len(changed) == 1


@pytest.mark.parametrize("strategy", ["transfer", "opro", "evolution", "ask"])
async def test_every_strategy_proposes_whole_applications(strategy: str):
    with anyio.fail_after(120):
        async with team(FunctionClient(write), strategy=strategy, budget={"evaluations": 60}) as running:
            results = await running.run()
    (target,) = results.targets
    assert list(target.best.prompt.prompt().texts) == list(TEXTS)
    assert results.status == "complete"


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ([TEXTS, {"plan": "Plan."}], "the texts plan, reply and plan; every prompt"),
        ([TEXTS, "Plan."], r"the texts plan, reply and \(none\); every prompt"),
        ([{"a plan": "Plan."}], "'a plan' is no name of a text"),
        ([{"plan": " "}], "the text 'plan' is empty"),
        ([{"plan": "One.\n--- two ---\n"}], "holds the line '--- two ---', which begins another text"),
        ([{}], "no text is given"),
        ([{"plan": 3}], "expected one text, or texts by their names"),
    ],
)
def test_texts_that_do_not_fit_are_refused(seeds: object, said: str):
    stages: Mapping[str, object] = {
        "source": {"tasks": [], "seed_prompts": seeds},
        "target": {"tasks": ["support"]},
    }
    with pytest.raises(InputError, match=said):
        team(FunctionClient(write), stages=stages).check()


def test_several_texts_are_for_functions_not_for_models():
    models = {
        "writer": {"endpoint": "writer", "model": "writer"},
        "app": {"endpoint": "writer", "model": "app"},
    }
    with pytest.raises(
        InputError, match=r"targets: app: a prompt of several texts \(plan, reply\) is for a f"
    ):
        tp.Team(
            scenario(models=models),
            clients={"writer": FunctionClient(write)},
            metrics={"host:explained": explained},
        ).check()


def test_texts_of_a_prompt_come_out_as_they_went_in(tmp_path: Path):
    texts = {"plan": "Plan.\n\n## Rules\n--- none ---x", "reply": "Reply.\n---"}
    assert tp.Prompt.of(texts).texts == texts
    assert tp.Prompt("## Rules\nReply.").texts == {}
    assert tp.Prompt("Reply.").id == tp.Prompt(text="Reply.").id


@pytest.mark.parametrize(
    ("form", "reply"),
    [
        ("json", '{"answer": "urgent"}'),
        ("raw", "urgent"),
        ({"kind": "regex", "pattern": "<a>(.*)</a>"}, "<a>urgent</a>"),
    ],
)
async def test_a_function_returns_the_whole_reply_of_a_format_of_its_own(form: object, reply: str):
    rows = [{"text": f"Page {i}?", "label": ("urgent", "routine")[i % 2]} for i in range(8)]
    result = await tp.evaluate(
        "Decide.", rows, model=lambda prompt, question: reply, kind="classification", format=form
    )
    assert (result.scorecard.ifr, result.scorecard.accuracy) == (1.0, 0.5)
    assert {one.text for one in result.responses if isinstance(one, tp.Graded)} == {reply}
