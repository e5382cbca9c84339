"""The report as people see it: a real run's page, opened from disk in a real browser."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import anyio
import pytest
from axe_playwright_python.async_playwright import Axe

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.report.page import build, document

from support.browser import SECONDS, Seen, browser, opened
from support.runs import helpful_world, simulated

pytestmark = pytest.mark.timeout(SECONDS)

HARM = "<script>window.harmed = true</script><img src=x onerror='window.harmed = true'>"
MODELS = {name: {"endpoint": "server", "model": f"{name}-1"} for name in ("writer", "small", "large")}
Scheme = Literal["light", "dark"]
WINDOWS: list[tuple[int, Scheme]] = [(1280, "light"), (390, "dark")]
OPEN_EVERYTHING = "document.querySelectorAll('details').forEach(one => { one.open = true })"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with two target models, whose prompts and responses carry markup."""
    home = tmp_path_factory.mktemp("run")
    world = helpful_world()

    def behaviour(body: Mapping[str, object]) -> str:
        reply = world(body)
        return reply if body["model"] == world.writer else f"{reply}\n{HARM}"

    async def run() -> None:
        async with simulated(home, world, targets=["small", "large"], models=MODELS) as (scenario, _, server):
            server.behaviour = behaviour
            scenario.stages.source.seed_prompts[0] = f"Decide. {HARM}"
            async with Team(scenario, out=home / "out") as team:
                await team.run()

    anyio.run(run)
    return home / "out"


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
        "Which prompt do I take?",
        "Where does it transfer?",
        "How did the search go?",
        "Is it calibrated?",
        "What fails?",
        "What did it cost?",
        "Can I trust it?",
    ]
    assert words.startswith(
        "Yes: on held-out rows the best prompts are clearly better than the original on 2 of 2"
    )
    assert all(len(body) > 100 for body in bodies)
    assert best <= prompts


async def test_every_plot_has_data_and_says_in_words_what_it_shows(folder: Path):
    script = """[...document.querySelectorAll('.plot')].map(plot => ({
        words: plot.getAttribute('aria-label'),
        marks: plot.querySelectorAll('.point, .hm image, .js-line').length,
        values: (plot.data || []).flatMap(t => (t.z || t.y).flat()).filter(Number.isFinite).length}))"""
    async with browser() as chromium, opened(chromium, url(folder)) as seen:
        plots = await seen.page.evaluate(script)
    assert len(plots) == 5
    for plot in plots:
        assert len(plot["words"]) > 60
        assert plot["values"] > 1
        assert plot["marks"] > 0


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
    assert "verbatim" in text or "stepwise" in text
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
    amiss = [one for one in every if not (one["correct"] and one["followed"])]
    large = [one for one in every if one["model"] == "large" and not one["correct"]]
    async with browser() as chromium, opened(chromium, url(folder)) as seen:
        page = seen.page
        assert await found(seen) == str(len(amiss))
        await page.get_by_label("Target").last.select_option("tickets · large")
        await page.get_by_label("Outcome").select_option("wrong")
        assert await found(seen) == str(len(large))
        await page.get_by_label("Outcome").select_option("")
        await page.get_by_label("Search in question").fill(question.upper())
        await page.locator("#found", has_text=f"of {len(about)}").wait_for()
        rows = await page.locator("#listing tbody tr").all_inner_texts()
        await page.get_by_label("Search in question").fill("no such words")
        await page.locator("#found", has_text="Nothing fits").wait_for()
    assert amiss
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
    script = """[...document.querySelectorAll('.plot')].map(plot => plot.layout.width)
        .concat(document.documentElement.dataset.theme)"""
    async with browser() as chromium, opened(chromium, url(folder), scheme="dark") as seen:
        await seen.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        *widths, theme = await seen.page.evaluate(script)
        paper = await seen.page.pdf()
    assert max(widths) <= 640
    assert theme == "light"
    assert paper.startswith(b"%PDF")


async def test_without_plotly_the_words_and_tables_remain(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(document, "plotly_script", lambda: "")
    page = folder / "plain.html"
    page.write_text(document.document(*build.view_of(folder)), encoding="utf-8")
    async with browser() as chromium, opened(chromium, page.as_uri()) as seen:
        told = await seen.page.locator("figcaption").all_inner_texts()
        first = await seen.page.locator(".plot").first.inner_text()
    assert seen.errors == []
    assert len(told) == 5
    assert "pip install plotly" in first
