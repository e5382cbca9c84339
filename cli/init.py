"""`tprompt init`: from a few answers to a first scenario file that is valid as it stands."""

import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import anyio
import msgspec
from rich.markup import escape
from rich.prompt import Confirm, InvalidResponse, Prompt, PromptBase

from ..agents.loading import load_tasks
from ..runtime.tasks.guess import Guess, answer_counts, guess
from ..runtime.tasks.load import LoadedTask
from ..runtime.tasks.mapping import ANSWERS, QUESTIONS
from ..runtime.tasks.presets import find_preset
from ..scenarios import Scenario
from ..scenarios.document import parse, read_text
from ..scenarios.endpoints import Retry
from ..scenarios.errors import InputError
from ..scenarios.files import open_regular
from ..scenarios.scenario import build
from ..scenarios.tasks import names_file
from .options import PLACES, Place, console
from .starter import ANY_PROMPT, GROUNDS, PROMPTS, Ground, Starter, StarterTask, count_rows, skipped_rows

T = TypeVar("T", bound=str)

SAMPLES = (
    ("reviews", "Tell whether a review is positive or negative.", ("negative", "positive")),
    ("tickets", "Tell whether a support ticket is urgent or routine.", ("routine", "urgent")),
)


class Answers(msgspec.Struct, frozen=True):
    """Answers for a first scenario; None is what was left open. `field` is the field with the answer."""

    place: Place | None = None
    base_url: str | None = None
    key: str | None = None
    target: str | None = None
    writer: str | None = None
    data: Path | None = None
    field: str | None = None
    source: Path | None = None
    prompt: str | None = None

    def kept(self, path: Path) -> str:
        """A line with the command that gives these answers, so that nobody types them twice."""
        given = ((option, getattr(self, name)) for name, option in _OPTIONS.items())
        options = [part for option, value in given if value is not None for part in (option, str(value))]
        return f"to keep your answers: {shlex.join(['tprompt', 'init', str(path), *options])}"


_OPTIONS = {
    "place": "--endpoint",
    "base_url": "--base-url",
    "key": "--key-env",
    "target": "--model",
    "writer": "--writer",
    "data": "--data",
    "field": "--answer",
    "source": "--source-data",
    "prompt": "--prompt",
}


class _DataFile(PromptBase[Path]):
    """Asks for a data file, until it is one that can be used."""

    def process_response(self, value: str) -> Path:
        path = Path(value.strip()).expanduser()
        try:
            _guessed(path)
        except InputError as error:
            raise InvalidResponse(f"[prompt.invalid]{escape(str(error))}") from None
        return path


class _PromptText(PromptBase[str]):
    """Asks for a prompt or the file that holds it, until the file can be read."""

    def process_response(self, value: str) -> str:
        try:
            _prompt(value, Path())
        except InputError as error:
            raise InvalidResponse(f"[prompt.invalid]{escape(str(error))}") from None
        return value


def at_terminal() -> bool:
    """True when there is a person to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def interview(path: Path) -> Answers:
    """Ask the person at the terminal. Where that ends early, the message or stderr names the command that
    keeps the answers so far. Raises InputError, or KeyboardInterrupt where they stop."""
    given = Answers()
    try:
        for name, ask in _QUESTIONS:
            given = msgspec.structs.replace(given, **{name: ask(given)})
    except (KeyboardInterrupt, EOFError):
        if given != Answers():
            sys.stderr.write(f"\n{given.kept(path)}\n")
        raise KeyboardInterrupt from None
    except InputError as error:
        raise InputError(f"{error}\n{given.kept(path)}") from None
    return given


def _ask_base_url(given: Answers) -> str | None:
    where, value = _ground(given).at
    if where != "base_url":
        return None
    url = Prompt.ask("Base URL", default=value)
    return None if url == value else url


def _ask_key(given: Answers) -> str | None:
    ground = _ground(given)
    if ground.at[0] != "base_url":
        return None
    default = ground.key if ground.key and given.base_url is None else "none"
    name = Prompt.ask("Environment variable with the API key", default=default)
    return None if name == default else "" if name == "none" else name


def _ask_data(_: Answers) -> Path | None:
    return _DataFile.ask(
        "Rows of your task: JSONL, CSV, Excel, … (empty: two small samples)",
        default=None,
        show_default=False,
    )


def _ask_field(given: Answers) -> str | None:
    if given.data is None:
        return None
    found = _guessed(given.data)
    preset = found.preset
    if preset:
        console().print(escape(describe_guess(found)), highlight=False)
        if Confirm.ask("Use this preset", default=True):
            return None
        found = guess(given.data)
    guessed = None if preset else found.answer
    while True:
        counts = answer_counts(given.data, found.answer)
        console().print(escape(describe_guess(found) + describe_counts(counts)), highlight=False)
        chosen = Prompt.ask("Field with the answer", default=found.answer)
        if chosen == found.answer:
            break
        try:
            found = _guessed(given.data, chosen)
        except InputError as error:
            console().print(escape(str(error)), style="red", highlight=False)
    skipped = skipped_rows(found.blank, found.unread)
    if skipped and not Confirm.ask(f"Skip {skipped}", default=True):
        raise InputError(f"{given.data}: {skipped}; complete or remove them")
    return None if found.answer == guessed else found.answer


def _ask_source(given: Answers) -> Path | None:
    if given.data is None:
        return None
    return _DataFile.ask(
        "Rows of a task to refine prompts on first (empty: none)", default=None, show_default=False
    )


def _ask_prompt(given: Answers) -> str | None:
    default = PROMPTS["classification"]
    if given.data is not None:
        default = _usual_prompt(task_of(given.data, Path(), given.field))
    prompt = _PromptText.ask("The prompt you use today, or a .md or .txt file that holds it", default=default)
    return None if prompt == default else prompt


_QUESTIONS: tuple[tuple[str, Callable[[Answers], object]], ...] = (
    ("place", lambda _: _chosen("Where are your models (any API like OpenAI's: openai)", PLACES)),
    ("base_url", _ask_base_url),
    ("key", _ask_key),
    ("target", lambda given: Prompt.ask("Model the prompts are for", default=_ground(given).target)),
    ("writer", lambda given: Prompt.ask("Model that writes candidates", default=_ground(given).writer)),
    ("data", _ask_data),
    ("field", _ask_field),
    ("source", _ask_source),
    ("prompt", _ask_prompt),
)


def _ground(given: Answers) -> Ground:
    return GROUNDS[given.place or PLACES[0]]


def _chosen(question: str, choices: Sequence[T]) -> T:
    answer = Prompt.ask(question, default=choices[0], choices=[*choices])
    return next(choice for choice in choices if choice == answer)


def _guessed(data: Path, field: str | None = None) -> Guess:
    if not data.is_file():
        raise InputError(f"{data}: no such data file")
    return guess(data, field, presets=True)


def describe_guess(found: Guess) -> str:
    """The kind and fields that rows suggest, as text."""
    if found.preset:
        return f"guessed: the preset {found.preset} ({find_preset(found.preset).title}), {found.kind}"
    labels = f" ({', '.join(found.labels)})" if found.labels else ""
    choices = f"; choices: {', '.join(found.choices)}" if found.choices else ""
    skipped = skipped_rows(found.blank, found.unread)
    return (
        f"guessed: {found.kind}; question: {found.question}{choices}; answer: {found.answer}{labels}"
        f"{'; ' if skipped else ''}{skipped}"
    )


COUNTED = 10
"""Answers whose counts are shown."""


def describe_counts(counts: Counter[str]) -> str:
    """The most frequent answers with the rows that have them, as text; empty where none repeats."""
    if not counts or counts.most_common(1)[0][1] == 1:
        return ""
    shown = ", ".join(f"{count} {answer[:40]}" for answer, count in counts.most_common(COUNTED))
    more = len(counts) - COUNTED
    return f"\nanswers: {shown}" + (f" and {more} others" if more > 0 else "")


def starter_of(path: Path, answers: Answers) -> Starter:
    """The scenario to write at `path`, with defaults for what was left open. Raises InputError."""
    place = answers.place or PLACES[0]
    ground = GROUNDS[place]
    if ground.at[0] != "base_url" and (answers.base_url or answers.key):
        raise InputError(f"--base-url, --key-env: --endpoint {place} runs the model here and needs neither")
    sources, targets = starter_tasks(path.parent, answers.data, answers.source, answers.field)
    prompt = _prompt(answers.prompt, path.parent)
    if prompt and targets[0].preset:
        targets = [msgspec.structs.replace(targets[0], prompt=prompt)]
    return Starter(
        name=name_of(path),
        place=place,
        writer=answers.writer or ground.writer,
        target=answers.target or ground.target,
        sources=sources,
        targets=targets,
        prompt=prompt or _usual_prompt(targets[0]),
        base_url=answers.base_url,
        key=answers.key,
    )


def _usual_prompt(task: StarterTask) -> str:
    """A prompt for those who have none yet."""
    return find_preset(task.preset).prompt if task.preset else PROMPTS.get(task.kind, ANY_PROMPT)


def _prompt(given: str | None, folder: Path) -> str | None:
    """The prompt; where a file that holds it is named, its path as seen from `folder`."""
    if given is None or not names_file(given):
        return given
    file = Path(given.strip()).expanduser()
    if not read_text(file).strip():
        raise InputError(f"{file}: the file of the prompt is empty")
    return os.path.relpath(file, folder)


def starter_tasks(
    folder: Path, data: Path | None, source: Path | None, field: str | None = None
) -> tuple[list[StarterTask], list[StarterTask]]:
    """The source tasks and the target tasks; two samples where no data is named. Raises InputError."""
    if data is None and source is None and field is None:
        sample_source, sample_target = sample_tasks(folder)
        return [sample_source], [sample_target]
    if data is None:
        raise InputError("--source-data, --answer: also name the rows of your task with --data")
    sources = [] if source is None else [task_of(source, folder)]
    targets = [task_of(data, folder, field)]
    if [task.name for task in sources] == [task.name for task in targets]:
        targets = [msgspec.structs.replace(targets[0], name=f"{targets[0].name}-target")]
    return sources, targets


def task_of(data: Path, folder: Path, field: str | None = None) -> StarterTask:
    """The task that a data file seems to hold, its path as seen from `folder`. Raises InputError."""
    found = _guessed(data, field)
    named = (("question", found.question, QUESTIONS), ("answer", found.answer, ANSWERS))
    return StarterTask(
        name=name_of(data),
        data=os.path.relpath(data, folder),
        kind=found.kind,
        labels=found.labels,
        fields=tuple((key, field) for key, field, usual in named if field and field not in usual),
        blank=found.blank,
        unread=found.unread,
        choices=found.choices,
        preset=found.preset,
        rare=_rare(data, found),
    )


RARE = 5
"""Rows of a label below which splits may lack it."""


def _rare(data: Path, found: Guess) -> tuple[str, int] | None:
    """The rarest label, where it has too few rows for every split to hold one."""
    if found.kind not in ("classification", "yes_no") or found.preset:
        return None
    label, count = answer_counts(data, found.answer).most_common()[-1]
    return (label, count) if count < RARE else None


def name_of(path: Path) -> str:
    """A name for what a file holds: its own, without what names may not hold."""
    stem = path.with_suffix("").stem if path.suffix == ".gz" else path.stem
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_") or "unnamed"


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


def write_starter(starter: Starter, path: Path) -> dict[str, LoadedTask]:
    """Write the scenario, once its text and its data are found valid; its tasks. Raises InputError."""
    schema = Path(str(files("transfer_prompting.scenarios").joinpath("schema.json"))).absolute().as_uri()
    text = starter.text(file=str(path), schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    loaded = load_tasks(build(parse(text, str(path)), path.parent))
    with open_regular(path, "wb") as file:
        file.write(text.encode())
    return loaded


def describe_tasks(starter: Starter, loaded: dict[str, LoadedTask]) -> Iterator[str]:
    """A line for each task: what was guessed of its data, with rows by answer."""
    for task in (*starter.sources, *starter.targets):
        found = loaded[task.name]
        fields = "".join(f"; {key}: {field}" for key, field in task.fields)
        counts = Counter[str]()
        for split in found.counts.values():
            counts.update(split)
        splits = (found.splits.train, found.splits.validation, found.splits.test)
        rows = ", ".join(f"{count} {label}" for label, count in sorted(counts.items()))
        skipped = f"; {task.skipped} skipped" if task.skipped else ""
        shown = f" ({rows})" if rows else ""
        preset = f"preset {task.preset}, " if task.preset else ""
        fields += f"; choices: {', '.join(task.choices)}" if task.choices else ""
        yield f"{task.name}: {preset}{task.kind}{fields}; {count_rows(sum(map(len, splits)))}{shown}{skipped}"


BRIEFLY = 3.0
"""Seconds that a person waits for a connection to open."""


def connection_notes(scenario: Scenario) -> Iterator[str]:
    """Reasons for which the endpoints cannot be called yet: a key that is not set, no connection. No call is
    made."""
    from ..runtime.llm.probes import unreachable

    used = (*scenario.targets, scenario.reference.model)
    for name in dict.fromkeys(scenario.models[model].endpoint for model in used):
        endpoint = scenario.endpoints[name]
        if endpoint.api_key_env and not os.environ.get(endpoint.api_key_env):
            yield f"{endpoint.api_key_env} is not set; set it to the key of this endpoint before you run"
        if endpoint.base_url and (reason := anyio.run(unreachable, str(endpoint.base_url), BRIEFLY)):
            yield reason


BRIEF_RETRY = Retry(attempts=1, seconds=10)
"""A person waits for the test of a connection: no series of retries."""


def check_connection(scenario: Scenario, say: Callable[[str], None]) -> None:
    """Make one call to each model and say how long it took.

    Raises CallFailed, EndpointError or InputError.
    """
    anyio.run(_check_connection, scenario, say)


async def _check_connection(scenario: Scenario, say: Callable[[str], None]) -> None:
    from ..runtime.llm.budget.budget import Budget
    from ..runtime.llm.chat import ChatRequest, Message
    from ..runtime.llm.ledger.ledger import open_ledger
    from ..runtime.llm.probes import PROBE
    from ..runtime.llm.stack import open_models

    brief = {name: one.model_copy(update={"retry": BRIEF_RETRY}) for name, one in scenario.endpoints.items()}
    quick = scenario.model_copy(update={"endpoints": brief})
    async with (
        open_ledger(None) as ledger,
        open_models(quick, ledger=ledger, budget=Budget(quick.budget)) as models,
    ):
        for name in dict.fromkeys((*quick.targets, quick.reference.model)):
            request = ChatRequest(
                model=models.spec(name).model, messages=(Message("user", PROBE),), max_tokens=16
            )
            response = await models.client(name, "target").chat(request)
            say(f"{name}: {request.model} answers in {response.seconds:.1f} s")
