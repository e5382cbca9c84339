"""The live view: a feed of a run's events over real HTTP on loopback, and in a real browser."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import anyio
import msgspec
import pytest

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.bus import Event
from transfer_prompting.runtime.evaluation.scorecard import Scorecard
from transfer_prompting.runtime.llm.budget.budget import Remaining
from transfer_prompting.runtime.llm.stack import SpendingNow
from transfer_prompting.runtime.messages import ProblemMet, PromptScored, RunStarted, SearchStarted
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.report.live import Feed, serve
from transfer_prompting.scenarios.errors import InputError

from support.browser import SECONDS, browser, opened
from support.runs import simulated

pytestmark = pytest.mark.timeout(SECONDS)

BEGINNING: tuple[Event, ...] = (
    RunStarted("a run", 1, {"tickets": (20, 20, 40)}, ("small",)),
    SearchStarted("source", "source", ("tickets",), ("small",), (10, 20, 40), 400),
)
FIRST = Prompt(text="Decide.")


def scored(text: str, job: int, objective: float) -> PromptScored:
    prompt, card = Prompt(text=text), Scorecard(n=20, objective=objective)
    cards = {"tickets": {"small": card}}
    return PromptScored("source", job, prompt, 20, objective, cards, prompt.id, 20 * (job + 1))


def spending() -> SpendingNow:
    return SpendingNow({}, {"calls": Remaining(spent=100, cap=400, left=300)})


@asynccontextmanager
async def served(folder: Path) -> AsyncGenerator[tuple[Feed, str]]:
    """A feed that has seen a run begin, and its URL."""
    feed = Feed(folder, spending)
    for event in BEGINNING:
        feed.take(event)
    with anyio.fail_after(SECONDS):
        async with serve(feed) as url:
            yield feed, url


class Viewer:
    """Reads server-sent events as they come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> tuple[str, Any]:
        """The next event's name, and its data where there is some."""
        name = ""
        async for line in self._response.content:
            if line.startswith(b"event: "):
                name = line[7:].decode().strip()
            elif line.startswith(b"data: ") and name:
                data = line[6:].strip()
                return name, msgspec.json.decode(data) if data else None
        raise EOFError("the server closed the connection")

    async def until(self, told: str) -> Any:
        """The first state in which some text is told."""
        while True:
            _, data = await self.next()
            if told in str(data):
                return data


@asynccontextmanager
async def viewer(session: aiohttp.ClientSession, url: str) -> AsyncGenerator[Viewer]:
    async with session.get(f"{url}events") as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Viewer(response)


def session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(read_bufsize=2**24)


async def test_a_viewer_is_told_what_has_happened_and_then_what_happens(tmp_path: Path):
    async with served(tmp_path) as (feed, url), session() as client, viewer(client, url) as seen:
        name, first = await seen.next()
        feed.take(scored("Decide calmly.", 1, 0.5))
        news = await seen.until("Decide calmly.")
    assert name == "view"
    assert first["view"]["name"] == "a run"
    assert first["view"]["status"] == "running"
    assert news["view"]["estimates"]["objective"] == [0.5]
    assert news["view"]["progress"]["share"] == 0.25


async def test_news_is_less_than_a_second_old(tmp_path: Path):
    # The best of several: what the machine's load adds says nothing about the feed.
    ages: list[float] = []
    async with served(tmp_path) as (feed, url), session() as client, viewer(client, url) as seen:
        await seen.next()
        for step in range(5):
            began = anyio.current_time()
            feed.take(scored(f"Decide {step} times.", step, 0.5))
            await seen.until(f"Decide {step} times.")
            ages.append(anyio.current_time() - began)
    assert min(ages) < 1


async def test_every_viewer_sees_the_same_state(tmp_path: Path):
    states: list[Any] = []
    async with served(tmp_path) as (feed, url), session() as client:

        async def look() -> None:
            async with viewer(client, url) as seen:
                states.append((await seen.until("Decide calmly."))["view"]["prompts"])

        async with anyio.create_task_group() as viewers:
            for _ in range(10):
                viewers.start_soon(look)
            feed.take(scored("Decide calmly.", 1, 0.5))
    assert len(states) == 10
    assert all(state == states[0] for state in states)


async def test_a_viewer_that_lags_finds_the_latest_state_and_holds_nobody_up(tmp_path: Path):
    async with served(tmp_path) as (feed, url), session() as client, viewer(client, url) as slow:
        await slow.next()
        with anyio.fail_after(10):
            async with viewer(client, url) as quick:
                for step in range(300):
                    feed.take(scored(f"Decide {step} times.", step, step / 1000))
                    await anyio.lowlevel.checkpoint()
                await quick.until("Decide 299 times.")
        _, state = await slow.next()
        while "Decide 299 times." not in str(state):
            _, state = await slow.next()
    assert len(state["view"]["estimates"]["rows"]) == 300


async def test_nothing_is_made_while_nobody_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made: list[int] = []
    make = Feed._make

    def counted(self: Feed) -> None:
        made.append(1)
        make(self)

    monkeypatch.setattr(Feed, "_make", counted)
    async with served(tmp_path) as (feed, url):
        for step in range(20):
            feed.take(scored(f"Decide {step} times.", step, 0.5))
        await anyio.wait_all_tasks_blocked()
        assert made == []
        async with session() as client, viewer(client, url) as seen:
            await seen.until("Decide 19 times.")
    assert made


async def test_leaving_ends_every_viewer_with_the_last_state(tmp_path: Path):
    ends: list[str] = []
    async with session() as client, anyio.create_task_group() as viewers:
        ready = anyio.Event()

        async def look(url: str) -> None:
            async with viewer(client, url) as seen:
                await seen.next()
                ready.set()
                name, data = await seen.next()
                while name != "end":
                    ends.append(str(data))
                    name, data = await seen.next()
                with pytest.raises(EOFError):
                    await seen.next()

        async with served(tmp_path) as (feed, url):
            viewers.start_soon(look, url)
            await ready.wait()
            feed.take(ProblemMet("run", "the last thing"))
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get(url)
    assert "the last thing" in ends[-1]


@pytest.mark.parametrize("path", ["", "events", "wrong/", "wrong/events", "wröng/"])
async def test_who_does_not_know_the_token_gets_nothing(tmp_path: Path, path: str):
    async with served(tmp_path) as (_, url), session() as client:
        port = urlsplit(url).port
        async with client.get(f"http://127.0.0.1:{port}/{path}") as response:
            assert response.status == 404
            assert "a run" not in await response.text()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1"])
async def test_a_request_under_another_host_name_is_refused(tmp_path: Path, host: str):
    async with served(tmp_path) as (_, url), session() as client:
        headers = {"Host": host.format(port=urlsplit(url).port)}
        for path in ("", "events"):
            async with client.get(url + path, headers=headers) as response:
                assert response.status == 403
                assert "a run" not in await response.text()


async def test_tokens_are_new_every_time_and_only_loopback_is_served(tmp_path: Path):
    async with served(tmp_path) as (_, one), served(tmp_path) as (_, other):
        assert urlsplit(one).path != urlsplit(other).path
        assert urlsplit(one).hostname == urlsplit(other).hostname == "127.0.0.1"
        assert len(urlsplit(one).path.strip("/")) >= 24


async def test_a_port_that_is_taken_is_said(tmp_path: Path):
    async with served(tmp_path) as (_, url):
        with pytest.raises(InputError, match=f"port {urlsplit(url).port}"):
            async with serve(Feed(tmp_path), port=urlsplit(url).port or 0):
                pass


async def test_the_browser_shows_news_and_survives_a_reload(tmp_path: Path):
    async with served(tmp_path) as (feed, url), browser() as chromium, opened(chromium, url) as seen:
        page = seen.page
        await page.locator("#status", has_text="source: 0 candidates scored, 0 of 400 calls").wait_for()
        feed.take(scored("Decide calmly.", 1, 0.5))
        await page.locator("#status", has_text="source: 1 candidate scored, 40 of 400 calls").wait_for()
        await page.locator("#prompts pre", has_text="Decide calmly.").first.wait_for()
        await page.locator("#answer", has_text="100 of 400").wait_for()
        await page.reload()
        await seen.ready()
        await page.locator("#prompts pre", has_text="Decide calmly.").first.wait_for()
        marks = await page.locator("#search .point").count()
    assert marks > 0
    assert seen.errors == []
    assert {urlsplit(request).netloc for request in seen.requests} == {urlsplit(url).netloc}


async def test_what_the_reader_chose_stays_while_the_page_grows(tmp_path: Path):
    async with served(tmp_path) as (feed, url), browser() as chromium:
        feed.take(scored("Decide calmly.", 1, 0.5))
        async with opened(chromium, url) as seen:
            await seen.page.get_by_label("Metric").select_option("objective")
            await seen.page.locator("#transfer summary").click()
            feed.take(ProblemMet("run", "something unforeseen"))
            await seen.page.locator("#trust", has_text="something unforeseen").wait_for()
            still = await seen.page.locator("#transfer details").get_attribute("open")
    assert still is not None


async def test_a_whole_run_is_followed_to_its_report(tmp_path: Path):
    async with simulated(tmp_path) as (scenario, _, _):
        feed = Feed(tmp_path / "out")
        with anyio.fail_after(SECONDS):
            async with (
                serve(feed) as url,
                browser() as chromium,
                opened(chromium, url) as seen,
            ):
                async with Team(scenario, out=tmp_path / "out") as team:
                    team.bus.subscribe(Event, feed.take)
                    await team.run()
                await feed.finish()
                page = seen.page
                await page.locator("#words", has_text="Yes: on held-out rows").wait_for()
                await page.locator("#listing tbody tr").first.wait_for()
                status = await page.locator("#status").inner_text()
    assert "ended" in status
    assert seen.errors == []
