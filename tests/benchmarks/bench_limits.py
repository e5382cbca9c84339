"""How well a limit of 1,000 requests a minute is used, when it is declared and when it has to be learned.

    python tests/benchmarks/bench_limits.py [--seconds 90] [--case NAME]

The simulated server (own process, 50 ms, token bucket, 429 with Retry-After in whole seconds) is asked at
concurrency 64 by twice as many workers. The cases run at the same time, each against a server of its own:
they wait more than they work. `used` is what was served, less what the bucket held at the start, as a share
of what the limit allows in that time; `retry margin` is by how much the earliest retry of a call came after
its Retry-After.
"""

import argparse
import asyncio
import itertools
import json
from dataclasses import dataclass

import anyio
from simulator import simulator

from transfer_prompting.runtime.errors import CallFailed
from transfer_prompting.runtime.llm._call import Sender
from transfer_prompting.runtime.llm.chat import ChatRequest, Message
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.runtime.llm.limits.limiter import LimitedClient, Limiter
from transfer_prompting.runtime.llm.retries import RetryingClient
from transfer_prompting.scenarios.endpoints import Limits, Retry

RPM, CONCURRENCY = 1000, 64


@dataclass(frozen=True)
class Case:
    """One server and whether the client is told its limit."""

    name: str
    declared: bool
    burst: int
    flags: tuple[str, ...] = ()


CASES = (
    Case("declared", True, 17),
    Case("declared, full minute's bucket", True, 1000),
    Case("learned", False, 17),
    Case("learned, 429s at once", False, 17, ("--fast-reject",)),
    Case("learned, full minute's bucket", False, 1000, ("--fast-reject",)),
    Case("learned, empty bucket", False, 17, ("--empty", "--fast-reject")),
)


async def run(case: Case, seconds: float) -> dict[str, float | None]:
    arguments = ["--rpm", str(RPM), "--burst", str(case.burst), "--latency-ms", "50", *case.flags]
    limits = Limits(concurrency=CONCURRENCY, requests_per_minute=RPM if case.declared else None)
    failed, numbers = 0, itertools.count()
    with simulator(*arguments) as server:
        async with AiohttpClient(server.base_url) as inner:
            client = RetryingClient(LimitedClient(Sender(inner), Limiter(limits)), Retry())

            async def work() -> None:
                nonlocal failed
                for i in numbers:
                    request = ChatRequest(model="m", messages=(Message("user", str(i)),), max_tokens=8)
                    try:
                        await client.chat(request)
                    except CallFailed:
                        failed += 1

            # The bucket starts to fill when the server does, so the time counts from there.
            server.reset()
            with anyio.move_on_after(seconds):
                async with anyio.create_task_group() as tasks:
                    for _ in range(2 * CONCURRENCY):
                        tasks.start_soon(work)
            stats = server.stats()
    held = 0 if case.declared or "--empty" in case.flags else case.burst
    return {
        "served": stats["served"],
        "rejected": stats["rejected"],
        "rejected_share": stats["rejected"] / stats["count"],
        "used": (stats["served"] - held) / (RPM / 60 * stats["seconds"]),
        "retry_margin_s": stats["earliest_retry"],
        "failed": failed,
    }


async def main(seconds: float, only: str | None) -> None:
    results: dict[str, dict[str, float | None]] = {}

    async def one(case: Case) -> None:
        results[case.name] = await run(case, seconds)

    cases = [case for case in CASES if only in (None, case.name)]
    async with anyio.create_task_group() as tasks:
        for case in cases:
            tasks.start_soon(one, case)
    columns = ["served", "rejected", "share", "used", "failed", "margin"]
    print(f"{'case':<32}", *(f"{column:>9}" for column in columns))
    for case in cases:
        result = results[case.name]
        margin = result["retry_margin_s"]
        late = "no retry" if margin is None else f"{margin:+.3f} s"
        print(
            f"{case.name:<32} {result['served']:>9} {result['rejected']:>9} {result['rejected_share']:>9.1%}"
            f" {result['used']:>9.1%} {result['failed']:>9} {late:>9}"
        )
    print("RESULT", json.dumps({case.name: results[case.name] for case in cases}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--case", choices=[case.name for case in CASES])
    settings = parser.parse_args()
    asyncio.run(main(settings.seconds, settings.case))
