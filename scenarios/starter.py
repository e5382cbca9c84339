"""A first scenario file, with comments, for a person to go on from."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, get_args

from .tasks import Kind

Place = Literal["openai", "vllm", "ollama", "llamacpp", "embedded"]
PLACES: tuple[Place, ...] = get_args(Place)

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
