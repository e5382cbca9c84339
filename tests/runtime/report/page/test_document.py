"""The page as a document: complete in itself, its policy as tight as its scripts, its data no markup."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from transfer_prompting.runtime.record.results import load_results
from transfer_prompting.runtime.report.page import write_page
from transfer_prompting.runtime.report.page.build import view_of
from transfer_prompting.runtime.report.page.document import document
from transfer_prompting.runtime.report.page.view import PromptView, View
from transfer_prompting.scenarios.errors import InputError

from support.finished import write_run

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
    assert len(running) == 1


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


def test_a_finished_run_is_shown_with_everything_its_files_hold(tmp_path: Path):
    results = write_run(tmp_path)
    shown, blocks = view_of(tmp_path)
    target = results.targets[0]
    first = shown.targets[0]
    assert (tmp_path / "report.html").read_text() == document(shown, blocks)
    assert shown.prompts[first.best].text == target.best.prompt.text
    assert shown.responses.total == shown.responses.shown > 0
    assert first.diagrams[1].ece == pytest.approx(target.best.scorecard.ece, abs=1e-4)
    assert (shown.strategy, shown.likeness) == (results.strategy, results.likeness)
    assert [first.calls for first in shown.targets] == [one.calls for one in results.searches[1:]]
    for one, summary in zip(shown.searches, results.searches, strict=True):
        assert (one.scope, one.candidates, one.finished) == (
            summary.scope,
            summary.candidates,
            summary.finished,
        )
        assert one.risen[-1] == summary.finished
        assert [shown.prompts[entry.prompt].id for entry in one.front] == [
            entry.prompt.id for entry in summary.front
        ]
    (offer,) = shown.offers
    assert (offer.search, offer.sources) == ("tickets · small", ("source",))
    cells = shown.cells
    assert cells is not None
    tested = [i for i, split in enumerate(cells.split) if split == "test" and cells.model[i] == "small"]
    objectives = {cells.prompt[i]: cells.values["objective"][i] for i in tested}
    assert objectives[first.best] == pytest.approx(target.best.scorecard.objective, abs=1e-4)


def test_time_and_length_have_no_p_value(tmp_path: Path):
    write_run(tmp_path)
    shown, _ = view_of(tmp_path)
    costs = [one for one in shown.targets[0].metrics if one.name in {"seconds", "output_tokens"}]
    assert len(costs) == 2
    assert all(not one.tested and one.gain is not None and one.gain.p is None for one in costs)


def test_the_page_of_a_run_is_below_a_megabyte_and_a_half(tmp_path: Path):
    write_run(tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 1_500_000


def test_a_run_without_results_reports_what_it_has(tmp_path: Path):
    write_run(tmp_path, status="interrupted", page=False)
    (tmp_path / "results.json").unlink()
    (tmp_path / "responses.jsonl").unlink()
    shown, blocks = view_of(write_page(tmp_path).parent)
    assert "interrupted" in shown.words
    assert shown.searches[0].reason
    assert blocks == ()


def test_the_estimate_of_a_chosen_prompt_is_one_number_everywhere(tmp_path: Path):
    write_run(tmp_path, page=False)
    shown, _ = view_of(tmp_path)
    chosen = {(target.task, target.model): target.estimate for target in shown.targets}
    searches = {(*one.tasks, *one.models): one.objective for one in shown.searches if one.stage == "target"}
    assert None not in chosen.values()
    assert chosen == searches


def test_what_results_hold_beyond_this_version_is_shown_as_it_is(tmp_path: Path):
    write_run(tmp_path)
    data = json.loads((tmp_path / "results.json").read_text())
    data["front"] = [{"prompt": "x", "why": EVIL}]
    data["targets"][0]["further"] = {"temperature": 1.25}
    data["targets"][0]["best"]["scorecard"]["further"] = 1
    (tmp_path / "results.json").write_text(json.dumps(data))
    page = Page(write_page(tmp_path).read_text())
    shown, _ = view_of(tmp_path)
    assert json.loads(shown.more["front"]) == data["front"]
    assert json.loads(shown.targets[0].more["further"]) == {"temperature": 1.25}
    assert len([1 for attributes, _ in page.scripts if "type" not in attributes]) == 1
    assert load_results(tmp_path / "results.json").status == "complete"


def test_results_of_an_earlier_version_are_refused_in_words(tmp_path: Path):
    (tmp_path / "results.json").write_text('{"schema": 1, "name": "old", "status": "complete", "seed": 1}')
    with pytest.raises(
        InputError, match=r"results\.json: made by an earlier version .* run the scenario again"
    ):
        write_page(tmp_path)


@pytest.mark.parametrize("name", ["results.json", "history.jsonl", "responses.jsonl"])
def test_a_file_that_is_not_a_runs_is_named(tmp_path: Path, name: str):
    (tmp_path / name).write_text('{"other": 1}\n')
    with pytest.raises(InputError, match=name):
        write_page(tmp_path)
