"""Cost of the live view to a run, and age of its news. Goals: 2 % of the run's time, and one second.

`share` is the time that taking events in and making states of the page takes, over the time of a whole run in
a simulated world that answers at once (so real runs have a smaller one), while a viewer looks on. `news_ms`
is from an event to its text standing in a page open in Chromium.
Run with `python tests/benchmarks/bench_live.py`; the last line is `RESULT {json}`.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import anyio

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.bus import Event
from transfer_prompting.runtime.messages import ProblemMet, RunStarted, SearchStarted
from transfer_prompting.runtime.report.live import Feed, serve

sys.path.insert(0, str(Path(__file__).parent.parent))
from support.browser import browser, opened
from support.runs import simulated

GOAL_SHARE, GOAL_MS = 0.02, 1000.0
RUNS, EVENTS = 5, 20


class Watch:
    """Adds up the time that some calls take."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def on(self, call: Callable[..., None]) -> Callable[..., None]:
        def timed(*arguments: object) -> None:
            start = time.perf_counter()
            call(*arguments)
            self.seconds += time.perf_counter() - start

        return timed


async def share(folder: Path) -> float:
    """Of one run's time, how much its live view took."""
    watch, taken = Watch(), 0.0
    feed = Feed(folder / "out")
    feed.take = watch.on(feed.take)
    feed._make = watch.on(feed._make)
    async with simulated(folder) as (scenario, _, _), serve(feed) as url, aiohttp.ClientSession() as client:

        async def look() -> None:
            async with client.get(f"{url}events") as response:
                async for _ in response.content.iter_any():
                    pass

        async with anyio.create_task_group() as viewers:
            viewers.start_soon(look)
            start = time.perf_counter()
            async with Team(scenario, out=folder / "out") as team:
                team.bus.subscribe(Event, feed.take)
                await team.run()
            taken = watch.seconds / (time.perf_counter() - start)
            viewers.cancel_scope.cancel()
    return taken


async def news_ages(folder: Path) -> list[float]:
    """Milliseconds from an event to its text in the page, some times over."""
    feed = Feed(folder)
    feed.take(RunStarted("a run", 1, {"tickets": (20, 20, 40)}, ("small",)))
    feed.take(SearchStarted("source", "source", ("tickets",), ("small",), (10, 20, 40), 400))
    ages: list[float] = []
    async with serve(feed) as url, browser() as chromium, opened(chromium, url) as seen:
        for number in range(EVENTS):
            start = time.perf_counter()
            feed.take(ProblemMet("run", f"event number {number} of them"))
            await seen.page.locator("#trust", has_text=f"event number {number} of them").wait_for()
            ages.append(1000 * (time.perf_counter() - start))
    return ages


async def measure() -> dict[str, object]:
    shares: list[float] = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as name:
            shares.append(await share(Path(name)))
    with tempfile.TemporaryDirectory() as name:
        ages = await news_ages(Path(name))
    middle, age = statistics.median(shares), statistics.median(ages)
    print(f"the live view takes {middle:.2%} of a run; news is {age:.0f} ms old, {max(ages):.0f} at most")
    return {
        "benchmark": "live",
        "share": round(middle, 4),
        "news_ms": round(age, 1),
        "news_max_ms": round(max(ages), 1),
        "goal_share": GOAL_SHARE,
        "goal_ms": GOAL_MS,
        "met": middle <= GOAL_SHARE and age <= GOAL_MS,
    }


if __name__ == "__main__":
    print("RESULT " + json.dumps(anyio.run(measure)))
