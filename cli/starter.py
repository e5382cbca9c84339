"""The text of a first scenario file, from what is known of its endpoint, models and tasks."""

import json
import re
from collections.abc import Iterator, Sequence

import msgspec

from ..scenarios.tasks import Kind
from .options import Place

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_NO_WORDS = frozenset(("yes", "no", "true", "false", "on", "off", "y", "n", "null"))

CLOSED: tuple[Kind, ...] = ("multiple_choice", "classification", "yes_no", "yes_no_maybe")


class Ground(msgspec.Struct, frozen=True):
    """A place where models run: what its endpoint needs, and the models proposed to write and to answer.

    `at` is the key and value of its place, `key` the environment variable of its key, `settings` further
    lines.
    """

    at: tuple[str, str]
    settings: tuple[str, ...]
    writer: str
    target: str
    key: str = ""


GROUNDS: dict[Place, Ground] = {
    "openai": Ground(
        ("base_url", "https://api.openai.com/v1"),
        ("limits: {concurrency: 16} # and requests_per_minute, tokens_per_minute where you know them",),
        writer="gpt-4.1",
        target="gpt-4.1-nano",
        key="OPENAI_API_KEY",
    ),
    "vllm": Ground(
        ("base_url", "http://localhost:8000/v1"),
        ("limits: {concurrency: 64}",),
        writer="Qwen/Qwen2.5-7B-Instruct",
        target="Qwen/Qwen2.5-7B-Instruct",
    ),
    "ollama": Ground(
        ("base_url", "http://localhost:11434/v1"),
        ("limits: {concurrency: 4}",),
        writer="llama3.1:8b",
        target="llama3.2:1b",
    ),
    "llamacpp": Ground(
        ("base_url", "http://localhost:8080/v1"),
        ("limits: {concurrency: 4}",),
        writer="default",
        target="default",
    ),
    "embedded": Ground(
        ("local", "smollm2-135m-instruct"),
        ("limits: {concurrency: 8}",),
        writer="smollm2-135m-instruct",
        target="smollm2-135m-instruct",
    ),
}


def skipped_rows(blank: int, unread: int) -> str:
    """Rows without an answer and rows that cannot be read, as text; empty for none."""
    parts = (
        f"{count_rows(blank)} without an answer" if blank else "",
        f"{count_rows(unread)} that cannot be read" if unread else "",
    )
    return " and ".join(filter(None, parts))


class StarterTask(msgspec.Struct, frozen=True):
    """A task as it is first written down; `fields` holds only names that are not the default ones.

    `choices` are the fields with the options where their name is not the default. `blank` rows have no answer
    and `unread` ones cannot be read: both are to be skipped. `preset` takes the place of kind, labels and
    fields, and then `prompt` of its prompt where it is not empty. `rare` is a label with too few rows for
    every split, with their number.
    """

    name: str
    data: str
    kind: Kind
    labels: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    description: str = ""
    blank: int = 0
    unread: int = 0
    choices: tuple[str, ...] = ()
    preset: str = ""
    prompt: str = ""
    rare: tuple[str, int] | None = None

    @property
    def skipped(self) -> str:
        """The rows that are left out, as text; empty for none."""
        return skipped_rows(self.blank, self.unread)


class Starter(msgspec.Struct, frozen=True):
    """The content of a first scenario. Without `sources` there is no source stage.

    `base_url` and `key` take the place of those of the kind of endpoint, whose key is for its own address
    alone. `prompt` is a text, or the path of a file that holds it as seen from the scenario.
    """

    name: str
    place: Place
    writer: str
    target: str
    sources: Sequence[StarterTask]
    targets: Sequence[StarterTask]
    prompt: str
    base_url: str | None = None
    key: str | None = None

    @property
    def endpoint(self) -> str:
        """The name of the endpoint: its kind, or `api` for another address than OpenAI's."""
        elsewhere = self.base_url not in (None, GROUNDS[self.place].at[1])
        return "api" if self.place == "openai" and elsewhere else self.place

    @property
    def names(self) -> tuple[str, str]:
        """The names of writer and target: the models' own, without the organisation where that is enough."""
        writer, target = _last_part(self.writer), _last_part(self.target)
        same = self.writer == self.target
        return (writer, target) if same or writer != target else (self.writer, self.target)

    def text(self, *, file: str, schema: str) -> str:
        """The YAML; `file` is what commands call it, `schema` where editors find the JSON Schema."""
        return "\n".join(self._lines(file, schema)) + "\n"

    def _lines(self, file: str, schema: str) -> Iterator[str]:
        small = self.place == "embedded"
        writer, target = self.names
        yield from (
            f"# yaml-language-server: $schema={schema}",
            f"# Look at your rows as models see them: tprompt peek {file}",
            f"# Check the file and see what its budget buys: tprompt plan {file}",
            f"# Run it, and again to resume: tprompt run {file}",
            "",
            f"name: {_quoted(self.name)}",
            "seed: 1 # all randomness comes from it",
            "",
            "endpoints: # where the models are",
            *self._endpoint(),
            "",
            "models: # an endpoint and the name it knows; prices make budget.usd count",
            *(self._model(writer, self.writer) if writer != target else ()),
            *self._model(target, self.target),
            "",
            "reference: # the model that writes candidates",
            f"  model: {_quoted(writer)}",
            *(_SMALL_WRITER if small else ()),
            "",
            f"targets: {_list([target])} # the models the prompts are for",
            "",
            "tasks:",
            *(line for task in self.sources for line in self._task(task, "prompts are refined here first")),
            *(line for task in self.targets for line in self._task(task, "the prompts are for this")),
            "",
            "stages:",
            "  source:",
            f"    tasks: {_list(task.name for task in self.sources)}",
            "    seed_prompts: # the prompt you use today; results are compared with the first",
            f"      - {_quoted(self.prompt)}",
            "  target:",
            f"    tasks: {_list(task.name for task in self.targets)}",
            "",
            "budget: # how much to search; the final test comes on top",
            "  evaluations: 300 # rows answered while searching; 1000 finds better prompts",
            "  # usd: 5.00",
        )

    def _endpoint(self) -> Iterator[str]:
        ground = GROUNDS[self.place]
        where, value = ground.at
        comment = " # runs here, on the CPU" if self.place == "embedded" else ""
        own = self.base_url in (None, value)
        key = (ground.key if own else "") if self.key is None else self.key
        yield f"  {self.endpoint}:"
        yield f"    {where}: {_address(self.base_url or value)}{comment}"
        if key:
            yield f"    api_key_env: {_quoted(key)} # the key itself stays in the environment"
        elif where == "base_url":
            yield "    # api_key_env: API_KEY # the environment variable of the key, where it needs one"
        yield from (f"    {line}" for line in ground.settings)

    def _model(self, name: str, model: str) -> Iterator[str]:
        yield f"  {_quoted(name)}:"
        yield f"    endpoint: {self.endpoint}"
        yield f"    model: {_quoted(model)}"
        yield "    # price: {input_per_million: 2.00, output_per_million: 8.00}"

    def _task(self, task: StarterTask, role: str) -> Iterator[str]:
        yield f"  {_quoted(task.name)}: # {role}"
        yield f"    data: {_quoted(task.data)}"
        yield from _answers(task)
        if task.skipped:
            yield f"    on_bad_row: skip # {task.skipped}"
        if task.description:
            yield f"    description: {_quoted(task.description)} # the reference LLM reads it"
        elif not task.preset:
            yield "    # description: The task in a sentence or two; the reference LLM reads it."
        if self.place == "embedded" and task.kind in CLOSED:
            yield "    read: likelihood # small models answer best by the likelihood of one token"
        yield "    # split: {train: 60, validation: 40, test: 100} # rows; default: 40, 30 and 30 %"


def _answers(task: StarterTask) -> Iterator[str]:
    """The lines that say what the answers are, and which fields of a row are what."""
    if task.preset:
        yield f"    preset: {task.preset} # kind, labels, fields, a prompt: tprompt presets {task.preset}"
    else:
        yield f"    kind: {task.kind}"
    if task.prompt:
        yield f"    prompt: {_quoted(task.prompt)}"
    if task.labels:
        numbers = all(label.isdecimal() for label in task.labels)
        names = ' # name them, which models answer better: {"0": negative, "1": positive}'
        yield f"    labels: {_list(task.labels)}{names if numbers else ''}"
    if task.rare:
        yield f"    few_labels: 0 # {_quoted(task.rare[0])} has {count_rows(task.rare[1])} in all"
    fields = [f"{key}: {_quoted(value)}" for key, value in task.fields]
    if task.choices:
        choices = _quoted(task.choices[0]) if len(task.choices) == 1 else _list(task.choices)
        fields.append(f"choices: {choices}")
    if fields:
        yield f"    fields: {{{', '.join(fields)}}} # which field of a row is what"


_SMALL_WRITER = (
    "  candidates_per_reply: 1",
    "  temperature: 0.8",
    "  max_tokens: 48",
    "  max_characters: 400",
    "  operators: [rephrase, specify, focus, define, shorten, combine, move] # small edits for a small model",
)


def count_rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _quoted(text: str) -> str:
    """A YAML scalar: a plain word as it is, all else as a JSON string, which YAML reads the same way."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _NO_WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def _last_part(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2] or model


def _address(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9:/._-]+", text) else json.dumps(text, ensure_ascii=False)


def _list(names: Iterator[str] | Sequence[str]) -> str:
    return f"[{', '.join(_quoted(name) for name in names)}]"


PROMPTS: dict[Kind, str] = {
    "classification": "Which label fits this text?",
    "labels": "Which labels fit this text?",
    "multiple_choice": "Choose the right option.",
    "yes_no": "Answer the question with yes or no.",
    "yes_no_maybe": "Answer the question with yes, no or maybe.",
    "numeric": "Work out the answer. Give a number.",
}
"""Prompts for those who have none yet."""

ANY_PROMPT = "Answer the question."
