"""A host and its teams: plain functions, errors that arrive as themselves, tasks, other event loops."""

import threading
from functools import partial

import anyio
import pytest

import transfer_prompting as tp

from support.brief import brief_clients, brief_scenario

ENDPOINTS = {
    "server": {"host": "world-1"},
    "app": {"host": "app-1", "limits": {"concurrency": 8}, "timeout": 30},
}
MODELS = {
    "writer": {"endpoint": "server", "model": "writer-1"},
    "app": {"endpoint": "app", "model": "app"},
}


def scenario(**changes: object) -> tp.Scenario:
    return brief_scenario(**{"endpoints": ENDPOINTS, "models": MODELS, "targets": ["app"], **changes})


async def test_a_plain_function_is_called_in_a_thread():
    threads: set[int] = set()

    def answer(prompt: tp.Prompt, question: tp.Question) -> str:
        threads.add(threading.get_ident())
        return "urgent"

    with anyio.fail_after(60):
        async with tp.Team(scenario(), clients=brief_clients(), targets={"app": answer}) as team:
            results = await team.run()
    assert results.status == "complete"
    assert threads
    assert threading.get_ident() not in threads


async def test_an_object_with_an_asynchronous_call_is_awaited_in_the_loop():
    class Application:
        def __init__(self) -> None:
            self.threads: set[int] = set()

        async def __call__(self, prompt: tp.Prompt, question: tp.Question) -> str:
            self.threads.add(threading.get_ident())
            return "urgent"

    application = Application()
    with anyio.fail_after(60):
        async with tp.Team(scenario(), clients=brief_clients(), targets={"app": application}) as team:
            await team.run()
    assert application.threads == {threading.get_ident()}


class BugError(Exception):
    """An error of the application itself."""


async def test_an_error_of_several_calls_at_once_arrives_bare():
    begun = 0
    together = anyio.Event()

    async def broken(prompt: tp.Prompt, question: tp.Question) -> str:
        nonlocal begun
        begun += 1
        if begun == 4:
            together.set()
        with anyio.CancelScope(shield=True):
            await together.wait()
        raise BugError(question.id)

    with anyio.fail_after(60), pytest.raises(BugError):
        async with tp.Team(scenario(), clients=brief_clients(), targets={"app": broken}) as team:
            await team.run()


async def test_an_error_of_a_plain_function_arrives_bare():
    def broken(prompt: tp.Prompt, question: tp.Question) -> str:
        raise BugError(question.id)

    with anyio.fail_after(60), pytest.raises(BugError):
        async with tp.Team(scenario(), clients=brief_clients(), targets={"app": broken}) as team:
            await team.run()


async def test_a_subscriber_that_raises_does_not_end_the_run(caplog: pytest.LogCaptureFixture):
    def broken(event: tp.PromptScored) -> None:
        raise BugError(event.prompt.id)

    with anyio.fail_after(60):
        async with tp.Team(brief_scenario(), clients=brief_clients()) as team:
            team.bus.subscribe(tp.PromptScored, broken)
            results = await team.run()
    assert results.status == "complete"
    assert [record.name for record in caplog.records] == ["transfer_prompting"]


async def test_leaving_a_team_in_another_task_is_an_error_in_words():
    team = tp.Team(brief_scenario(), clients=brief_clients())
    said: list[str] = []

    async def leave() -> None:
        try:
            await team.__aexit__(None, None, None)
        except RuntimeError as error:
            said.append(str(error))

    async with team, anyio.create_task_group() as tasks:
        tasks.start_soon(leave)
    assert len(said) == 1
    assert "left in the task that entered it" in said[0]


def test_outside_asyncio_a_team_says_where_it_runs():
    team = tp.Team(brief_scenario(), clients=brief_clients())
    entering = team.__aenter__()
    with pytest.raises(RuntimeError, match="a team runs on asyncio"):
        entering.send(None)


async def test_twenty_teams_under_shared_limits_never_have_more_calls_in_flight_than_one():
    at_once = most = 0

    async def answer(prompt: tp.Prompt, question: tp.Question) -> str:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await anyio.sleep(0.001)
        at_once -= 1
        return "urgent"

    endpoints = tp.Endpoints()
    statuses: list[str] = []
    limited = scenario(
        endpoints={**ENDPOINTS, "app": {"host": "app-1", "limits": {"concurrency": 4}}},
        budget={"evaluations": 60},
    )

    async def run() -> None:
        team = tp.Team(limited, clients=brief_clients(), targets={"app": answer}, endpoints=endpoints)
        async with team:
            statuses.append((await team.run()).status)

    with anyio.fail_after(300):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(run)
    assert statuses == ["complete"] * 20
    assert most == 4


async def test_teams_that_share_an_endpoint_under_different_limits_are_refused():
    endpoints = tp.Endpoints()
    other = scenario(endpoints={**ENDPOINTS, "app": {"host": "app-1", "limits": {"concurrency": 5}}})
    make = partial(tp.Team, clients=brief_clients(), targets={"app": _never}, endpoints=endpoints)
    async with make(scenario()):
        with pytest.raises(tp.InputError, match=r"endpoints\.app\.limits: another team"):
            async with make(other):
                pytest.fail("entered")


async def _never(prompt: tp.Prompt, question: tp.Question) -> str:
    raise AssertionError
