"""Errors of a host's own code: they reach the host as themselves, and those of observers end no run."""

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


async def test_a_subscriber_that_raises_does_not_end_the_run(caplog: pytest.LogCaptureFixture):
    def broken(event: tp.PromptScored) -> None:
        raise BugError(event.prompt.id)

    with anyio.fail_after(60):
        async with tp.Team(brief_scenario(), clients=brief_clients()) as team:
            team.bus.subscribe(tp.PromptScored, broken)
            results = await team.run()
    assert results.status == "complete"
    assert [record.name for record in caplog.records] == ["transfer_prompting"]
