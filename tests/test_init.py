"""A first scenario: what is written is valid as it stands, in every place and for every kind of data."""

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from jsonschema import Draft202012Validator

from transfer_prompting.agents.loading import load_tasks
from transfer_prompting.cli.init import (
    Answers,
    connection_notes,
    describe_counts,
    describe_tasks,
    starter_of,
    starter_tasks,
    write_starter,
)
from transfer_prompting.cli.options import PLACES
from transfer_prompting.cli.starter import GROUNDS, Starter
from transfer_prompting.runtime.tasks.guess import Guess, answer_counts, guess
from transfer_prompting.scenarios import load
from transfer_prompting.scenarios.errors import InputError
from transfer_prompting.scenarios.scenario import json_schema

from support.chat_server import Fault, chat_server
from support.commands import COMMAND, told, tprompt
from support.terminal import at_terminal

SCHEMA = Path(str(files("transfer_prompting.scenarios").joinpath("schema.json")))

Rows = Sequence[Mapping[str, object]]


def written(path: Path, rows: Rows) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def repeated(row: Any, count: int = 40) -> list[dict[str, object]]:
    return [row(i) for i in range(count)]


KINDS: dict[str, tuple[Rows, Guess]] = {
    "labels": (
        repeated(lambda i: {"body": f"Text {i}, of some length.", "priority": ["low", "high"][i % 2]}),
        Guess("classification", "body", "priority", ("high", "low")),
    ),
    "yes or no": (
        repeated(lambda i: {"question": f"Is {i} even?", "answer": i % 2 == 0}),
        Guess("yes_no", "question", "answer"),
    ),
    "choices": (
        repeated(lambda i: {"question": f"Q{i}", "choices": ["a", "b", "c"], "answer": "ABC"[i % 3]}),
        Guess("multiple_choice", "question", "answer"),
    ),
    "numbers": (
        repeated(lambda i: {"question": f"{i} + {i}?", "answer": f"{1000 + 2 * i:,}"}),
        Guess("numeric", "question", "answer"),
    ),
    "free text": (
        repeated(lambda i: {"text": f"Who wrote book {i}?", "target": f"Author number {i}"}),
        Guess("text", "text", "target"),
    ),
}


@pytest.mark.parametrize(("rows", "expected"), KINDS.values(), ids=KINDS)
def test_the_kind_of_a_task_is_seen_in_its_rows(tmp_path: Path, rows: Rows, expected: Guess):
    assert guess(written(tmp_path / "rows.jsonl", rows)) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            lambda i: {
                "id": i,
                "lang": "en",
                "split": "ab"[i % 2],
                "Body": f"Text {i}",
                "Sentiment": "xyz"[i % 3],
            },
            Guess("classification", "Body", "Sentiment", ("x", "y", "z")),
        ),
        (
            lambda i: {"text": f"Text {i}", "labels": [["a"], ["b", "a"]][i % 2]},
            Guess("labels", "text", "labels", ("a", "b")),
        ),
        (
            lambda i: {
                "question": f"Cost of {i}?",
                "answer": [f"{i % 99}.234,50", f"{i}½", f"{i} apples"][i % 3],
            },
            Guess("numeric", "question", "answer"),
        ),
        (
            lambda i: {"query": f"Query {i}", "intent": f"intent {i % 30}"},
            Guess("classification", "query", "intent", tuple(sorted(f"intent {i}" for i in range(30)))),
        ),
        (
            lambda i: {"input": f"Text {i}", **({"output": "ab"[i % 2]} if i else {})},
            Guess("classification", "input", "output", ("a", "b"), blank=1),
        ),
        (
            lambda i: {"text": f"Text {i}", "label": "first" if i < 600 else "second"},
            Guess("classification", "text", "label", ("first", "second")),
        ),
    ],
)
def test_fields_are_known_by_name_and_shape(tmp_path: Path, row: Any, expected: Guess):
    assert guess(written(tmp_path / "rows.jsonl", repeated(row, 1200))) == expected


SHAPES: dict[str, tuple[Any, Guess]] = {
    "nested objects": (
        lambda i: {"id": i, "ticket": {"body": f"Text {i}"}, "gold": {"priority": "ab"[i % 2]}},
        Guess("classification", "ticket.body", "gold.priority", ("a", "b")),
    ),
    "chat turns": (
        lambda i: {
            "messages": [
                {"role": r, "content": c}
                for r, c in (("system", "Label it."), ("user", f"Text {i}"), ("assistant", "ab"[i % 2]))
            ]
        },
        Guess("classification", "messages.1.content", "messages.2.content", ("a", "b")),
    ),
    "turns of ShareGPT": (
        lambda i: {
            "conversations": [{"from": "human", "value": f"Text {i}"}, {"from": "gpt", "value": "ab"[i % 2]}]
        },
        Guess("classification", "conversations.0.value", "conversations.1.value", ("a", "b")),
    ),
    "instructions alone": (
        lambda i: {"instruction": f"Label text {i}", "input": "", "output": "ab"[i % 2]},
        Guess("classification", "instruction", "output", ("a", "b")),
    ),
    "a column for each option": (
        lambda i: {"Question": f"Q{i}", **{c: f"{c}{i}" for c in "ABCD"}, "Answer": "ABCD"[i % 4]},
        Guess("multiple_choice", "Question", "Answer", choices=("A", "B", "C", "D")),
    ),
    "texts of options as answers": (
        lambda i: {
            "question": f"Q{i}",
            "option_1": f"x{i}",
            "option_2": f"y{i}",
            "answer": f"{'xy'[i % 2]}{i}",
        },
        Guess("multiple_choice", "question", "answer", choices=("option_1", "option_2")),
    ),
    "options inside the question": (
        lambda i: {
            "question": {"stem": f"Q{i}", "choices": [{"label": c, "text": f"{c}{i}"} for c in "AB"]},
            "answerKey": "AB"[i % 2],
        },
        Guess("multiple_choice", "question.stem", "answerKey", choices=("question.choices",)),
    ),
    "few different amounts": (
        lambda i: {"question": f"Cost of {i}?", "answer": ["1.234,56", "2½", "7"][i % 3]},
        Guess("numeric", "question", "answer"),
    ),
    "class indices": (
        lambda i: {"text": f"Text {i}", "label": i % 3},
        Guess("classification", "text", "label", ("0", "1", "2")),
    ),
}


@pytest.mark.parametrize(("row", "expected"), SHAPES.values(), ids=SHAPES)
def test_rows_of_many_shapes_become_a_valid_scenario(tmp_path: Path, row: Any, expected: Guess):
    data = written(tmp_path / "rows.jsonl", repeated(row))
    assert guess(data) == expected
    path = tmp_path / "scenario.yaml"
    (loaded,) = write_starter(starter_of(path, Answers(data=data)), path).values()
    asked = loaded.splits.train[0].asked()
    assert asked.question
    assert len(asked.choices) == len(loaded.splits.test[0].choices)
    assert bool(asked.choices) == (expected.kind == "multiple_choice")


def test_options_that_are_counted_from_1_are_refused_in_words(tmp_path: Path):
    rows = repeated(lambda i: {"question": f"Q{i}", "opa": "x", "opb": "y", "answer": i % 2 + 1})
    with pytest.raises(InputError, match="seem to count the options from 1"):
        guess(written(tmp_path / "rows.jsonl", rows))


def test_a_file_named_like_a_public_set_takes_its_preset(tmp_path: Path):
    (tmp_path / "boolq").mkdir()
    rows = repeated(lambda i: {"question": f"is {i} even", "passage": "Numbers.", "answer": i % 2 == 0})
    data = written(tmp_path / "boolq" / "dev.jsonl", rows)
    path = tmp_path / "scenario.yaml"
    starter = starter_of(path, Answers(data=data))
    assert "preset boolq, yes_no" in next(describe_tasks(starter, write_starter(starter, path)))
    task = load_tasks(load(path))["dev"].task
    assert load(path).tasks["dev"].preset == "boolq"
    assert load(path).seed_prompts == [task.original]
    write_starter(starter_of(path, Answers(data=data, prompt="True or not?")), path)
    assert load_tasks(load(path))["dev"].task.original == "True or not?"
    write_starter(starter_of(path, Answers(data=data, field="answer")), path)
    assert load(path).tasks["dev"].preset is None
    other = written(tmp_path / "boolq" / "mine.jsonl", KINDS["labels"][0])
    assert starter_of(path, Answers(data=other)).targets[0].preset == ""


def test_a_label_too_rare_for_every_split_is_noted(tmp_path: Path):
    data = written(tmp_path / "rows.jsonl", [*KINDS["labels"][0], {"body": "Odd.", "priority": "odd"}])
    path = tmp_path / "scenario.yaml"
    write_starter(starter_of(path, Answers(data=data)), path)
    assert load(path).tasks["rows"].few_labels == 0
    assert "# odd has 1 row in all" in path.read_text()


def test_rows_that_cannot_be_read_are_skipped_and_counted(tmp_path: Path):
    data = written(tmp_path / "rows.jsonl", KINDS["labels"][0])
    data.write_text(data.read_text() + '\n{"body": "cut off')
    path = tmp_path / "scenario.yaml"
    starter = starter_of(path, Answers(data=data))
    assert "1 row that cannot be read skipped" in next(describe_tasks(starter, write_starter(starter, path)))


def test_a_guess_is_shown_with_counts(tmp_path: Path):
    data = written(
        tmp_path / "rows.jsonl", repeated(lambda i: {"text": f"Text {i}", "label": "aab"[i % 3]}, 30)
    )
    assert describe_counts(answer_counts(data, "label")) == "\nanswers: 20 a, 10 b"
    assert describe_counts(answer_counts(data, "text")) == ""


@pytest.mark.parametrize("rows", [[{"a": "one"}, {"a": "two"}], [{"a": 1, "b": 2}], []])
def test_rows_that_show_no_answer_are_refused_by_name(tmp_path: Path, rows: Rows):
    with pytest.raises(InputError, match=r"rows\.jsonl: no "):
        guess(written(tmp_path / "rows.jsonl", rows))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_valid_wherever_models_run(tmp_path: Path, place: Any, kind: str):
    data = written(tmp_path / "my rows.jsonl", KINDS[kind][0])
    source = written(tmp_path / "others.jsonl", KINDS["labels"][0])
    path = tmp_path / "scenarios" / "mine.yaml"
    sources, targets = starter_tasks(path.parent, data, source)
    prompt = 'Say "yes": #1 {it}\nor no.'
    ground = GROUNDS[place]
    starter = Starter("mine", place, ground.writer, ground.target, sources, targets, prompt)
    write_starter(starter, path)
    scenario = load(path)
    assert scenario.stages.source.seed_prompts == [prompt]
    assert scenario.stages.target.tasks == ["my-rows"]
    assert [scenario.models[name].model for name in scenario.targets] == [ground.target]
    assert [len(task.splits.test) > 0 for task in load_tasks(scenario).values()] == [True, True]
    schema = yaml.safe_load(json_schema())
    assert not [*Draft202012Validator(schema).iter_errors(yaml.safe_load(path.read_text()))]


async def test_without_data_two_small_samples_come_with_it(tmp_path: Path):
    done = await tprompt("init", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "tprompt peek scenario.yaml" in done.stdout
    assert "tickets: classification; 250 rows (125 routine, 125 urgent)" in done.stdout
    first = (tmp_path / "scenario.yaml").read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={SCHEMA.as_uri()}"
    shown = await tprompt("peek", "scenario.yaml", "--rows", "0", cwd=tmp_path)
    assert "tickets: classification" in shown.stdout


def test_every_key_that_is_commented_out_can_be_put_in(tmp_path: Path):
    path = tmp_path / "scenario.yaml"
    write_starter(starter_of(path, Answers()), path)
    path.write_text(re.sub(r"(?m)^(  +)# (?=[a-z_]+: )", r"\1", path.read_text()))
    scenario = load(path)
    assert [model.price.input_per_million for model in scenario.models.values()] == [2.0, 2.0]
    assert (scenario.budget.evaluations, scenario.budget.usd) == (300, 5.0)
    assert scenario.stages.target.steps is None


async def test_options_say_all_that_is_asked(tmp_path: Path):
    written(tmp_path / "bugs.jsonl", KINDS["labels"][0])
    done = await tprompt(
        *("init", "bugs.yaml", "--endpoint", "vllm", "--model", "org/small", "--writer", "org/large"),
        *("--prompt", "How bad is it?", "--data", "bugs.jsonl"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    scenario = load(tmp_path / "bugs.yaml")
    assert scenario.models["small"].model == "org/small"
    assert scenario.models["large"].model == "org/large"
    assert (scenario.targets, scenario.reference.model) == (["small"], "large")
    assert scenario.tasks["bugs"].labels == ["high", "low"]
    assert scenario.stages.source.tasks == []


async def test_a_file_that_is_there_is_not_written_over(tmp_path: Path):
    (tmp_path / "scenario.yaml").write_text("mine")
    assert "--force" in told(await tprompt("init", cwd=tmp_path), 2)
    assert (tmp_path / "scenario.yaml").read_text() == "mine"


async def test_data_that_cannot_be_used_leaves_no_file_behind(tmp_path: Path):
    written(tmp_path / "few.jsonl", KINDS["labels"][0][:3])
    assert "few.jsonl" in told(await tprompt("init", "--data", "few.jsonl", cwd=tmp_path), 2)
    assert not (tmp_path / "scenario.yaml").exists()


@pytest.mark.parametrize("option", ["--endpoint=vllm", "--data=bugs.jsonl"])
async def test_at_a_terminal_too_an_option_leaves_nothing_to_ask(tmp_path: Path, option: str):
    written(tmp_path / "bugs.jsonl", KINDS["labels"][0])
    with anyio.fail_after(60):
        async with at_terminal([*COMMAND, "init", option], tmp_path) as terminal:
            await terminal.see("wrote scenario.yaml")
            assert await terminal.end() == 0


async def test_at_a_terminal_no_data_means_two_samples(tmp_path: Path):
    with anyio.fail_after(60):
        async with at_terminal([*COMMAND, "init"], tmp_path) as terminal:
            for _ in range(7):
                await terminal.see(": ")
                terminal.type("\n")
            await terminal.see("wrote scenario.yaml")
            assert await terminal.end() == 0
    assert list(load(tmp_path / "scenario.yaml").tasks) == ["reviews", "tickets"]


async def test_at_a_terminal_it_asks(tmp_path: Path):
    written(tmp_path / "bugs.jsonl", KINDS["labels"][0])
    written(tmp_path / "others.jsonl", KINDS["yes or no"][0])
    with anyio.fail_after(60):
        async with at_terminal([*COMMAND, "init"], tmp_path) as terminal:
            await terminal.see("Where are your models")
            terminal.type("nowhere\n")
            await terminal.see("Please select one of the available options")
            terminal.type("ollama\n")
            await terminal.see("Base URL (http://localhost:11434/v1)")
            terminal.type("http://10.0.0.5:11434/v1\n")
            await terminal.see("Environment variable with the API key (none)")
            terminal.type("\n")
            await terminal.see("Model the prompts are for (llama3.2:1b)")
            terminal.type("qwen3:0.6b\n")
            await terminal.see("Model that writes candidates")
            terminal.type("\n")
            await terminal.see("Rows of your task")
            terminal.type("none.csv\n")
            await terminal.see("none.csv: no such data file")
            terminal.type("bugs.jsonl\n")
            await terminal.see("guessed: classification; question: body; answer: priority (high, low)")
            await terminal.see("Field with the answer (priority)")
            terminal.type("severity\n")
            await terminal.see("no field 'severity'")
            terminal.type("\n")
            await terminal.see("Rows of a task to refine prompts on first")
            terminal.type("others.jsonl\n")
            await terminal.see("The prompt you use today")
            terminal.type("promt.md\n")
            await terminal.see("promt.md: cannot be read: No such file")
            terminal.type("Urgent or not?\n")
            await terminal.see("wrote scenario.yaml")
            assert await terminal.end() == 0
    scenario = load(tmp_path / "scenario.yaml")
    assert scenario.targets == ["qwen3:0.6b"]
    assert scenario.tasks["bugs"].labels == ["high", "low"]
    assert scenario.stages.source.seed_prompts == ["Urgent or not?"]
    assert scenario.stages.source.tasks == ["others"]
    assert str(scenario.endpoints["ollama"].base_url) == "http://10.0.0.5:11434/v1"


def test_rows_without_an_answer_are_skipped_and_counted(tmp_path: Path):
    rows = [*KINDS["labels"][0], {"body": "No priority.", "priority": ""}]
    data = written(tmp_path / "bugs.jsonl", rows)
    path = tmp_path / "scenario.yaml"
    starter = starter_of(path, Answers(data=data))
    assert [*describe_tasks(starter, write_starter(starter, path))] == [
        "bugs: classification; question: body; answer: priority; 40 rows (20 high, 20 low); 1 row without an "
        "answer skipped"
    ]
    assert load(path).tasks["bugs"].on_bad_row == "skip"


def test_the_field_with_the_answer_can_be_named(tmp_path: Path):
    rows = repeated(lambda i: {"body": f"Text {i}.", "team": "ab"[i % 2], "priority": "xyz"[i % 3]})
    data = written(tmp_path / "bugs.jsonl", rows)
    path = tmp_path / "scenario.yaml"
    assert starter_of(path, Answers(data=data)).targets[0].labels == ("a", "b")
    write_starter(starter_of(path, Answers(data=data, field="priority")), path)
    assert load(path).tasks["bugs"].labels == ["x", "y", "z"]
    with pytest.raises(InputError, match=r"no field 'prioriti'; did you mean 'priority'"):
        starter_of(path, Answers(data=data, field="prioriti"))


def test_the_prompt_may_be_in_a_file_and_fits_the_kind_where_there_is_none(tmp_path: Path):
    data = written(tmp_path / "sums.jsonl", KINDS["numbers"][0])
    prompt = tmp_path / "mine.md"
    prompt.write_text("Add: {question}\n")
    path = tmp_path / "scenario.yaml"
    starter = starter_of(path, Answers(data=data, prompt=str(prompt)))
    write_starter(starter, path)
    assert starter.prompt == "mine.md"
    assert load(path).seed_prompts == ["Add: {question}"]
    assert "number" in starter_of(path, Answers(data=data)).prompt
    with pytest.raises(InputError, match=r"none\.md: cannot be read"):
        starter_of(path, Answers(data=data, prompt="none.md"))
    prompt.write_text(" \n")
    with pytest.raises(InputError, match=r"mine\.md: the file of the prompt is empty"):
        starter_of(path, Answers(data=data, prompt=str(prompt)))


@pytest.mark.parametrize(
    ("writer", "target", "names"),
    [
        ("gpt-4.1", "gpt-4.1-nano", ["gpt-4.1", "gpt-4.1-nano"]),
        ("org/large", "org/small", ["large", "small"]),
        ("one/qwen", "two/qwen", ["one/qwen", "two/qwen"]),
        ("org/same", "org/same", ["same"]),
        ("no", "llama3.2:1b", ["no", "llama3.2:1b"]),
    ],
)
def test_models_go_by_their_own_names(tmp_path: Path, writer: str, target: str, names: list[str]):
    path = tmp_path / "scenario.yaml"
    write_starter(starter_of(path, Answers(place="vllm", writer=writer, target=target)), path)
    scenario = load(path)
    assert [*scenario.models] == names
    assert (scenario.reference.model, scenario.targets) == (names[0], [names[-1]])


def test_a_model_whose_name_has_dots_can_be_overridden(tmp_path: Path):
    path = tmp_path / "scenario.yaml"
    write_starter(starter_of(path, Answers()), path)
    scenario = load(path, ["models.gpt-4.1.temperature=0.5", "models.gpt-4.1-nano.price.input_per_million=3"])
    assert [*scenario.models] == ["gpt-4.1", "gpt-4.1-nano"]
    assert scenario.models["gpt-4.1"].temperature == 0.5
    assert scenario.models["gpt-4.1-nano"].price.input_per_million == 3


def test_the_key_of_openai_is_for_no_other_address(tmp_path: Path):
    path = tmp_path / "scenario.yaml"
    write_starter(starter_of(path, Answers(base_url="http://localhost:9/v1")), path)
    assert load(path).endpoints["api"].api_key_env is None
    write_starter(starter_of(path, Answers(base_url="http://localhost:9/v1", key="LAB_KEY")), path)
    assert load(path).endpoints["api"].api_key_env == "LAB_KEY"


def test_a_model_that_runs_here_takes_no_address(tmp_path: Path):
    with pytest.raises(InputError, match="--base-url"):
        starter_of(tmp_path / "a.yaml", Answers(place="embedded", base_url="http://localhost:1/v1"))


def test_an_endpoint_that_cannot_be_called_yet_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_tcp_port: int
):
    monkeypatch.delenv("LAB_KEY", raising=False)
    path = tmp_path / "scenario.yaml"
    url = f"http://127.0.0.1:{free_tcp_port}/v1"
    write_starter(starter_of(path, Answers(place="vllm", base_url=url, key="LAB_KEY")), path)
    key, address = connection_notes(load(path))
    assert key.startswith("LAB_KEY is not set")
    assert address.startswith(f"{url} cannot be reached (")


async def test_answers_are_not_lost_when_someone_stops_half_way(tmp_path: Path):
    with anyio.fail_after(60):
        async with at_terminal([*COMMAND, "init", "my.yaml"], tmp_path) as terminal:
            await terminal.see("Where are your models")
            terminal.type("vllm\n")
            await terminal.see("Base URL")
            terminal.type("http://gpu:8000/v1\n")
            await terminal.see("Environment variable")
            terminal.type("\x03")
            await terminal.see("tprompt init my.yaml --endpoint vllm --base-url http://gpu:8000/v1")
            assert await terminal.end() == 130


async def test_answers_are_not_lost_when_the_rows_do_not_do(tmp_path: Path):
    written(tmp_path / "few.jsonl", KINDS["free text"][0][:2])
    with anyio.fail_after(60):
        async with at_terminal([*COMMAND, "init"], tmp_path) as terminal:
            for answer in ("vllm", "", "", "org/small", "", "few.jsonl", "", "", "Who?"):
                await terminal.see(": ")
                terminal.type(f"{answer}\n")
            await terminal.see("to keep your answers: tprompt init scenario.yaml --endpoint vllm")
            assert await terminal.end() == 2


@pytest.mark.parametrize("answering", [True, False])
async def test_the_connection_to_each_model_is_tested_on_demand(tmp_path: Path, answering: bool):
    replies: list[str | Fault] = ["A"] if answering else ["A", Fault(404)]
    async with chat_server(lambda body: replies[0 if body["model"] == "org/small" else -1]) as server:
        url = ("--base-url", server.base_url)
        models = ("--model", "org/small", "--writer", "org/large")
        done = await tprompt("init", "--endpoint", "vllm", *url, *models, "--test", cwd=tmp_path)
    assert (tmp_path / "scenario.yaml").exists()
    assert "small: org/small answers in " in done.stdout
    assert ("large: org/large answers in " in done.stdout) == answering
    assert done.returncode == (0 if answering else 1)
    assert answering or "404" in done.stderr
