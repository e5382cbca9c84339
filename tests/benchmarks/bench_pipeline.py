"""The full pipeline beside a bare loop and the openai SDK: 16 prompts on 100 examples, 50 ms a call.

    python tests/benchmarks/bench_pipeline.py [--rounds 7]

Every contender is a process of its own and makes the same 1,600 requests of one simulated endpoint (another
process). They take turns, in every round in another order; medians are shown. `pipeline` is what a run does:
evaluator, bus, Scorer, Target, budget, a new ledger on disk in every round, retries, limits, HTTP, parsing,
metrics; its connections and limits are warm, as those of the others are. `cold` starts each round with no
connection and with limits that have yet to learn what the endpoint bears. Latency counts from when a call is
sent until the agent has it, its record on disk, less the 50 ms.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from time import perf_counter

import msgspec
from contenders import Round, bare, sdk, spent, timed
from pipeline import ENDPOINT, READING, TASK, Watch, examples, pipeline, prompts, scenario
from simulator import simulator

from transfer_prompting.cli.run import run_event_loop as run
from transfer_prompting.runtime.concurrency import settle
from transfer_prompting.runtime.llm.chat import ChatClient, ChatRequest, ChatResponse
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.search.scores import Scores
from transfer_prompting.runtime.tasks.example import Splits
from transfer_prompting.runtime.tasks.task import messages

PROMPTS, ROWS, LATENCY_MS = 16, 100, 50
CALLS = PROMPTS * ROWS
CONTENDERS = ("bare", "pipeline", "cold", "sdk")
CONCURRENCIES = (64, 256)

Go = Callable[[int], Awaitable[Round]]
"""Runs one round at this concurrency."""


class Measured(msgspec.Struct, frozen=True):
    """One round as a worker tells it; latencies in milliseconds beyond the server's, memory in MB."""

    rate: float
    cpu_ms: float
    p50: float
    p99: float
    rss_mb: float


class Times(Watch):
    """When each call is sent and when its asker has it; waiting for a place in the limits is between."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._sent: dict[int, float] = {}

    def sends(self, client: ChatClient) -> ChatClient:
        return _Sends(client, self._sent)

    def around(self, client: ChatClient) -> ChatClient:
        return _Has(client, self._sent, self.seconds)


class _Sends:
    def __init__(self, inner: ChatClient, sent: dict[int, float]) -> None:
        self._inner, self._sent = inner, sent

    async def chat(self, request: ChatRequest) -> ChatResponse:
        self._sent[id(request)] = perf_counter()
        return await self._inner.chat(request)


class _Has:
    def __init__(self, inner: ChatClient, sent: dict[int, float], seconds: list[float]) -> None:
        self._inner, self._sent, self._seconds = inner, sent, seconds

    async def chat(self, request: ChatRequest) -> ChatResponse:
        response = await self._inner.chat(request)
        self._seconds.append(perf_counter() - self._sent.pop(id(request)))
        return response


def texts() -> list[tuple[str, str]]:
    """What the pipeline sends, for those who have no agents to make it."""
    sent: list[tuple[str, str]] = []
    for prompt in prompts(PROMPTS):
        for example in examples(ROWS):
            system, user = messages(TASK, prompt, example.asked(), READING)
            sent.append((system.content, user.content))
    return sent


async def through_pipeline(base_url: str, concurrency: int, *, warm: bool) -> Round:
    splits = Splits(examples(ROWS), examples(4 * concurrency, first=ROWS), ())
    times = Times()
    with TemporaryDirectory(prefix="tprompt-bench-") as folder:
        async with (
            AiohttpClient(base_url, api_key="k", on_limits=lambda _model, _sheet: None) as client,
            pipeline(
                scenario(base_url, concurrency=concurrency),
                folder=Path(folder),
                splits=splits,
                clients={ENDPOINT: times.sends(client)},
                watch=times,
            ) as (evaluator, models),
        ):
            names = ("simulated",)
            rows = {TASK.name: splits.train}
            if warm:
                (first,) = prompts(1, first=PROMPTS)
                await evaluator.score(first, {TASK.name: splits.validation}, models=names)
                times.seconds.clear()

            async def one(prompt: Prompt) -> Scores:
                return evaluator.cards(await evaluator.score(prompt, rows, models=names))

            before = models.usage().calls
            rate, cpu_ms = await spent(settle(prompts(PROMPTS), one, limit=PROMPTS, catch=()), CALLS)
            assert models.usage().calls - before == CALLS
    return Round(rate, cpu_ms, times.seconds)


async def contender(name: str, base_url: str, opened: AsyncExitStack) -> Go:
    if name in ("pipeline", "cold"):
        return lambda concurrency: through_pipeline(base_url, concurrency, warm=name == "pipeline")
    said = texts()
    open_ = {"bare": bare, "sdk": sdk}[name]
    call = await opened.enter_async_context(open_(base_url, said.__getitem__))

    async def go(concurrency: int) -> Round:
        await timed(call, range(2 * concurrency), concurrency)
        return await timed(call, range(CALLS), concurrency)

    return go


async def work(name: str, base_url: str) -> None:
    """Run a round for every line that asks for one, until there are no more."""
    async with AsyncExitStack() as opened:
        go = await contender(name, base_url, opened)
        while line := sys.stdin.readline():
            measured = await go(int(line))
            late = sorted(1000 * second - LATENCY_MS for second in measured.seconds)
            told = Measured(
                rate=measured.rate,
                cpu_ms=measured.cpu_ms,
                p50=statistics.median(late),
                p99=late[int(0.99 * len(late))],
                rss_mb=getrusage(RUSAGE_SELF).ru_maxrss / 1024,
            )
            print(msgspec.json.encode(told).decode(), flush=True)


def compare(rounds: int) -> dict[tuple[int, str], list[Measured]]:
    seen: dict[tuple[int, str], list[Measured]] = {}
    with simulator("--latency-ms", str(LATENCY_MS)) as server:
        workers = {name: _worker(name, server.base_url) for name in CONTENDERS}
        for concurrency in CONCURRENCIES:
            for turn in range(rounds + 1):
                first = turn % len(CONTENDERS)
                for name in CONTENDERS[first:] + CONTENDERS[:first]:
                    measured = _ask(workers[name], concurrency)
                    if turn:  # the first round warms up
                        seen.setdefault((concurrency, name), []).append(measured)
        for worker in workers.values():
            worker.communicate()
    return seen


def _worker(name: str, base_url: str) -> "subprocess.Popen[str]":
    command = [sys.executable, __file__, "--worker", name, "--base-url", base_url]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ask(worker: "subprocess.Popen[str]", concurrency: int) -> Measured:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(f"{concurrency}\n")
    worker.stdin.flush()
    return msgspec.json.decode(worker.stdout.readline(), type=Measured)


def show(seen: dict[tuple[int, str], list[Measured]]) -> None:
    medians = {key: _median(rounds) for key, rounds in seen.items()}
    columns = ("calls/s", "of bare", "CPU ms/call", "of bare", "added p50", "added p99", "peak RSS")
    print(f"{'concurrency':>11} {'':<9}", *(f"{column:>11}" for column in columns))
    for (concurrency, name), one in medians.items():
        base = medians[concurrency, "bare"]
        print(
            f"{concurrency:>11} {name:<9} {one.rate:>11.0f} {one.rate / base.rate:>11.2f}"
            f" {one.cpu_ms:>11.3f} {one.cpu_ms / base.cpu_ms:>11.2f} {one.p50:>8.1f} ms {one.p99:>8.1f} ms"
            f" {one.rss_mb:>8.0f} MB"
        )

    def rates(concurrency: int, name: str, other: str) -> float:
        return round(medians[concurrency, name].rate / medians[concurrency, other].rate, 3)

    whole, least = medians[256, "pipeline"], medians[256, "bare"]
    result = {
        "pipeline_vs_bare_64": rates(64, "pipeline", "bare"),
        "pipeline_vs_bare_256": rates(256, "pipeline", "bare"),
        "pipeline_vs_openai_256": rates(256, "pipeline", "sdk"),
        "cpu_vs_bare_256": round(whole.cpu_ms / least.cpu_ms, 3),
        "rss_mb": round(whole.rss_mb, 1),
        "cold_vs_bare_64": rates(64, "cold", "bare"),
        "cold_vs_bare_256": rates(256, "cold", "bare"),
    }
    print("RESULT", json.dumps(result))


def _median(rounds: list[Measured]) -> Measured:
    return Measured(
        *(statistics.median(getattr(one, field) for one in rounds) for field in Measured.__struct_fields__)
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--worker", choices=CONTENDERS)
    parser.add_argument("--base-url")
    settings = parser.parse_args()
    if settings.worker:
        run(work, settings.worker, settings.base_url)
    else:
        show(compare(settings.rounds))
