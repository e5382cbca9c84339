"""The page as a document: complete in itself, its policy as tight as its scripts, its data no markup."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import anyio
import pytest

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.messages import SearchStarted
from transfer_prompting.runtime.record.results import read
from transfer_prompting.runtime.report.page import write_page
from transfer_prompting.runtime.report.page.build import view_of
from transfer_prompting.runtime.report.page.document import document
from transfer_prompting.runtime.report.page.view import PromptView, View
from transfer_prompting.scenarios.errors import InputError

from support.runs import simulated

EVIL = "</script><script>window.harmed = true</script><!-- {{script}} ]]>"


class Page(HTMLParser):
    """The scripts, links and policy of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.addresses: list[str] = []
        self.policy = ""
        self.title = ""
        self._in: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        named = dict(attrs)
        if tag == "script":
            self.scripts.append((named, ""))
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"] or ""
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action"}]

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        if self._in == "title":
            self.title += data

    def handle_endtag(self, tag: str) -> None:
        self._in = None


def evil() -> View:
    prompt = PromptView(id="1", text=EVIL, position="before", origin=EVIL)
    return View(name=EVIL, status=EVIL, words=EVIL, prompts=(prompt,), more={EVIL: EVIL})


def test_data_from_a_run_cannot_close_its_element_or_fill_a_slot():
    page = Page(document(evil()))
    (data,) = (text for attributes, text in page.scripts if attributes.get("type") == "application/json")
    assert json.loads(data)["prompts"][0]["text"] == EVIL
    assert "<" not in data
    assert page.title == f"{EVIL}: transfer-prompting"
    running = [text for attributes, text in page.scripts if "type" not in attributes]
    assert len(running) == 2


@pytest.mark.parametrize("live", [False, True])
def test_the_policy_allows_the_pages_own_scripts_and_nothing_else(live: bool):
    page = Page(document(evil(), live=live))
    running = [text for attributes, text in page.scripts if "type" not in attributes]
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running}
    rules = dict(rule.strip().split(" ", 1) for rule in page.policy.split(";"))
    assert set(re.findall(r"'sha256-([^']+)'", rules["script-src"])) == hashes
    assert "unsafe" not in rules["script-src"]
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == ("'self'" if live else "'none'")


def test_nothing_is_loaded_from_anywhere():
    page = Page(document(evil()))
    assert {address for address in page.addresses if not address.startswith("#")} == {"data:,"}


async def test_a_run_with_an_output_folder_writes_its_report(tmp_path: Path):
    out = tmp_path / "out"
    async with simulated(tmp_path) as (scenario, _, _), Team(scenario, out=out) as team:
        results = await team.run()
    shown, blocks = view_of(out)
    (told,) = shown.targets
    (target,) = results.targets
    assert (out / "report.html").read_text() == document(shown, blocks)
    assert shown.prompts[told.best].text == target.best.prompt.text
    assert shown.responses.total == shown.responses.shown > 0
    assert told.diagrams[1].ece == pytest.approx(target.best.scorecard.ece, abs=1e-4)
    assert shown.strategy == results.strategy
    for one, summary in zip(shown.searches, results.searches, strict=True):
        assert (one.scope, one.visited, one.stopped) == (summary.scope, summary.visited, summary.stopped)
        assert one.notes == summary.notes
        assert [shown.prompts[entry.prompt].id for entry in one.front] == [
            entry.prompt.id for entry in summary.front
        ]
    cells = shown.cells
    assert cells is not None
    tested = [i for i, split in enumerate(cells.split) if split == "test"]
    objectives = {cells.prompt[i]: cells.values["objective"][i] for i in tested}
    assert objectives[told.best] == pytest.approx(target.best.scorecard.objective, abs=1e-4)
    assert len(objectives) == len({told.best, told.baseline}) + len(results.transfer) - sum(
        entry.prompt_id in {shown.prompts[told.best].id, shown.prompts[told.baseline].id}
        for entry in results.transfer
    )


async def test_a_run_that_was_interrupted_reports_what_it_has(tmp_path: Path):
    out = tmp_path / "out"
    async with simulated(tmp_path) as (scenario, _, _):
        with anyio.CancelScope() as scope:
            async with Team(scenario, out=out) as team:
                team.bus.subscribe(SearchStarted, lambda e: scope.cancel() if e.stage == "target" else None)
                await team.run()
    shown, blocks = view_of(out)
    assert "interrupted" in shown.words
    assert shown.searches[0].reason
    assert blocks == ()
    assert (out / "report.html").is_file()


async def test_what_results_hold_beyond_this_version_is_shown_as_it_is(tmp_path: Path):
    out = tmp_path / "out"
    async with simulated(tmp_path) as (scenario, _, _), Team(scenario, out=out) as team:
        await team.run()
    data = json.loads((out / "results.json").read_text())
    data["front"] = [{"prompt": "x", "why": EVIL}]
    data["targets"][0]["calibration"] = {"temperature": 1.25}
    data["targets"][0]["best"]["scorecard"]["further"] = 1
    (out / "results.json").write_text(json.dumps(data))
    page = Page(write_page(out).read_text())
    shown, _ = view_of(out)
    assert json.loads(shown.more["front"]) == data["front"]
    assert json.loads(shown.targets[0].more["calibration"]) == {"temperature": 1.25}
    assert len([1 for attributes, _ in page.scripts if "type" not in attributes]) == 2
    assert read(out / "results.json").status == "complete"


@pytest.mark.parametrize("name", ["results.json", "history.jsonl", "responses.jsonl"])
def test_a_file_that_is_not_a_runs_is_named(tmp_path: Path, name: str):
    (tmp_path / name).write_text('{"other": 1}\n')
    with pytest.raises(InputError, match=name):
        write_page(tmp_path)
