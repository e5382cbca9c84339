"""The README says what is true: its scenario is valid, its snippet compiles, its commands exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from transfer_prompting.__main__ import app
from transfer_prompting.scenarios.document import parse
from transfer_prompting.scenarios.load import build, bundled

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def indented(start: str) -> str:
    """The indented block that begins with `start`, without its indentation."""
    begin = README.index(f"    {start}")
    lines: list[str] = []
    for line in README[begin:].splitlines():
        if line.strip() and not line.startswith("    "):
            break
        lines.append(line[4:])
    return "\n".join(lines)


def test_the_scenario_it_shows_is_valid(tmp_path: Path):
    document = parse(indented("name: reviews-to-tickets"), "README.md")
    assert build(document, tmp_path).name == "reviews-to-tickets"


def test_every_endpoint_it_shows_is_valid():
    rows = re.findall(r"^\| [\w. ]+ \| `(\{.*?\})`", README, re.MULTILINE)
    text = bundled()["quickstart"].read_text(encoding="utf-8")
    assert len(rows) == 5
    for settings in rows:
        document = parse(text, "quickstart.yaml")
        document.set(("endpoints", "embedded"), parse(f"x: {settings}", "README.md").data["x"], "README.md")
        assert build(document, Path()).endpoints["embedded"]


def test_the_scorer_section_it_shows_is_valid():
    document = parse(bundled()["quickstart"].read_text(encoding="utf-8"), "quickstart.yaml")
    shown = parse(indented("scorer:").replace("model: writer", "model: smollm2"), "README.md")
    document.set(("scorer",), shown.data["scorer"], "README.md")
    assert [quality.name for quality in build(document, Path()).scorer.judge] == ["relevance", "tone"]


def test_its_snippet_is_python():
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    compile(snippet, "README.md", "exec")


def test_every_command_it_shows_exists():
    commands = getattr(get_command(app), "commands")  # noqa: B009
    shown = set(re.findall(r"tprompt (\w+)", README))
    assert shown
    assert shown <= set(commands)


@pytest.mark.parametrize("command", ["peek quickstart --task tickets --rows 1", "plan quickstart"])
def test_the_output_it_shows_is_what_is_printed(command: str):
    shown = indented(f"$ tprompt {command}").splitlines()[1:]
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    arguments = [sys.executable, "-m", "transfer_prompting", *command.split()]
    done = subprocess.run(arguments, env=environment, check=True, capture_output=True, text=True)
    printed = [line.rstrip() for line in done.stdout.rstrip().splitlines()]
    assert [line.rstrip() for line in shown if line.strip()] == [line for line in printed if line]
