"""The JSON Schema that editors use: complete, shipped up to date, and true to what is accepted."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from transfer_prompting.scenarios.scenario import bundled, json_schema

from support.runs import scenario_data

SCHEMA: dict[str, Any] = yaml.safe_load(json_schema())
FIRST_LINE = "# yaml-language-server: $schema=schema.json\n"


def mappings() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "Scenario", SCHEMA
    yield from ((name, one) for name, one in SCHEMA["$defs"].items() if "properties" in one)


def keys() -> Iterator[Any]:
    for name, mapping in mappings():
        for key, value in mapping["properties"].items():
            yield pytest.param(value, id=f"{name}.{key}")


def problems(scenario: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(scenario)]


def shows_itself(value: dict[str, Any]) -> bool:
    """Whether the schema alone shows what may stand there: other keys, a list of values, a default."""
    kinds = [value, *value.get("anyOf", ())]
    listed = any("$ref" in kind or "enum" in kind or kind.get("type") == "boolean" for kind in kinds)
    return listed or value.get("default") not in (None, "", [], {})


def test_the_shipped_schema_is_up_to_date():
    shipped = files("transfer_prompting.scenarios").joinpath("schema.json").read_text("utf-8")
    assert shipped == json_schema() + "\n", "run: make schema"


def test_it_is_a_valid_schema():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("value", [*keys()])
def test_every_key_is_described_and_shown(value: dict[str, Any]):
    assert value.get("description")
    assert value.get("examples") or shows_itself(value), "give the field an example"


@pytest.mark.parametrize("value", [*keys()])
def test_every_example_is_valid(value: dict[str, Any]):
    here = Draft202012Validator({**value, "$defs": SCHEMA["$defs"]})
    for example in value.get("examples", ()):
        here.validate(example)


@pytest.mark.parametrize("path", [*bundled().values()], ids=[*bundled()])
def test_bundled_scenarios_name_the_schema_and_are_valid_by_it(path: Path):
    text = path.read_text("utf-8")
    assert text.startswith(FIRST_LINE)
    assert problems(yaml.safe_load(text)) == []


def test_what_the_loader_refuses_is_marked_in_editors():
    good = scenario_data("http://localhost:8000/v1")
    assert problems(good) == []
    assert problems({**good, "referense": {}})
    assert problems({**good, "seed": "seven"})
    assert problems({**good, "budget": {"calls": 0}})
    assert problems({key: value for key, value in good.items() if key != "stages"})


def test_every_mapping_refuses_keys_it_does_not_know():
    assert [name for name, mapping in mappings() if mapping.get("additionalProperties") is not False] == []
