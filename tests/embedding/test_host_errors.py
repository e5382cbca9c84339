"""Errors of a host's own code: they reach the host as themselves, and those of observers end no run."""

import anyio
import pytest

import transfer_prompting as tp

from support.brief import brief_clients, brief_scenario


class BugError(Exception):
    """An error of the application itself."""


async def test_a_subscriber_that_raises_does_not_end_the_run(caplog: pytest.LogCaptureFixture):
    def broken(event: tp.PromptScored) -> None:
        raise BugError(event.prompt.id)

    with anyio.fail_after(60):
        async with tp.Team(brief_scenario(), clients=brief_clients()) as team:
            team.bus.subscribe(tp.PromptScored, broken)
            results = await team.run()
    assert results.status == "complete"
    assert [record.name for record in caplog.records] == ["transfer_prompting"]
