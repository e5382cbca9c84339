"""`tprompt init`: from a few answers to a first scenario file that is valid as it stands."""

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple, TypeVar

from rich.markup import escape
from rich.prompt import InvalidResponse, Prompt, PromptBase

from ..agents.loading import load_tasks
from ..runtime.tasks.guess import guess
from ..runtime.tasks.mapping import ANSWERS, QUESTIONS
from ..scenarios.document import parse
from ..scenarios.errors import InputError
from ..scenarios.scenario import build
from ..scenarios.tasks import Kind
from .options import PLACES, Place

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_NO_WORDS = frozenset(("yes", "no", "true", "false", "on", "off", "y", "n", "null"))

CLOSED: tuple[Kind, ...] = ("multiple_choice", "classification", "yes_no", "yes_no_maybe")


class Ground(NamedTuple):
    """Where models run: the lines of its endpoint, and the models proposed to write and to answer."""

    endpoint: tuple[str, ...]
    writer: str
    target: str


class StarterTask(NamedTuple):
    """A task as it is first written down; `fields` holds only names that are not the usual ones."""

    name: str
    data: str
    kind: Kind
    labels: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    description: str = ""


GROUNDS: dict[Place, Ground] = {
    "openai": Ground(
        (
            "base_url: https://api.openai.com/v1",
            "api_key_env: OPENAI_API_KEY # the key itself stays in the environment",
            "limits: {concurrency: 16} # and requests_per_minute, tokens_per_minute where you know them",
        ),
        writer="gpt-4.1",
        target="gpt-4.1-nano",
    ),
    "vllm": Ground(
        ("base_url: http://localhost:8000/v1", "limits: {concurrency: 64}"),
        writer="Qwen/Qwen2.5-7B-Instruct",
        target="Qwen/Qwen2.5-7B-Instruct",
    ),
    "ollama": Ground(
        ("base_url: http://localhost:11434/v1", "logprobs: false", "limits: {concurrency: 4}"),
        writer="llama3.1:8b",
        target="llama3.2:1b",
    ),
    "llamacpp": Ground(
        ("base_url: http://localhost:8080/v1", "limits: {concurrency: 4}"),
        writer="default",
        target="default",
    ),
    "embedded": Ground(
        ("local: smollm2-135m-instruct # runs here, on the CPU", "limits: {concurrency: 8}"),
        writer="smollm2-135m-instruct",
        target="smollm2-135m-instruct",
    ),
}


class Starter(NamedTuple):
    """What a first scenario is made of. Without `sources` there is no source stage."""

    name: str
    place: Place
    writer: str
    target: str
    sources: Sequence[StarterTask]
    targets: Sequence[StarterTask]
    prompt: str

    def text(self, *, file: str, schema: str) -> str:
        """The YAML; `file` is what commands call it, `schema` where editors find the JSON Schema."""
        return "\n".join(self._lines(file, schema)) + "\n"

    def _lines(self, file: str, schema: str) -> Iterator[str]:
        place, small = self.place, self.place == "embedded"
        yield from (
            f"# yaml-language-server: $schema={schema}",
            f"# Look at your rows as models see them: tprompt peek {file}",
            f"# Check the file and what it would take: tprompt plan {file}",
            f"# Run it, and again to go on: tprompt run {file}",
            "",
            f"name: {_quoted(self.name)}",
            "seed: 1 # all randomness comes from it",
            "",
            "endpoints: # where models are asked",
            f"  {place}:",
            *(f"    {line}" for line in GROUNDS[place].endpoint),
            "",
            "models: # an endpoint and the name it knows; prices make budget.usd count",
            *self._model("writer", self.writer),
            *self._model("target", self.target),
            "",
            "reference: # the model that writes candidates",
            "  model: writer",
            f"  candidates_per_step: {6 if small else 8}",
            *(_SMALL_WRITER if small else ()),
            "",
            "targets: [target] # the models the prompts are for",
            "",
            "tasks:",
            *(line for task in self.sources for line in self._task(task, "where prompts are refined first")),
            *(line for task in self.targets for line in self._task(task, "what the prompts are for")),
            "",
            "stages:",
            "  source:",
            f"    tasks: {_list(task.name for task in self.sources)}",
            "    steps: 4",
            "    seed_prompts: # the prompt you use today; the results are held against the first",
            f"      - {_quoted(self.prompt)}",
            "  target:",
            f"    tasks: {_list(task.name for task in self.targets)}",
            "    steps: 4",
            "",
            "budget: # caps that nothing passes; raise one and run again to go on",
            "  calls: 5000",
            "  # usd: 5.00",
        )

    def _model(self, name: str, model: str) -> Iterator[str]:
        yield f"  {name}:"
        yield f"    endpoint: {self.place}"
        yield f"    model: {_quoted(model)}"
        yield "    # price: {input_per_million: 2.00, output_per_million: 8.00}"

    def _task(self, task: StarterTask, role: str) -> Iterator[str]:
        yield f"  {_quoted(task.name)}: # {role}"
        yield f"    data: {_quoted(task.data)}"
        yield f"    kind: {task.kind}"
        if task.labels:
            yield f"    labels: {_list(task.labels)}"
        if task.fields:
            named = ", ".join(f"{key}: {_quoted(value)}" for key, value in task.fields)
            yield f"    fields: {{{named}}} # which field of a row is what"
        if task.description:
            yield f"    description: {_quoted(task.description)} # the reference LLM reads it"
        else:
            yield "    # description: What is asked, in a sentence or two; the reference LLM reads it."
        if self.place == "embedded" and task.kind in CLOSED:
            yield "    read: likelihood # small models answer best by the likelihood of one token"
        yield "    # split: {train: 60, validation: 40, test: 100} # rows; left out: 40, 30 and 30 %"


_SMALL_WRITER = (
    "  temperature: 0.8",
    "  max_tokens: 48",
    "  max_characters: 400",
    "  operators: [rephrase, specify, focus, define, shorten, combine, move] # small edits for a small model",
)


def _quoted(text: str) -> str:
    """A YAML scalar: a plain word as it is, all else as a JSON string, which YAML reads the same way."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _NO_WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def _list(names: Iterator[str] | Sequence[str]) -> str:
    return f"[{', '.join(_quoted(name) for name in names)}]"


T = TypeVar("T", bound=str)

PROMPT = "Which label fits this text?"

SAMPLES = (
    ("reviews", "Tell whether a review is positive or negative.", ("negative", "positive")),
    ("tickets", "Tell whether a support ticket is urgent or routine.", ("routine", "urgent")),
)


class Answers(NamedTuple):
    """What a person says of a first scenario; None is what was left open."""

    place: Place | None = None
    target: str | None = None
    writer: str | None = None
    data: Path | None = None
    prompt: str | None = None
    source: Path | None = None


class _DataFile(PromptBase[Path]):
    def process_response(self, value: str) -> Path:
        path = Path(value.strip()).expanduser()
        if not path.is_file():
            raise InvalidResponse(f"[prompt.invalid]{escape(value.strip())}: no such data file")
        return path


def at_terminal() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def interview() -> Answers:
    """What the person at the terminal answers."""
    place = _chosen("Where are your models asked", PLACES)
    ground = GROUNDS[place]
    return Answers(
        place=place,
        target=Prompt.ask("Model the prompts are for", default=ground.target),
        writer=Prompt.ask("Model that writes candidates", default=ground.writer),
        data=_DataFile.ask(
            "Rows of your task, a JSONL or CSV file (empty: two small samples)",
            default=None,
            show_default=False,
        ),
        prompt=Prompt.ask("The prompt you use today", default=PROMPT),
    )


def _chosen(question: str, choices: Sequence[T]) -> T:
    answer = Prompt.ask(question, default=choices[0], choices=[*choices])
    return next(choice for choice in choices if choice == answer)


def starter_of(path: Path, answers: Answers) -> Starter:
    """The scenario to write at `path`, with the usual where an answer was left open. Raises InputError."""
    place = answers.place or PLACES[0]
    ground = GROUNDS[place]
    sources, targets = starter_tasks(path.parent, answers.data, answers.source)
    return Starter(
        name=name_of(path),
        place=place,
        writer=answers.writer or ground.writer,
        target=answers.target or ground.target,
        sources=sources,
        targets=targets,
        prompt=answers.prompt or PROMPT,
    )


def starter_tasks(
    folder: Path, data: Path | None, source: Path | None
) -> tuple[list[StarterTask], list[StarterTask]]:
    """The source tasks and the target tasks; two samples where no data is named."""
    if data is None and source is None:
        sample_source, sample_target = sample_tasks(folder)
        return [sample_source], [sample_target]
    if data is None:
        raise InputError("--source-data: also name the rows of your task with --data")
    sources = [] if source is None else [task_of(source, folder)]
    targets = [task_of(data, folder)]
    if [task.name for task in sources] == [task.name for task in targets]:
        targets = [targets[0]._replace(name=f"{targets[0].name}-target")]
    return sources, targets


def task_of(data: Path, folder: Path) -> StarterTask:
    """The task that a data file seems to hold, its path as seen from `folder`. Raises InputError."""
    if not data.is_file():
        raise InputError(f"{data}: no such data file")
    found = guess(data)
    named = (("question", found.question, QUESTIONS), ("answer", found.answer, ANSWERS))
    return StarterTask(
        name=name_of(data),
        data=os.path.relpath(data, folder),
        kind=found.kind,
        labels=found.labels,
        fields=tuple((key, field) for key, field, usual in named if field not in usual),
    )


def name_of(path: Path) -> str:
    """A name for what a file holds: its own, without what names may not hold."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_") or "unnamed"


def sample_tasks(folder: Path) -> tuple[StarterTask, StarterTask]:
    """Two small tasks to try things with; their data is copied to `folder`/data, where it is not yet."""
    bundled = files("transfer_prompting.scenarios").joinpath("data")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    tasks: list[StarterTask] = []
    for name, description, labels in SAMPLES:
        copy = folder / "data" / f"{name}.jsonl"
        if not copy.exists():
            copy.write_text(bundled.joinpath(copy.name).read_text("utf-8"), encoding="utf-8")
        tasks.append(StarterTask(name, f"data/{copy.name}", "classification", labels, (), description))
    return tasks[0], tasks[1]


def write_starter(starter: Starter, path: Path) -> None:
    """Write the scenario, once its text and its data are found valid. Raises InputError."""
    schema = Path(str(files("transfer_prompting.scenarios").joinpath("schema.json"))).absolute().as_uri()
    text = starter.text(file=str(path), schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    load_tasks(build(parse(text, str(path)), path.parent))
    path.write_text(text, encoding="utf-8")
