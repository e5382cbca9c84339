"""The short way: evaluate, score and optimize without a scenario."""

import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import anyio.lowlevel
import pandas as pd
import pytest

import transfer_prompting as tp

from support.chat_server import Fault, chat_server
from support.clients import FunctionClient, world_client
from support.runs import LABELS, helpful_world
from support.world import rows

TICKETS = rows("tickets", LABELS["tickets"], 80)


def model(client: object, **changes: object) -> dict[str, object]:
    return {"client": client, "model": "small-1", "logprobs": False, "confidence": "verbalised", **changes}


async def test_one_prompt_is_evaluated_on_every_row_in_order():
    world = helpful_world()
    client = world_client(world)
    with anyio.fail_after(60):
        result = await tp.evaluate("Decide carefully.", TICKETS, model=model(client))
    card = result.scorecard
    assert card.n == len(TICKETS) == len(client.requests)
    assert card.accuracy == pytest.approx(world.skill("small-1", "tickets", "carefully"), abs=0.15)
    low, high = card.intervals["accuracy"]
    assert low < (card.accuracy or 0) < high
    assert [response.example for response in result.responses] == [str(i) for i in range(1, 81)]
    assert result.prompt == tp.Prompt("Decide carefully.")
    assert result.usage.calls == len(TICKETS)
    assert result.problems == ()


async def test_a_path_and_the_fields_of_its_rows_will_do(tmp_path: Path):
    path = tmp_path / "tickets.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("body", "priority"), *((row["text"], row["label"]) for row in TICKETS)])
    client = world_client(helpful_world())
    by_guess = await tp.evaluate("Decide.", str(path), model=model(client))
    by_name = await tp.evaluate(
        "Decide.",
        path,
        model=model(client),
        kind="classification",
        fields={"question": "body", "answer": "priority"},
    )
    assert by_guess.scorecard.n == by_name.scorecard.n == len(TICKETS)
    assert by_guess.scorecard.accuracy == by_name.scorecard.accuracy


async def test_a_function_of_the_application_is_evaluated():
    async def route(prompt: tp.Prompt, question: tp.Question) -> str:
        assert prompt.text == "Route it."
        return "urgent" if "[urgent]" in question.question else "routine"

    result = await tp.evaluate("Route it.", TICKETS, model=route)
    assert result.scorecard.accuracy == 1.0


async def test_a_call_that_fails_is_among_the_responses_and_the_problems():
    def reply(request: tp.ChatRequest) -> str:
        if "Item 3 of" in request.messages[-1].content:
            raise tp.CallFailed("no such luck")
        return "Answer: urgent\nConfidence: 60%"

    result = await tp.evaluate("Decide.", TICKETS, model=model(FunctionClient(reply), retry={"attempts": 1}))
    assert [type(result.responses[i]) for i in (2, 3)] == [tp.Graded, tp.Failed]
    assert (result.scorecard.n, result.scorecard.failed) == (79, 1)
    assert "no such luck" in result.problems[0]


async def test_a_model_that_cannot_be_used_is_an_error_in_words():
    async with chat_server(lambda _: Fault(401)) as server:
        spec = {"base_url": server.base_url, "model": "small-1", "api_key_env": "PATH"}
        with pytest.raises(tp.EndpointError, match="small-1"):
            await tp.evaluate("Decide.", TICKETS, model=spec)


async def test_a_metric_alone_is_the_objective_and_needs_no_right_answers():
    async def brief(responses: Sequence[tp.Graded]) -> tuple[float, str]:
        await anyio.lowlevel.checkpoint()
        return (1.0, "") if len(responses[0].text) < 20 else (0.25, "too long")

    async def write(prompt: tp.Prompt, question: tp.Question) -> str:
        return "short" if question.id == "1" else "long " * 8

    questions = [{"question": f"Write to customer {i}."} for i in range(4)]
    result = await tp.evaluate("Write.", questions, model=write, metric=brief)
    assert result.scorecard.objective == pytest.approx((1 + 3 * 0.25) / 4)
    assert [one.remark for one in result.responses if isinstance(one, tp.Graded)] == ["", *["too long"] * 3]


def test_responses_that_exist_already_are_graded():
    golds = [row["label"] for row in TICKETS]
    draw = random.Random(1)
    other = {"urgent": "routine", "routine": "urgent"}
    said = [gold if draw.random() < 0.7 else other[gold] for gold in golds]
    result = tp.score(said, TICKETS)
    assert result.scorecard.accuracy == pytest.approx(sum(map(str.__eq__, said, golds)) / len(golds))
    assert result.scorecard.ece is None
    assert result.scorecard.intervals["accuracy"][0] < (result.scorecard.accuracy or 0)
    assert result.usage.calls == 0
    sure = tp.score([tp.Response(text, confidence=0.7) for text in said], TICKETS)
    assert sure.scorecard.ece == pytest.approx(abs(0.7 - (sure.scorecard.accuracy or 0)), abs=1e-6)


async def test_scoring_takes_metrics_of_ones_own_inside_a_running_loop_too():
    async def long(responses: list[tp.Graded]) -> float:
        await anyio.lowlevel.checkpoint()
        return float(len(responses[0].text) > 6)

    result = tp.score(
        ["urgent", "routine"], TICKETS[:2], metric={"own:long": long}, objective={"own:long": 1}
    )
    assert result.scorecard.judged == {"own:long": 0.5}


async def test_a_prompt_is_optimised_and_tested_on_rows_the_search_never_saw(tmp_path: Path):
    client = world_client(helpful_world(base=0.2, vocabulary=("stepwise", "carefully")))
    with anyio.fail_after(120):
        results = await tp.optimize(
            "Decide.",
            TICKETS,
            model=model(client),
            writer={"client": client, "model": "writer-1"},
            budget={"evaluations": 300},
            objective={"accuracy": 1},
            out=str(tmp_path / "run"),
            settings={"reference": {"candidates_per_reply": 1}},
        )
    target = results.targets["task", "small-1"]
    assert target.baseline.prompt.text == "Decide."
    assert target.best.scorecard.n == 24
    assert (target.best.scorecard.accuracy or 0) > (target.baseline.scorecard.accuracy or 0)
    assert (tmp_path / "run" / "results.json").is_file()


async def test_a_number_is_a_budget_of_calls_and_several_models_are_several_targets():
    world = helpful_world()
    client = world_client(world)
    small, large = model(client), model(client, model="large-1")
    writer = {"client": client, "model": "writer-1"}
    results = await tp.optimize("Decide.", TICKETS, model=[small, large], writer=writer, budget=400)
    assert [target.model for target in results.targets] == ["large-1", "small-1"]
    assert 300 < results.usage.calls <= 400
    with pytest.raises(tp.InputError, match=r"budget\.calls: 40 is too small"):
        await tp.optimize("Decide.", TICKETS, model=small, writer=writer, budget=40)


def test_a_script_needs_no_event_loop_of_its_own():
    result = tp.run_sync(tp.evaluate("Decide.", TICKETS, model=model(world_client(helpful_world()))))
    assert result.scorecard.n == len(TICKETS)


async def test_inside_a_running_loop_run_sync_says_what_to_write():
    with pytest.raises(RuntimeError, match=r"inside a running event loop .* write `await tp.evaluate"):
        tp.run_sync(tp.evaluate("Decide.", TICKETS, model="openai:gpt-4.1-nano"))


async def test_run_sync_of_what_is_no_coroutine_says_so():
    with pytest.raises(TypeError, match=r"got EvaluationResult, no coroutine: tp\.score is called as it is"):
        tp.run_sync(tp.score(["spam"], [{"text": "Hi", "label": "spam"}]))  # pyright: ignore[reportArgumentType]


async def test_a_data_frame_is_rows():
    frame = pd.DataFrame([*TICKETS, {"text": "Where?", "label": None}])
    framed = await tp.evaluate("Decide.", frame[:-1], model=model(world_client(helpful_world())))
    rows = await tp.evaluate("Decide.", TICKETS, model=model(world_client(helpful_world())))
    assert framed.scorecard.accuracy == rows.scorecard.accuracy
    with pytest.raises(tp.InputError, match="the answer is empty"):
        await tp.evaluate("Decide.", frame, model=model(world_client(helpful_world())))


WRONG: Sequence[tuple[Mapping[str, object], str]] = [
    ({"model": "gpt-4.1-nano"}, "expected PROVIDER:MODEL, e.g. openai:gpt-4.1-nano"),
    ({"model": "opnai:gpt-4.1-nano"}, "'opnai' is no known provider; did you mean 'openai'?"),
    ({"model": {"base_url": "http://x/v1"}}, "the key `model` is missing"),
    ({"model": {"modl": "x"}}, "unknown key 'modl'; did you mean 'model'?"),
    ({"rows": []}, "rows: there are none"),
    ({"rows": ["Which page?"]}, "rows: row 1 is str 'Which page?'; expected a mapping of its fields"),
    (
        {"model": lambda question: ""},
        r"it is called as f\(prompt, question\), which <lambda>\(question\) does",
    ),
    ({"metric": lambda reply, gold: 1.0}, r"metric own:metric: it is called as f\(responses\), which"),
    ({"knd": "text"}, r"tasks\.task\.knd: unknown key; did you mean 'kind'?"),
    ({"metric": {"brief": len}}, "metric brief: expected a name of the form module:function, e.g. own:brief"),
    ({"rows": "hf://org/name"}, "cannot be guessed from an address; give kind="),
    ({"prompt": {"a b": "Decide."}}, "prompt: 'a b' is no name of a text"),
]


@pytest.mark.parametrize(("changes", "said"), WRONG)
async def test_wrong_arguments_are_one_message(changes: Mapping[str, object], said: str):
    arguments: dict[str, object] = {
        "prompt": "Decide.",
        "rows": TICKETS,
        "model": model(FunctionClient(lambda _: "")),
        **changes,
    }
    with pytest.raises(tp.InputError, match=said.replace("?", r"\?")):
        await tp.evaluate(**arguments)  # pyright: ignore[reportArgumentType]


def test_more_or_fewer_responses_than_rows_are_refused():
    with pytest.raises(tp.InputError, match="responses: 1 for 80 rows"):
        tp.score(["urgent"], TICKETS)


async def test_a_function_cannot_write_prompts():
    async def route(prompt: tp.Prompt, question: tp.Question) -> str:
        raise AssertionError

    with pytest.raises(tp.InputError, match="writer: a function of the application cannot write prompts"):
        await tp.optimize("Decide.", TICKETS, model=route)


def test_a_metric_that_a_program_names_is_imported_and_one_that_settings_name_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "short_own.py").write_text("def f(rows):\n    return 0.5\n")
    monkeypatch.chdir(tmp_path)
    result = tp.score(["urgent", "routine"], TICKETS[:2], metric="short_own:f")
    assert result.scorecard.objective == 0.5
    with pytest.raises(tp.InputError, match="short_own:g: names Python code"):
        tp.score(["urgent"] * 2, TICKETS[:2], settings={"scorer": {"metrics": ["short_own:g"]}})
