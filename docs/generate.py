"""Writes what follows from the code: the JSON Schema and the generated parts of the reference pages.

    python docs/generate.py

A page holds its generated part between `<!-- generated -->` and `<!-- /generated -->`.
"""

import inspect
import json
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from rich.text import Text
from typer.main import get_command

from transfer_prompting.cli.app import app
from transfer_prompting.runtime.evaluation.metrics import METRICS
from transfer_prompting.scenarios.scenario import json_schema

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "scenarios" / "schema.json"
PARTS = re.compile(r"(<!-- generated -->\n).*?(<!-- /generated -->)", re.DOTALL)

Part = dict[str, Any]


def files() -> dict[Path, str]:
    """Text of every generated file."""
    texts = {SCHEMA: json_schema() + "\n"}
    for name, part in (("scenario.md", scenario_keys), ("commands.md", commands), ("metrics.md", metrics)):
        page = ROOT / "docs" / name
        written = "\n".join(part())
        texts[page] = PARTS.sub(
            lambda old, new=written: f"{old[1]}{new}\n\n{old[2]}", page.read_text("utf-8")
        )
    return texts


def scenario_keys() -> Iterator[str]:
    """A section for each mapping of a scenario file, in the order of its keys."""
    schema: Part = json.loads(json_schema())
    places = {"Scenario": "The file itself"}
    _place(schema, schema, "", places)
    for name, place in places.items():
        mapping = schema if name == "Scenario" else schema["$defs"][name]
        yield from (
            ("", f"## {place}")
            if name == "Scenario"
            else (
                "",
                f"## `{place}`",
                "",
                mapping["description"],
            )
        )
        yield from ("", "| key | |", "|---|---|")
        needed = mapping.get("required", ())
        for key, value in mapping["properties"].items():
            # Two columns: more of them cannot be read on a phone.
            facts = "; ".join(filter(None, (_kind(value, places), _default(value, key in needed))))
            yield f"| `{key}` | {_described(value)}<br>*{facts}* |"


def commands() -> Iterator[str]:
    """A section for each command, with its arguments and options."""
    for name, command in getattr(get_command(app), "commands").items():  # noqa: B009 - Typer keeps it untyped
        yield from ("", f"## tprompt {name}", "", *_help(command.help), "")
        hints = get_type_hints(command.callback)
        rows = [_parameter(one, hints[one.name]) for one in command.params if one.name != "help"]
        if rows:
            yield from ("| option | |", "|---|---|", *rows)


def metrics() -> Iterator[str]:
    """A line for each metric of the table."""
    yield from ("| metric | what it is | undefined (null) where |", "|---|---|---|")
    for metric in METRICS.values():
        better = "; lower is better" if metric.better == "lower" else ""
        label = "" if metric.label == metric.name.capitalize() else f"{metric.label}: "
        yield f"| `{metric.name}` | {label}{_cell(metric.formula)}{better} | {metric.undefined} |"


def _place(schema: Part, mapping: Part, path: str, places: dict[str, str]) -> None:
    for key, value in mapping["properties"].items():
        for name, below in _references(value):
            if name not in places and "properties" in schema["$defs"][name]:
                places[name] = f"{path}{key}{below}"
                _place(schema, schema["$defs"][name], f"{places[name]}.", places)


def _references(value: Part) -> Iterator[tuple[str, str]]:
    """The mappings in a value, each with the text between its key and it in a path."""
    if "$ref" in value:
        yield value["$ref"].rpartition("/")[2], ""
    for inner in value.get("anyOf", ()):
        yield from _references(inner)
    if isinstance(inner := value.get("additionalProperties"), dict):
        yield from ((name, f".NAME{below}") for name, below in _references(inner))
    if isinstance(inner := value.get("items"), dict):
        yield from ((name, f"[]{below}") for name, below in _references(inner))


def _kind(value: Part, places: dict[str, str]) -> str:
    if "$ref" in value:
        place = places.get(value["$ref"].rpartition("/")[2])
        return "anything" if place is None else f"[mapping](#{re.sub(r'[^a-z_]+', '', place.lower())})"
    if "anyOf" in value:
        kinds = (_kind(inner, places) for inner in value["anyOf"] if inner.get("type") != "null")
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in value or "const" in value:
        return "one of " + ", ".join(f"`{one}`" for one in value.get("enum", [value.get("const")]))
    match value.get("type"):
        case "array":
            return f"list: {_kind(value['items'], places)}"
        case "object":
            inner = next(iter(value.get("patternProperties", {}).values()), value.get("additionalProperties"))
            return f"map of NAME to {_kind(inner, places)}" if isinstance(inner, dict) else "mapping"
        case None:
            return "anything"
        case kind:
            return f"{kind}{_bounds(value)}"


BEYOND = 10**15
"""Bounds from here on are not worth a word."""


def _bounds(value: Part) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = {key: value[key] for key in signs if abs(value.get(key, BEYOND)) < BEYOND}
    found = [f"{signs[key]} {bound:,}" for key, bound in bounds.items()]
    return f" {' and '.join(found)}" if found else ""


def _default(value: Part, needed: bool) -> str:
    if needed:
        return "required"
    default = value.get("default")
    return "" if default in (None, "", [], {}) else _cell(f"default `{_inline(default)}`")


def _described(value: Part) -> str:
    examples = " or ".join(f"`{_inline(example)}`" for example in value.get("examples", ()))
    text = value["description"].rstrip(".") + "."
    return _cell(f"{text} For example {examples}." if examples else text)


def _inline(value: object) -> str:
    """A value in one line of YAML."""
    return json.dumps(value, ensure_ascii=False)


def _help(text: str) -> Iterator[str]:
    """A docstring as Markdown: its examples, one a paragraph or after `Example:`, as one block."""
    text, _, shown = Text.from_markup(inspect.cleandoc(text), emoji=False).plain.partition("Example")
    yield text.strip()
    if shown:
        lines = [line.strip() for line in shown.removeprefix("s").removeprefix(":").splitlines()]
        yield from ("", "```sh", *(line for line in lines if line), "```")


def _parameter(parameter: Any, hint: object) -> str:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar}`"
    return f"| {names} | {_cell(' '.join(_meaning(parameter, hint)))} |"


def _meaning(parameter: Any, hint: object) -> Iterator[str]:
    """Purpose of a parameter, its choices and its default."""
    yield parameter.help or ""
    if choices := _choices(hint):
        yield f"One of {', '.join(f'`{choice}`' for choice in choices)}."
    default = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    if default is not None and default is not False:
        yield f"Default: {default}." if " " in str(default) else f"Default: `{default}`."


def _choices(hint: object) -> list[str]:
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return [*hint]
    if get_origin(hint) is Literal:
        return [*get_args(hint)]
    return [choice for inner in get_args(hint) for choice in _choices(inner)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
