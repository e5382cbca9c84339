"""The report as people see it: the page of a finished run, opened from disk in a real browser."""

import json
import re
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe

from transfer_prompting.runtime.report.wording import FORMULAS

from support.browser import SECONDS, Seen, browser, opened
from support.finished import write_run

pytestmark = pytest.mark.timeout(SECONDS)

HARM = "<script>window.harmed = true</script><img src=x onerror='window.harmed = true'>"
Scheme = Literal["light", "dark"]
WINDOWS: list[tuple[int, Scheme]] = [(1280, "light"), (390, "dark")]
OPEN_EVERYTHING = "document.querySelectorAll('details').forEach(one => { one.open = true })"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with two target models, whose prompts and responses carry markup."""
    home = tmp_path_factory.mktemp("run")
    write_run(home, skills=(0.45, 0.9), extra=f" {HARM}")
    return home


def url(folder: Path) -> str:
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize(("width", "scheme"), WINDOWS)
async def test_it_opens_without_an_error_or_a_request_and_fits_the_window(
    folder: Path, width: int, scheme: Scheme
):
    async with browser() as chromium, opened(chromium, url(folder), width=width, scheme=scheme) as seen:
        theme = await seen.page.evaluate("document.documentElement.dataset.theme")
        over = await seen.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        await seen.page.evaluate(OPEN_EVERYTHING)
    assert seen.errors == []
    assert seen.requests == []
    assert theme == scheme
    assert over <= 0


async def test_it_answers_its_questions_in_their_order(folder: Path):
    results = json.loads((folder / "results.json").read_text())
    best = {target["best"]["prompt"]["text"] for target in results["targets"]}
    async with browser() as chromium, opened(chromium, url(folder)) as seen:
        titles = await seen.page.locator("main h2").all_inner_texts()
        words = await seen.page.locator("#words").inner_text()
        bodies = [await body.inner_text() for body in await seen.page.locator("main .body").all()]
        prompts = set(await seen.page.locator("#prompts pre").all_inner_texts())
    assert titles == [
        "Did it work?",
        "Which prompt do I use?",
        "Where does it transfer?",
        "How did the search go?",
        "Is it calibrated?",
        "What fails?",
        "What did it cost?",
        "Can I trust it?",
    ]
    assert words.startswith(
        "Yes: on held-out rows the best prompts are significantly better than the original on 2 of 2"
    )
    assert all(len(body) > 100 for body in bodies)
    assert best <= prompts


async def test_every_plot_has_data_says_in_words_what_it_shows_and_has_its_table(folder: Path):
    script = """[...document.querySelectorAll('.plot')].map(plot => ({
        words: plot.getAttribute('aria-label'), role: plot.getAttribute('role'),
        marks: plot.querySelectorAll('.point, path.line').length,
        table: plot.parentElement.querySelectorAll('table tbody tr').length,
        outside: [...plot.querySelectorAll('.point')].filter(mark => {
            const [a, b] = [mark.getBoundingClientRect(), plot.getBoundingClientRect()];
            return Math.min(a.left - b.left, b.right - a.right, a.top - b.top, b.bottom - a.bottom) < -1;
        }).length}))"""
    async with browser() as chromium, opened(chromium, url(folder)) as seen:
        await seen.page.evaluate(OPEN_EVERYTHING)
        await seen.page.locator(".plot").last.locator("svg").wait_for()
        plots = await seen.page.evaluate(script)
    assert len(plots) == 9
    for plot in plots:
        assert plot["role"] == "img"
        assert len(plot["words"]) > 60
        assert plot["marks"] > 1
        assert plot["table"] > 1
        assert plot["outside"] == 0


async def test_accuracy_stands_beside_the_objective_and_the_cost_near_the_top(folder: Path):
    results = json.loads((folder / "results.json").read_text())
    target = results["targets"][0]
    async with browser() as chromium, opened(chromium, url(folder)) as seen:
        row = await seen.page.locator("#answer table tbody tr").first.inner_text()
        answer = await seen.page.locator("#answer").inner_text()
    for metric in ("accuracy", "objective"):
        values = [target[part]["scorecard"][metric] for part in ("baseline", "best")]
        assert f"{values[0]:.3f} → {values[1]:.3f}" in row
    assert FORMULAS["accuracy"] in answer
    assert "$0.2100" in answer


async def test_original_and_best_are_compared_row_by_row(folder: Path):
    lines = [json.loads(line) for line in (folder / "responses.jsonl").read_text().splitlines()]
    target = json.loads((folder / "results.json").read_text())["targets"][0]
    right = {
        part: {
            line["response"]["example"]: line["response"]["correct"]
            for line in lines
            if line["type"] == "response"
            and (line["model"], line["prompt"]) == ("small", target[part]["prompt"]["id"])
        }
        for part in ("baseline", "best")
    }
    pairs = [(before, right["best"][id]) for id, before in right["baseline"].items()]
    async with browser() as chromium, opened(chromium, url(folder)) as seen:
        tiles = await seen.page.locator("#pairs .tiles div").all_inner_texts()
        figures = await seen.page.locator("#pairs figcaption").all_inner_texts()
    assert [tile.split("\n") for tile in tiles] == [
        ["Fixed", str(pairs.count((False, True)))],
        ["Broken", str(pairs.count((True, False)))],
        ["Both wrong", str(pairs.count((False, False)))],
        ["Both right", str(pairs.count((True, True)))],
    ]
    assert f"{sum(before for before, _ in pairs)} of {len(pairs)} on the diagonal" in figures[0]
    assert f"{sum(after for _, after in pairs)} of {len(pairs)} on the diagonal" in figures[1]


async def test_copying_a_prompt_puts_its_very_text_on_the_clipboard(folder: Path):
    async with browser() as chromium, opened(chromium, url(folder)) as seen:
        card = seen.page.locator("#prompts article").first
        text = await card.locator("pre").inner_text()
        await card.get_by_role("button", name="Copy prompt").click()
        await card.get_by_role("button", name="Copied").wait_for()
        field = seen.page.get_by_label("Search in question, answer and response")
        await field.focus()
        await seen.page.keyboard.press("Control+V")
        pasted = await field.input_value()
    assert "Decide" in text
    assert pasted == text


def kept(folder: Path) -> tuple[dict[str, str], list[dict[str, object]]]:
    """The questions by id, and the responses with their models."""
    lines = [json.loads(line) for line in (folder / "responses.jsonl").read_text().splitlines()]
    questions = {
        line["example"]["id"]: line["example"]["question"] for line in lines if line["type"] == "row"
    }
    given = [line["response"] | {"model": line["model"]} for line in lines if line["type"] == "response"]
    return questions, given


async def found(seen: Seen) -> str:
    return (await seen.page.locator("#found").inner_text()).rpartition(" of ")[2]


async def test_filters_and_search_find_what_fits_and_nothing_else(folder: Path):
    questions, every = kept(folder)
    id, question = next(iter(questions.items()))
    about = [one for one in every if one["example"] == id and one["model"] == "large"]
    failing = [one for one in every if not (one["correct"] and one["followed"])]
    large = [one for one in every if one["model"] == "large" and not one["correct"] and one["answer"]]
    async with browser() as chromium, opened(chromium, url(folder)) as seen:
        page = seen.page
        assert await found(seen) == str(len(failing))
        await page.get_by_label("Target").last.select_option("tickets · large")
        await page.get_by_label("Outcome").select_option("wrong")
        assert await found(seen) == str(len(large))
        await page.get_by_label("Outcome").select_option("")
        await page.get_by_label("Search in question").fill(question.upper())
        await page.locator("#found", has_text=re.compile(f"of {len(about)}$")).wait_for()
        rows = await page.locator("#listing tbody tr").all_inner_texts()
        await page.get_by_label("Search in question").fill("no such words")
        await page.locator("#found", has_text="Nothing fits").wait_for()
    assert failing
    assert large
    assert len(rows) == len(about) > 1
    assert all(question in row for row in rows)


async def test_markup_in_prompts_and_responses_stays_text(folder: Path):
    async with browser() as chromium, opened(chromium, url(folder)) as seen:
        await seen.page.evaluate(OPEN_EVERYTHING)
        await seen.page.locator(".plot").nth(2).hover()
        shown = await seen.page.locator("#prompts").inner_text()
        listed = await seen.page.locator("#listing").inner_text()
        harmed = await seen.page.evaluate("window.harmed")
        images = await seen.page.locator("img").count()
    assert HARM in shown
    assert "<script>window.harmed" in listed
    assert harmed is None
    assert images == 0
    assert seen.errors == []


@pytest.mark.parametrize(("width", "scheme"), WINDOWS)
async def test_axe_finds_no_serious_issue(folder: Path, width: int, scheme: Scheme):
    async with browser() as chromium, opened(chromium, url(folder), width=width, scheme=scheme) as seen:
        await seen.page.evaluate(OPEN_EVERYTHING)
        found = await Axe().run(seen.page)
    violations = found.response["violations"]
    serious = [one for one in violations if one["impact"] in {"serious", "critical"}]
    assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == []


async def test_it_can_be_read_by_keyboard_alone(folder: Path):
    async with browser() as chromium, opened(chromium, url(folder)) as seen:
        page = seen.page
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the report"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        await page.locator("summary", has_text="All metrics").focus()
        await page.keyboard.press("Enter")
        await page.locator("table", has_text="Balanced accuracy").wait_for()


async def test_the_readers_theme_outlives_a_reload(folder: Path):
    async with browser() as chromium, opened(chromium, url(folder)) as seen:
        await seen.page.get_by_role("button", name="Dark theme").click()
        await seen.page.reload()
        await seen.ready()
        theme = await seen.page.evaluate("document.documentElement.dataset.theme")
    assert theme == "dark"


async def test_on_paper_plots_fit_and_are_light(folder: Path):
    script = """[...document.querySelectorAll('.plot svg')].map(plot => Number(plot.getAttribute('width')))
        .concat(document.documentElement.dataset.theme)"""
    async with browser() as chromium, opened(chromium, url(folder), scheme="dark") as seen:
        await seen.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        *widths, theme = await seen.page.evaluate(script)
        paper = await seen.page.pdf()
    assert max(widths) <= 640
    assert theme == "light"
    assert paper.startswith(b"%PDF")
