"""A best prompt as a DSPy signature: Python text that imports nothing but dspy."""

import json
import re
from collections.abc import Sequence

from ..tasks.example import Example
from ..tasks.load import LoadedTask
from .export import about
from .results import TargetResult

OPEN = {"numeric": "float", "multiple_choice": "str", "text": "str", "judged": "str"}
"""The type of the answer, by kind, where the answers are not the same for every row."""


def as_dspy(targets: Sequence[tuple[TargetResult, LoadedTask]]) -> str:
    """One signature a target, with the prompt as its instructions (`dspy.Signature`, DSPy 2.5 and later).

    DSPy words the rest of the request itself, so what was measured need not hold there.
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
    fields = [*_inputs(rows), _output(loaded, rows[0])]
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
