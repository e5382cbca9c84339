"""The best prompts of a run for use elsewhere: text, JSON, DSPy signatures, promptfoo configurations."""

import json
import re
from collections.abc import Mapping, Sequence

import msgspec
import yaml

from ...scenarios.endpoints import Endpoint, Model
from ...scenarios.errors import InputError, nearest
from ..evaluation.scorecard import Gain, Scorecard
from ..prompt import Position, Prompt
from ..record.results import Results, TargetResult
from ..tasks.example import Example
from ..tasks.load import LoadedTask
from ..tasks.task import Frame, Reading, Task, framed, turns
from .wording import PLACEMENT


class Exported(msgspec.Struct, frozen=True):
    """A best prompt with its scores on test; `texts` by name where an application has several prompts."""

    task: str
    model: str
    id: str
    text: str
    position: Position
    origin: str
    parents: tuple[str, ...]
    scorecard: Scorecard
    gain: dict[str, Gain]
    texts: dict[str, str] = {}


def chosen(results: Results, task: str | None = None, model: str | None = None) -> list[TargetResult]:
    """The targets of that task and model, or of all where none is named.

    Raises InputError when there is no such task or model among the results, and when nothing was finished.
    """
    targets = results.targets
    if not targets:
        raise InputError(f"{results.name}: no target was finished ({results.status}); run the scenario again")
    _known("task", task, [target.task for target in targets])
    _known("model", model, [target.model for target in targets])
    found = [one for one in targets if task in (None, one.task) and model in (None, one.model)]
    if not found:
        raise InputError(f"no result for task {task!r} with model {model!r}")
    return found


def only(targets: Sequence[TargetResult], form: str) -> TargetResult:
    """The one target of a format that takes no more; InputError lists those to choose from."""
    if len(targets) > 1:
        names = ", ".join(f"--task {target.task} --model {target.model}" for target in targets)
        raise InputError(f"--format {form} takes one prompt; choose one of: {names}")
    return targets[0]


def as_text(targets: Sequence[TargetResult]) -> str:
    """The text of one prompt alone; of several, each under a line with its target and placement."""
    if len(targets) == 1:
        return targets[0].best.prompt.text
    return "\n\n".join(f"# {about(target)}\n{target.best.prompt.text}" for target in targets)


def as_json(targets: Sequence[TargetResult]) -> str:
    """A JSON list of `Exported`."""
    return msgspec.json.format(msgspec.json.encode([_exported(target) for target in targets])).decode()


def about(target: TargetResult) -> str:
    """Target and placement of a best prompt."""
    name = " ".join(f"{target.task} with {target.model}".split())
    return f"{name}, placement: {PLACEMENT[target.best.prompt.position]}"


def _exported(target: TargetResult) -> Exported:
    prompt = target.best.prompt
    return Exported(
        task=target.task,
        model=target.model,
        id=prompt.id,
        text=prompt.text,
        position=prompt.position,
        origin=prompt.origin,
        parents=prompt.parents,
        scorecard=target.best.scorecard,
        gain=target.gain,
        texts=prompt.prompt().texts,
    )


def _known(option: str, name: str | None, names: Sequence[str]) -> None:
    if name is not None and name not in names:
        raise InputError(f"--{option} {name}: no such {option} in these results; {nearest(name, names)}")


OPEN = {
    "numeric": "float",
    "multiple_choice": "str",
    "text": "str",
    "judged": "str",
    "labels": "str",
    "extraction": "str",
}
"""The type of the answer, by kind, where the answers are not the same for every row."""


def as_dspy(targets: Sequence[tuple[TargetResult, LoadedTask]]) -> str:
    """One signature a target, with the prompt as its instructions (`dspy.Signature`, DSPy 2.5 and later).

    DSPy writes the rest of the request itself, so scores measured here need not hold there.
    """
    named: dict[str, str] = {}
    alone = len({target.model for target, _ in targets}) == 1
    for target, loaded in targets:
        name = _name(target, alone=alone)
        while name in named:
            name += "_"
        named[name] = f"# {about(target)}\n{name} = {_signature(target, loaded)}"
    literal = any("Literal[" in text for text in named.values())
    imports = ["from typing import Literal", ""] if literal else []
    return "\n".join([*imports, "import dspy", "", "\n\n".join(named.values())])


def _signature(target: TargetResult, loaded: LoadedTask) -> str:
    rows = loaded.splits.test
    own = [f'"{_variable(name)}": (str, dspy.InputField())' for name in loaded.task.variables]
    fields = [*(own or _inputs(rows)), _output(loaded, rows[0])]
    lines = "\n".join(f"        {field}," for field in fields)
    return f"dspy.Signature(\n    {{\n{lines}\n    }},\n    instructions={_text(target.best.prompt.text)},\n)"


def _inputs(rows: Sequence[Example]) -> list[str]:
    fields = ['"question": (str, dspy.InputField())']
    if any(row.context for row in rows):
        fields.insert(0, '"context": (str, dspy.InputField())')
    if any(row.choices for row in rows):
        fields.append('"choices": (list[str], dspy.InputField(desc="lettered A, B, … in this order"))')
    return fields


def _output(loaded: LoadedTask, row: Example) -> str:
    answers = loaded.task.answers
    labels = ", ".join(_text(label) for label in answers.allowed(row.asked()))
    kind = OPEN.get(answers.kind) or f"Literal[{labels}]"
    return f'"answer": ({kind}, dspy.OutputField(desc={_text(answers.hint(row.asked()))}))'


def _name(target: TargetResult, *, alone: bool) -> str:
    words = re.findall(r"[A-Za-z0-9]+", target.task if alone else f"{target.task} {target.model}")
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return name if name[:1].isalpha() else f"Task{name}"


def _text(value: str) -> str:
    """A Python literal; what JSON escapes, Python reads the same way."""
    return json.dumps(value, ensure_ascii=False)


ROWS = 50
"""Test rows written at most."""

LOCAL_URL = "http://localhost:8080/v1"
"""Default address of llama.cpp's server: only this package runs the embedded model."""

SCHEMA = "# yaml-language-server: $schema=https://promptfoo.dev/config-schema.json\n"

ROW, FORM = "row_as_shown", "answer_format"

_MARK = re.compile(r"\{(?=[{%#])|(?<=#)\}")
_JAVASCRIPT_SPECIAL = re.compile(r"[.*+?^${}()|\[\]\\/]")


def as_promptfoo(
    target: TargetResult, loaded: LoadedTask, reading: Reading, model: Model, endpoint: Endpoint
) -> str:
    """YAML for `promptfoo eval`: two prompts, one provider, and at most `ROWS` rows of the test split.

    A row passes when the reply gives the right answer in the strict format, or begins with it where the run
    read likelihoods (promptfoo has no reading of probabilities). Judged answers have no assertion.
    """
    config = {
        "description": f"{target.task} with {target.model}: the original prompt and the best",
        "prompts": [
            _prompt("original", target.baseline.prompt.prompt(), loaded.task),
            _prompt("best", target.best.prompt.prompt(), loaded.task),
        ],
        "providers": [_provider(target.model, model, endpoint, reading)],
        "tests": [_test(loaded, row, reading) for row in loaded.splits.test[:ROWS]],
    }
    return SCHEMA + yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _prompt(label: str, prompt: Prompt, task: Task) -> Mapping[str, str]:
    """A chat in JSON, in which promptfoo fills in variables unchanged, regardless of their content."""
    fields = {name: _variable(name) for name in task.variables}
    row = "" if fields else _marked(ROW)
    frame = Frame(
        row, _marked(FORM) if task.framed else "", tuple((name, _marked(fields[name])) for name in fields)
    )
    sent = [{"role": turn.role, "content": _filled_in(turn.content)} for turn in turns(prompt, frame)]
    return {"id": label, "label": label, "raw": json.dumps(sent, ensure_ascii=False, indent=2)}


def _marked(name: str) -> str:
    """A variable of promptfoo, in characters that no prompt holds (private use)."""
    return f"\ue000{name}\ue001"


def _filled_in(text: str) -> str:
    """The text as a literal, its marks as variables of the template."""
    return _literal(text).replace("\ue000", "{{").replace("\ue001", "}}")


def _variable(field: str) -> str:
    """The name of a field as a variable of a template: the paths of nested fields have dots."""
    return re.sub(r"\W", "_", field)


def _provider(name: str, model: Model, endpoint: Endpoint, reading: Reading) -> Mapping[str, object]:
    config: dict[str, object] = {
        "apiBaseUrl": LOCAL_URL if endpoint.base_url is None else str(endpoint.base_url),
        "temperature": model.temperature or 0,
        "max_tokens": 8 if reading.read == "likelihood" else model.max_tokens or reading.max_tokens,
    }
    if endpoint.api_key_env is not None:
        config["apiKeyEnvar"] = endpoint.api_key_env
    else:  # promptfoo asks for a key, and would send that of OpenAI to any server
        config["apiKey"] = "none"
    return {"id": f"openai:chat:{model.model}", "label": name, "config": config}


def _test(loaded: LoadedTask, row: Example, reading: Reading) -> Mapping[str, object]:
    question = row.asked()
    test: dict[str, object] = {
        "description": f"row {row.id}",
        "vars": _variables(loaded.task, framed(loaded.task, question, reading)),
    }
    if row.gold:
        test["assert"] = [{"type": "regex", "value": _literal(_expected(row, reading))}]
    return test


def _variables(task: Task, frame: Frame) -> Mapping[str, str]:
    """Values of the variables for one row."""
    own = {_variable(name): value for name, value in frame.fields if name in task.variables}
    return (own or {ROW: frame.row}) | ({FORM: frame.form} if task.framed else {})


def _expected(row: Example, reading: Reading) -> str:
    """A JavaScript pattern for a right answer that ends where a longer word would go on."""
    answers = "|".join(_JAVASCRIPT_SPECIAL.sub(r"\\\g<0>", answer) for answer in (row.gold, *row.also))
    lead = r"^\s*" if reading.read == "likelihood" else r"Answer:[ \t]*"
    return rf"{lead}(?:{answers})(?!\w)"


def _literal(text: str) -> str:
    """A template (Nunjucks) that gives back the text: no mark in it opens or ends anything."""
    return _MARK.sub(lambda mark: f"{{{{ '{mark[0]}' }}}}", text)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _represent(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _represent)
