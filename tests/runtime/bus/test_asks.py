"""What every bus keeps of asks: who answers, in what order, and what errors, timeouts and endings come to."""

from functools import partial

import anyio
import pytest

from transfer_prompting.runtime.bus import Bus, InProcessBus
from transfer_prompting.runtime.errors import AskTimeout, BusError, NoServer, ServerClosed

from support.buses import BoomError, Echo, Echoed, echo, serving


async def test_a_request_is_answered_by_the_server_of_its_type_and_key(make_bus: type[InProcessBus]):
    async def shout(request: Echo) -> Echoed:
        return Echoed(request.text.upper())

    async with make_bus() as bus, serving(bus), serving(bus, shout, key="loud"):
        assert await bus.ask(Echo("a")) == Echoed("a")
        assert await bus.ask(Echo("a", key="loud")) == Echoed("A")


async def test_asking_where_nobody_serves_says_so_at_once(make_bus: type[InProcessBus]):
    async with make_bus() as bus, serving(bus):
        with pytest.raises(NoServer, match="Echo for quiet"):
            await bus.ask(Echo("a", key="quiet"))


async def test_a_route_has_one_server(make_bus: type[InProcessBus]):
    async with make_bus() as bus, serving(bus):
        with pytest.raises(BusError, match="served already"):
            await bus.serve(Echo, echo)


async def test_no_more_asks_are_handled_at_once_than_there_are_workers(make_bus: type[InProcessBus]):
    working = peak = 0
    full, go_on = anyio.Event(), anyio.Event()

    async def work(request: Echo) -> Echoed:
        nonlocal working, peak
        working += 1
        peak = max(peak, working)
        if working == 3:
            full.set()
        await go_on.wait()
        working -= 1
        return Echoed(request.text)

    async with make_bus() as bus, serving(bus, work, workers=3), anyio.create_task_group() as askers:
        for i in range(30):
            askers.start_soon(bus.ask, Echo(str(i)))
        await full.wait()
        go_on.set()
    assert peak == 3


async def test_waiting_asks_are_served_first_come_first_served(make_bus: type[InProcessBus]):
    order: list[str] = []
    go_on = anyio.Event()

    async def work(request: Echo) -> Echoed:
        order.append(request.text)
        await go_on.wait()
        return Echoed(request.text)

    async with make_bus() as bus, serving(bus, work), anyio.create_task_group() as askers:
        for i in range(5):
            askers.start_soon(bus.ask, Echo(str(i)))
            await anyio.wait_all_tasks_blocked()
        go_on.set()
    assert order == ["0", "1", "2", "3", "4"]


async def test_an_error_reaches_its_asker_with_type_and_cause_and_the_server_lives_on(
    make_bus: type[InProcessBus],
):
    async def fail_on_x(request: Echo) -> Echoed:
        if request.text == "x":
            raise BoomError("x is refused") from ValueError("why")
        return Echoed(request.text)

    async with make_bus() as bus, serving(bus, fail_on_x):
        with pytest.raises(BoomError, match="x is refused") as caught:
            await bus.ask(Echo("x"))
        assert isinstance(caught.value.__cause__, ValueError)
        assert await bus.ask(Echo("y")) == Echoed("y")


async def test_a_group_of_one_error_arrives_as_that_error(make_bus: type[InProcessBus]):
    async def fail_in_a_task(request: Echo) -> Echoed:
        async def boom() -> None:
            raise BoomError(request.text)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(boom)
        return Echoed("unreachable")

    async with make_bus() as bus, serving(bus, fail_in_a_task):
        with pytest.raises(BoomError):
            await bus.ask(Echo("x"))


async def test_a_failing_ask_leaves_other_asks_alone(make_bus: type[InProcessBus]):
    async def fail_on_x(request: Echo) -> Echoed:
        await anyio.lowlevel.checkpoint()
        if request.text == "x":
            raise BoomError
        return Echoed(request.text)

    answers: list[Echoed] = []

    async def ask(bus: Bus, text: str) -> None:
        try:
            answers.append(await bus.ask(Echo(text)))
        except BoomError:
            answers.append(Echoed("failed"))

    async with make_bus() as bus, serving(bus, fail_on_x, workers=3), anyio.create_task_group() as askers:
        for text in ("a", "x", "b"):
            askers.start_soon(ask, bus, text)
    assert sorted(answer.text for answer in answers) == ["a", "b", "failed"]


async def test_a_cancelled_asker_frees_the_worker_and_cancels_its_work(make_bus: type[InProcessBus]):
    begun, ended = anyio.Event(), anyio.Event()

    async def hang_on_x(request: Echo) -> Echoed:
        if request.text == "x":
            begun.set()
            try:
                await anyio.sleep_forever()
            finally:
                ended.set()
        return Echoed(request.text)

    async with make_bus() as bus, serving(bus, hang_on_x):
        async with anyio.create_task_group() as askers:
            askers.start_soon(bus.ask, Echo("x"))
            await begun.wait()
            askers.cancel_scope.cancel()
        assert ended.is_set()
        assert await bus.ask(Echo("y")) == Echoed("y")


async def test_a_timeout_is_the_asks_own_and_cancels_the_work(make_bus: type[InProcessBus]):
    begun, ended = anyio.Event(), anyio.Event()

    async def hang(request: Echo) -> Echoed:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return Echoed(request.text)

    async with make_bus() as bus, serving(bus, hang):
        with pytest.raises(AskTimeout, match=r"Echo was not answered within 0\.1 s"):
            await bus.ask(Echo("x"), timeout=0.1)
        # Over a network that is slow today it may not have begun.
        assert ended.is_set() == begun.is_set()


async def test_a_handlers_own_timeout_error_is_not_taken_for_the_asks(make_bus: type[InProcessBus]):
    async def time_out(request: Echo) -> Echoed:
        raise TimeoutError(request.text)

    async with make_bus() as bus, serving(bus, time_out):
        with pytest.raises(TimeoutError, match="mine"):
            await bus.ask(Echo("mine"), timeout=5)


async def test_the_wait_for_a_worker_counts_towards_the_timeout(make_bus: type[InProcessBus]):
    busy, go_on = anyio.Event(), anyio.Event()

    async def work(request: Echo) -> Echoed:
        busy.set()
        await go_on.wait()
        return Echoed(request.text)

    async with make_bus() as bus, serving(bus, work), anyio.create_task_group() as askers:
        askers.start_soon(bus.ask, Echo("first"))
        await busy.wait()
        with pytest.raises(AskTimeout):
            await bus.ask(Echo("second"), timeout=0.01)
        go_on.set()


async def test_a_server_that_stops_fails_running_and_waiting_asks(make_bus: type[InProcessBus]):
    busy = anyio.Event()
    ends: list[str] = []

    async def hang(request: Echo) -> Echoed:
        busy.set()
        await anyio.sleep_forever()
        return Echoed(request.text)

    async def ask(bus: Bus) -> None:
        try:
            await bus.ask(Echo("x"))
        except ServerClosed as error:
            ends.append(str(error))

    async with make_bus() as bus, anyio.create_task_group() as askers, serving(bus, hang) as server:
        askers.start_soon(ask, bus)
        askers.start_soon(ask, bus)
        await busy.wait()
        await anyio.wait_all_tasks_blocked()
        server.cancel()
    assert ends == ["the server of Echo stopped before it answered"] * 2


async def test_a_server_has_stopped_only_when_its_handlers_have_ended(make_bus: type[InProcessBus]):
    busy = anyio.Event()
    order: list[str] = []

    async def clean_up(request: Echo) -> Echoed:
        busy.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                order.append("handler ended")
        return Echoed(request.text)

    async def ask(bus: Bus) -> None:
        with pytest.raises(ServerClosed):
            await bus.ask(Echo("x"))

    async with make_bus() as bus, anyio.create_task_group() as askers:
        async with serving(bus, clean_up):
            askers.start_soon(ask, bus)
            await busy.wait()
        order.append("server stopped")
    assert order == ["handler ended", "server stopped"]


async def test_a_stopped_route_can_be_served_again(make_bus: type[InProcessBus]):
    async with make_bus() as bus:
        async with serving(bus):
            pass
        with pytest.raises(NoServer):
            await bus.ask(Echo("a"))
        async with serving(bus):
            assert await bus.ask(Echo("a")) == Echoed("a")


async def test_cancelling_everything_at_once_is_a_cancellation_for_askers_and_no_error(
    make_bus: type[InProcessBus],
):
    errors: list[BaseException] = []

    async def keep_asking(bus: Bus) -> None:
        try:
            while True:
                await bus.ask(Echo("x"))
                await anyio.lowlevel.checkpoint()
        except BusError as error:
            errors.append(error)

    with anyio.CancelScope() as everything:
        async with make_bus() as bus, anyio.create_task_group() as tasks:
            await tasks.start(partial(bus.serve, Echo, echo))
            for _ in range(5):
                tasks.start_soon(keep_asking, bus)
            await anyio.lowlevel.checkpoint()
            everything.cancel()
    assert errors == []
