"""What the bus over NATS keeps beyond the contract of every bus: with processes and servers that are lost."""

import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio.abc import TaskStatus

from transfer_prompting.runtime.bus import Event, Header, current_header, headed
from transfer_prompting.runtime.bus.nats import NatsBus, NatsServer
from transfer_prompting.runtime.bus.nats.wire import Asked, encode
from transfer_prompting.runtime.errors import NoServer, PoisonRequest, RateLimited, RemoteError, ServerClosed

from support.echo_host import BEAT, Echo, Echoed, EchoOnce, Join
from support.nats import NatsProcess, nats_process, needs_nats
from support.processes import Talking, python

pytestmark = needs_nats


class Noted(Event, frozen=True):
    number: int


async def echo(request: Echo) -> Echoed:
    return Echoed(request.text)


async def serving(
    bus: NatsBus, handler: Callable[[Echo], Awaitable[Echoed]], *, task_status: TaskStatus[anyio.CancelScope]
) -> None:
    """Serve `Echo` until the scope that this starts with is cancelled."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            await tasks.start(partial(bus.serve, Echo, handler))
            task_status.started(scope)


def host(nats: NatsProcess, bus: NatsBus) -> AbstractAsyncContextManager[Talking]:
    """A process that serves `Echo` in the session of the bus."""
    return python("support.echo_host", nats.url, bus.session)


async def test_requests_of_one_route_are_shared_out_among_all_who_serve_it(join: Join):
    answered = {"one": 0, "other": 0}
    async with join() as asker, join() as one, join() as other, anyio.create_task_group() as tasks:

        async def count(name: str, request: Echo) -> Echoed:
            answered[name] += 1
            return Echoed(request.text)

        with anyio.fail_after(20):
            await tasks.start(partial(one.serve, Echo, partial(count, "one")))
            await tasks.start(partial(other.serve, Echo, partial(count, "other")))
            for i in range(100):
                assert await asker.ask(Echo(str(i))) == Echoed(str(i))
        tasks.cancel_scope.cancel()
    assert sum(answered.values()) == 100
    assert min(answered.values()) > 0


async def test_what_a_killed_process_had_in_hand_is_asked_of_another(nats: NatsProcess, join: Join):
    async with join(patience=30) as bus, host(nats, bus) as first:
        await first.says("ready")
        answers: list[Echoed] = []

        async def ask(text: str) -> None:
            answers.append(await bus.ask(Echo(text)))

        with anyio.fail_after(60):
            async with host(nats, bus) as second, anyio.create_task_group() as askers:
                await second.says("ready")
                for i in range(8):
                    askers.start_soon(ask, f"hold {i}")
                held: dict[int, Talking] = {}
                while len(held) < 2:
                    for process in (first, second):
                        await process.says("has hold")
                        held[process.pid] = process
                first.process.send_signal(signal.SIGKILL)
                line = await second.says("has hold")
                assert line
                askers.cancel_scope.cancel()
    assert answers == []


async def test_a_request_that_costs_server_after_server_is_set_aside_and_said(nats: NatsProcess, join: Join):
    async with join(patience=30) as bus:
        with anyio.fail_after(60):
            async with host(nats, bus) as a, host(nats, bus) as b, host(nats, bus) as c:
                for process in (a, b, c):
                    await process.says("ready")
                with pytest.raises(PoisonRequest, match=r"3 servers.*message \d+ of stream TPROMPT_POISON"):
                    await bus.ask(Echo("die of this"))
                assert {await process.ends() for process in (a, b, c)} == {-signal.SIGKILL}
        kept = await bus._client.jetstream().get_last_msg("TPROMPT_POISON", "tprompt-poison.Echo.=")
        assert kept.data is not None
        assert b"die of this" in kept.data


async def test_what_is_not_repeatable_is_asked_once(nats: NatsProcess, join: Join):
    async with join(patience=30) as bus:
        with anyio.fail_after(60):
            async with host(nats, bus) as first, host(nats, bus) as second:
                await first.says("ready")
                await second.says("ready")
                with pytest.raises(ServerClosed):
                    await bus.ask(EchoOnce("die at once"))
                alive = [process for process in (first, second) if process.process.returncode is None]
                assert await bus.ask(EchoOnce("again")) in [Echoed("again", process.pid) for process in alive]


async def test_a_host_that_closes_hands_its_work_to_another(join: Join):
    async with join() as asker, join() as one, join() as other:
        begun, answers = anyio.Event(), []

        async def hang(request: Echo) -> Echoed:
            begun.set()
            await anyio.sleep_forever()
            return Echoed("never")

        async def ask() -> None:
            answers.append(await asker.ask(Echo("x")))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as hosts:
                async with anyio.create_task_group() as askers:
                    closing = await hosts.start(serving, one, hang)
                    askers.start_soon(ask)
                    await begun.wait()
                    await hosts.start(serving, other, echo)
                    closing.cancel()
                hosts.cancel_scope.cancel()
    assert answers == [Echoed("x")]


async def test_a_draining_host_finishes_what_it_has_and_gives_back_the_rest(join: Join):
    async with join() as asker, join() as old, join() as new:
        begun, second, go_on = anyio.Event(), anyio.Event(), anyio.Event()
        answers: list[Echoed] = []

        async def slow(request: Echo) -> Echoed:
            begun.set()
            await go_on.wait()
            return Echoed(f"old {request.text}")

        async def ask(text: str) -> None:
            answers.append(await asker.ask(Echo(text)))
            second.set()

        with anyio.fail_after(20):
            async with anyio.create_task_group() as hosts:
                await hosts.start(serving, old, slow)
                async with anyio.create_task_group() as askers:
                    askers.start_soon(ask, "first")
                    await begun.wait()
                    askers.start_soon(ask, "second")
                    await anyio.wait_all_tasks_blocked()
                    await hosts.start(serving, new, echo)
                    askers.start_soon(old.drain)
                    await second.wait()
                    go_on.set()
                hosts.cancel_scope.cancel()
    assert answers == [Echoed("second"), Echoed("old first")]


async def test_asks_survive_a_killed_nats_server_and_are_handled_once(tmp_path: Path):
    with nats_process(tmp_path) as server:
        bus = partial(NatsBus, NatsServer(url=server.url), session="s", beat=BEAT, patience=30)
        handled: list[str] = []
        begun, go_on = anyio.Event(), anyio.Event()

        async def slow(request: Echo) -> Echoed:
            handled.append(request.text)
            begun.set()
            await go_on.wait()
            return Echoed(request.text)

        answers: list[Echoed] = []
        async with bus() as asker, bus() as host, anyio.create_task_group() as tasks:

            async def ask(text: str) -> None:
                answers.append(await asker.ask(Echo(text)))

            with anyio.fail_after(60):
                await tasks.start(partial(host.serve, Echo, slow, workers=9))
                async with anyio.create_task_group() as askers:
                    for i in range(3):
                        askers.start_soon(ask, f"before {i}")
                    await begun.wait()
                    server.kill()
                    for i in range(3):
                        askers.start_soon(ask, f"meanwhile {i}")
                    go_on.set()
                    await anyio.wait_all_tasks_blocked()
                    server.start()
                assert await asker.ask(Echo("after")) == Echoed("after")
            tasks.cancel_scope.cancel()
    assert sorted(answer.text for answer in answers) == sorted(set(handled) - {"after"})
    assert len(answers) == 6
    assert len(handled) == len(set(handled))


async def test_large_bodies_cross_both_ways_and_leave_nothing_behind(join: Join):
    text = "prompt " * 500_000
    async with join() as asker, join() as host, anyio.create_task_group() as tasks:
        with anyio.fail_after(30):
            await tasks.start(partial(host.serve, Echo, echo))
            assert await asker.ask(Echo(text)) == Echoed(text)
        store = await asker._client.jetstream().object_store("tprompt")
        assert (await store.status()).size < 10_000
        tasks.cancel_scope.cancel()


async def test_an_ask_waits_for_a_host_as_long_as_its_patience(join: Join):
    async with join(patience=20) as asker, join() as host, anyio.create_task_group() as tasks:

        async def come_late() -> None:
            await anyio.wait_all_tasks_blocked()
            await tasks.start(partial(host.serve, Echo, echo))

        with anyio.fail_after(20):
            tasks.start_soon(come_late)
            assert await asker.ask(Echo("x")) == Echoed("x")
        tasks.cancel_scope.cancel()
    async with join(patience=0.3) as asker:
        with anyio.fail_after(20), pytest.raises(NoServer, match=r"Echo.*waited 0\.3 s"):
            await asker.ask(Echo("x"))


async def test_work_is_cancelled_when_its_asker_leaves_the_session(join: Join):
    begun, ended = anyio.Event(), anyio.Event()

    async def hang(request: Echo) -> Echoed:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return Echoed("never")

    async with join() as host, anyio.create_task_group() as tasks:
        with anyio.fail_after(20):
            await tasks.start(partial(host.serve, Echo, hang))
            async with join() as asker:
                # Not through `ask`, which would say that it goes away.
                await asker._client.publish(asker._subjects.ask(("Echo", "")), _asked(), f"{asker._inbox}1")
                await begun.wait()
            await ended.wait()
        tasks.cancel_scope.cancel()


async def test_events_reach_every_bus_in_order_under_their_header(join: Join):
    seen: list[tuple[int, str]] = []
    done = anyio.Event()

    def note(event: Noted) -> None:
        header = current_header()
        seen.append((event.number, header.run if header else ""))
        if event.number == 99:
            done.set()

    async with join() as publisher, join() as observer:
        observer.subscribe(Noted, note)

        async def tell(request: Echo) -> Echoed:
            for i in range(100):
                await publisher.publish(Noted(i))
            return Echoed(request.text)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                await tasks.start(partial(publisher.serve, Echo, tell))
                with headed(Header(0, run="r1")):
                    await observer.ask(Echo("go"))
                await done.wait()
                tasks.cancel_scope.cancel()
    assert seen == [(i, "r1") for i in range(100)]


async def test_errors_of_ours_arrive_with_what_they_know_and_others_by_name(join: Join):
    class Local(Exception):
        pass

    errors: dict[str, Exception] = {
        "ours": RateLimited("slow down", retry_after=2.5, status=429, attempts=3),
        "unknown": Local("only here"),
        "several": ExceptionGroup("both", [ValueError("a"), KeyError("b")]),
    }

    async def fail(request: Echo) -> Echoed:
        raise errors[request.text]

    async with join() as asker, join() as host, anyio.create_task_group() as tasks:
        with anyio.fail_after(20):
            await tasks.start(partial(host.serve, Echo, fail))
            with pytest.raises(RateLimited, match="slow down") as ours:
                await asker.ask(Echo("ours"))
            assert (ours.value.retry_after, ours.value.status, ours.value.attempts) == (2.5, 429, 3)
            with pytest.raises(RemoteError, match=r"Local: only here"):
                await asker.ask(Echo("unknown"))
            with pytest.raises(ExceptionGroup, match="both") as several:
                await asker.ask(Echo("several"))
            assert [type(part) for part in several.value.exceptions] == [ValueError, KeyError]
        tasks.cancel_scope.cancel()


async def test_a_bus_can_be_left_while_the_nats_server_is_away(tmp_path: Path):
    with nats_process(tmp_path) as server, anyio.fail_after(30):
        async with NatsBus(NatsServer(url=server.url), beat=BEAT) as bus, anyio.create_task_group() as tasks:
            await tasks.start(partial(bus.serve, Echo, echo))
            server.kill()
            tasks.cancel_scope.cancel()


def _asked() -> bytes:
    """A request as it crosses the network."""
    return encode(Asked(Header(1, (("Echo", ""),)), msgspec.Raw(encode(Echo("x")))))
