"""A best prompt beside the original as a promptfoo configuration, with held-out rows as its tests."""

import json
import re
from collections.abc import Mapping

import yaml

from ...scenarios.endpoints import Endpoint, Model
from ..prompt import Prompt
from ..tasks.example import Example
from ..tasks.load import LoadedTask
from ..tasks.render import answer_format, shown
from ..tasks.task import Reading
from .results import TargetResult

ROWS = 50
"""Test rows written at most."""

LOCAL_URL = "http://localhost:8080/v1"
"""Where llama.cpp's server listens by default: nobody but this package runs the embedded model."""

SCHEMA = "# yaml-language-server: $schema=https://promptfoo.dev/config-schema.json\n"

ROW, FORM = "{{row_as_shown}}", "{{answer_format}}"

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
            _prompt("original", target.baseline.prompt.prompt()),
            _prompt("best", target.best.prompt.prompt()),
        ],
        "providers": [_provider(target.model, model, endpoint, reading)],
        "tests": [_test(loaded, row, reading) for row in loaded.splits.test[:ROWS]],
    }
    return SCHEMA + yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _prompt(label: str, prompt: Prompt) -> Mapping[str, str]:
    """A chat in JSON: there promptfoo fills in variables as they are, whatever they hold."""
    text = _literal(prompt.text.strip())
    parts = {"system": [ROW, FORM], "before": [text, ROW, FORM], "after": [ROW, text, FORM]}
    turns = [{"role": "user", "content": "\n\n".join(parts[prompt.position])}]
    if prompt.position == "system":
        turns.insert(0, {"role": "system", "content": text})
    return {"id": label, "label": label, "raw": json.dumps(turns, ensure_ascii=False, indent=2)}


def _provider(name: str, model: Model, endpoint: Endpoint, reading: Reading) -> Mapping[str, object]:
    config: dict[str, object] = {
        "apiBaseUrl": LOCAL_URL if endpoint.base_url is None else str(endpoint.base_url),
        "temperature": model.temperature or 0,
        "max_tokens": 8 if reading.read == "likelihood" else model.max_tokens or reading.max_tokens,
    }
    if endpoint.api_key_env is not None:
        config["apiKeyEnvar"] = endpoint.api_key_env
    return {"id": f"openai:chat:{model.model}", "label": name, "config": config}


def _test(loaded: LoadedTask, row: Example, reading: Reading) -> Mapping[str, object]:
    question = row.asked()
    test: dict[str, object] = {
        "description": f"row {row.id}",
        "vars": {
            "row_as_shown": shown(loaded.task, question),
            "answer_format": answer_format(loaded.task, question, reading),
        },
    }
    if row.gold:
        test["assert"] = [{"type": "regex", "value": _literal(_expected(row, reading))}]
    return test


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


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
