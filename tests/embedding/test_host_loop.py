"""A team inside a host's own loop and task group: nothing shared, nothing left behind, nothing unasked."""

import asyncio
import tempfile
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

import transfer_prompting as tp
from transfer_prompting.agents.coordinator import final_test
from transfer_prompting.runtime.evaluation import statistics

from support.brief import brief_clients, brief_scenario, brief_task
from support.runs import lasting


def team(**parts: Any) -> tp.Team:
    return tp.Team(brief_scenario(), clients=brief_clients(), **parts)


async def test_teams_in_one_process_share_nothing():
    ends: dict[int, object] = {}
    calls: dict[int, int] = {}

    async def run(seed: int, number: int) -> None:
        clients = brief_clients()
        async with tp.Team(brief_scenario(seed=seed), clients=clients) as own:
            ends[number] = lasting(await own.run())
        calls[number] = len(clients["server"].requests)

    with anyio.fail_after(90):
        await run(1, 0)
        async with anyio.create_task_group() as tasks:
            for number, seed in ((1, 1), (2, 1), (3, 2)):
                tasks.start_soon(run, seed, number)
    assert ends[0] == ends[1] == ends[2] != ends[3]
    assert calls[0] == calls[1] == calls[2] > 0


async def test_a_host_that_cancels_gets_its_loop_back_as_it_was():
    before = asyncio.all_tasks()
    with anyio.fail_after(30):
        async with team() as own, anyio.create_task_group() as tasks:
            own.bus.subscribe(tp.PromptScored, lambda _: tasks.cancel_scope.cancel())
            tasks.start_soon(own.run)
    assert asyncio.all_tasks() == before


async def test_leaving_a_team_ends_its_run_which_returns_what_it_has():
    ends: list[tp.Results] = []

    async def run(own: tp.Team) -> None:
        ends.append(await own.run())

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks, team() as own:
            tasks.start_soon(run, own)
            async for _ in own.events(tp.PromptScored):
                break
    assert [results.status for results in ends] == ["interrupted"]


async def test_without_a_folder_no_file_is_written_and_a_run_starts_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with anyio.fail_after(60):
        async with team() as own:
            threads = set(threading.enumerate())  # rows are loaded in one, on entering
            await own.run()
            assert set(threading.enumerate()) == threads
    assert [path async for path in anyio.Path(tmp_path).rglob("*")] == []


async def test_statistics_of_many_rows_are_computed_in_a_thread_and_are_those_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
):
    scenario = brief_scenario(
        tasks={"tickets": brief_task("tickets", 92, split={"train": 6, "validation": 6, "test": 80})},
        stages={"source": {"tasks": [], "seed_prompts": ["Decide."]}, "target": {"tasks": ["tickets"]}},
        strategy="original",
        budget={},
    )
    threads: set[int] = set()

    def gains(*arguments: Any, **settings: Any) -> Any:
        threads.add(threading.get_ident())
        return statistics.gains(*arguments, **settings)

    async def run() -> tp.Results:
        async with tp.Team(scenario, clients=brief_clients()) as own:
            return await own.run()

    monkeypatch.setattr(final_test, "gains", gains)
    with anyio.fail_after(60):
        in_thread = await run()
        assert threads
        assert threading.get_ident() not in threads
        monkeypatch.setattr(final_test, "QUICK_ROWS", 80)
        in_loop = await run()
    assert threading.get_ident() in threads
    assert in_thread.status == "complete"
    assert lasting(in_thread) == lasting(in_loop)


async def test_a_team_runs_once_and_only_inside_its_context():
    with pytest.raises(RuntimeError, match="enter the team"):
        await team().run()
    with anyio.fail_after(60):
        async with team() as own:
            await own.run()
            with pytest.raises(RuntimeError, match="a team runs once"):
                await own.run()


async def test_events_are_iterated_until_the_run_has_ended():
    scored: list[tp.PromptScored] = []
    everything: list[tp.Event] = []
    with anyio.fail_after(60):
        async with team() as own, anyio.create_task_group() as tasks:

            async def follow() -> None:
                scored.extend([event async for event in own.events(tp.PromptScored)])

            tasks.start_soon(follow)
            tasks.start_soon(own.run)
            everything += [event async for event in own.events()]
    assert isinstance(everything[0], tp.RunStarted)
    assert everything[-1] == tp.RunEnded("complete")
    assert scored == [event for event in everything if isinstance(event, tp.PromptScored)]
    assert scored


async def test_events_are_kept_from_the_moment_they_are_asked_for():
    with anyio.fail_after(60):
        async with team() as own:
            events = own.events()
            await own.run()
            seen = [event async for event in events]
    assert isinstance(seen[0], tp.RunStarted)
    assert seen[-1] == tp.RunEnded("complete")


async def test_events_end_with_a_run_that_is_cancelled():
    seen: list[tp.Event] = []
    scope = anyio.CancelScope()
    with anyio.fail_after(60):
        async with team() as own, anyio.create_task_group() as tasks:

            async def run() -> None:
                with scope:
                    await own.run()

            tasks.start_soon(run)
            async for event in own.events():
                seen.append(event)
                if isinstance(event, tp.PromptScored):
                    scope.cancel()
    assert seen[-1] == tp.RunEnded("interrupted")


async def test_events_of_a_run_that_is_over_or_never_began_end_at_once():
    with anyio.fail_after(60):
        async with team() as own:
            await own.run()
            assert [event async for event in own.events()] == []
        seen: list[tp.Event] = []
        async with anyio.create_task_group() as tasks:

            async def follow(idle: tp.Team) -> None:
                seen.extend([event async for event in idle.events()])

            async with team() as own:
                tasks.start_soon(follow, own)
                await anyio.wait_all_tasks_blocked()
        assert seen == []


async def test_a_hosts_bus_outlives_its_teams(tmp_path: Path):
    ended: list[str] = []
    with anyio.fail_after(60):
        async with tp.InProcessBus() as bus:
            bus.subscribe(tp.RunEnded, lambda event: ended.append(event.status))
            for number in range(2):
                async with team(bus=bus, out=tmp_path / str(number)) as own:
                    assert own.bus is bus
                    await own.run()
            await bus.publish(tp.RunEnded("failed"))
    assert ended == ["complete", "complete", "failed"]


async def test_a_host_may_veto_a_request_and_then_the_run_fails_with_its_error():
    class TooDearError(Exception):
        pass

    async def veto(request: tp.Request[Any], proceed: tp.Proceed) -> object:
        if isinstance(request, tp.Propose) and request.stage == "target":
            raise TooDearError
        return await proceed(request)

    with anyio.fail_after(60):
        async with team() as own:
            own.bus.intercept(veto)
            with pytest.raises(TooDearError):
                await own.run()


async def test_leaving_a_team_in_another_task_is_an_error_in_words():
    own = team()
    raised: list[RuntimeError] = []

    async def leave() -> None:
        try:
            await own.__aexit__(None, None, None)
        except RuntimeError as error:
            raised.append(error)

    with anyio.fail_after(60):
        async with own:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(leave)
            assert (await own.run()).status == "complete"
    assert [str(error).split(":")[0] for error in raised] == ["a team is left in the task that entered it"]


def test_outside_asyncio_the_error_says_where_it_runs():
    """Without any event loop, as under trio: a coroutine that is advanced by hand."""
    with pytest.raises(RuntimeError, match=r"runs on asyncio .* Under trio, give it a thread of its own"):
        team().__aenter__().send(None)
