"""Errors of a host's own code: they reach the host as themselves, and those of observers end no run."""

import asyncio
from pathlib import Path
from typing import cast

import anyio
import pytest

import transfer_prompting as tp

from support.brief import brief_clients, brief_scenario

APPLICATION = {
    "endpoints": {
        "server": {"host": "world-1"},
        "app": {"host": "app-1", "limits": {"concurrency": 8}, "timeout": 30},
    },
    "models": {
        "writer": {"endpoint": "server", "model": "writer-1"},
        "app": {"endpoint": "app", "model": "app"},
    },
    "targets": ["app"],
}


class BugError(Exception):
    """An error of the application itself."""


def broken() -> tp.TargetFunction:
    """A function of which four calls fail at the same moment."""
    begun = 0
    together = anyio.Event()

    async def function(prompt: tp.Prompt, question: tp.Question) -> str:
        nonlocal begun
        begun += 1
        if begun == 4:
            together.set()
        with anyio.CancelScope(shield=True):
            await together.wait()
        raise BugError(question.id)

    return function


@pytest.mark.parametrize("strategy", ["transfer", "original"])
async def test_an_error_of_several_calls_at_once_arrives_bare(strategy: str):
    """Those of a search, and those of the final test alone."""
    scenario = brief_scenario(**APPLICATION, strategy=strategy)
    with anyio.fail_after(60), pytest.raises(BugError):
        async with tp.Team(scenario, clients=brief_clients(), targets={"app": broken()}) as team:
            await team.run()


async def test_an_error_of_several_calls_of_an_evaluation_arrives_bare():
    rows = [{"text": f"Page {number}?", "label": ("urgent", "routine")[number % 2]} for number in range(10)]
    with anyio.fail_after(60), pytest.raises(BugError):
        await tp.evaluate("Decide.", rows, model=broken(), kind="classification")


async def elsewhere_cancelled() -> None:
    shared = asyncio.get_running_loop().create_future()
    shared.cancel()
    await shared


async def test_a_future_that_was_cancelled_elsewhere_is_an_error_of_the_host():
    """A task group would take it for a cancellation, and the run end as if it were complete."""

    async def function(prompt: tp.Prompt, question: tp.Question) -> str:
        await elsewhere_cancelled()
        return "urgent"

    async def metric(responses: list[tp.Graded]) -> float:
        await elsewhere_cancelled()
        return 1.0

    with anyio.fail_after(60), pytest.raises(RuntimeError, match="raised CancelledError"):
        async with tp.Team(
            brief_scenario(**APPLICATION), clients=brief_clients(), targets={"app": function}
        ) as team:
            await team.run()
    rows = [{"text": f"Page {number}?", "label": ("urgent", "routine")[number % 2]} for number in range(10)]
    with anyio.fail_after(60), pytest.raises(RuntimeError, match="raised CancelledError"):
        await tp.evaluate("Decide.", rows, model=right, metric=metric, kind="classification")


async def right(prompt: tp.Prompt, question: tp.Question) -> str:
    return "urgent"


async def test_a_metric_that_is_never_defined_is_named_as_the_reason():
    with anyio.fail_after(60):
        async with tp.Team(
            brief_scenario(**APPLICATION, budget={"evaluations": 60}, scorer={"objective": {"own.mine": 1}}),
            clients=brief_clients(),
            targets={"app": right},
            metrics={"own.mine": lambda responses: None},
        ) as team:
            results = await team.run()
    assert results.status == "failed"
    assert any("undefined on all rows" in problem for problem in results.problems)


async def test_an_error_beside_a_run_interrupts_it(tmp_path: Path):
    begun = anyio.Event()

    async def waits(prompt: tp.Prompt, question: tp.Question) -> str:
        begun.set()
        await anyio.sleep_forever()
        return "urgent"

    runs: list[asyncio.Task[tp.Results]] = []

    async def host() -> None:
        async with tp.Team(
            brief_scenario(**APPLICATION), clients=brief_clients(), targets={"app": waits}, out=tmp_path
        ) as team:
            runs.append(asyncio.create_task(team.run()))  # noqa: TID251 - as hosts do
            await begun.wait()
            raise BugError

    with anyio.fail_after(60), pytest.raises(BugError):
        await host()
    (run,) = runs
    assert (await run).status == "interrupted"
    assert tp.Results.load(tmp_path).status == "interrupted"


async def test_a_subscriber_that_raises_does_not_end_the_run(caplog: pytest.LogCaptureFixture):
    def broken(event: tp.PromptScored) -> None:
        raise BugError(event.prompt.id)

    with anyio.fail_after(60):
        async with tp.Team(brief_scenario(), clients=brief_clients()) as team:
            team.bus.subscribe(tp.PromptScored, broken)
            results = await team.run()
    assert results.status == "complete"
    assert [record.name for record in caplog.records] == ["transfer_prompting"]


async def test_a_client_that_is_none_is_refused_before_any_call():
    client = cast("tp.ChatClient", object())
    with pytest.raises(tp.InputError, match="clients: server: expected an object with `async def chat"):
        async with tp.Team(brief_scenario(), clients={"server": client}):
            pytest.fail("entered")
